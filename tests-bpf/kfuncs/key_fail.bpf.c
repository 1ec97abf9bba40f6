// SPDX-License-Identifier: GPL-2.0-only
/* Programs with keys that the verifier must refuse, in the words of Linux 6.12. */
#include "netkfuncs.h"

int sink = 0;

SEC("?lsm.s/bpf")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(put_null, int cmd, void *attr, unsigned int size)
{
	bpf_key_put(0);
	return 0;
}

SEC("?lsm.s/bpf")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(put_unchecked, int cmd, void *attr, unsigned int size)
{
	bpf_key_put(bpf_lookup_user_key(1, 0));
	return 0;
}

SEC("?lsm.s/bpf")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(put_system_unchecked, int cmd, void *attr, unsigned int size)
{
	bpf_key_put(bpf_lookup_system_key(0));
	return 0;
}

SEC("?lsm.s/bpf")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_user, int cmd, void *attr, unsigned int size)
{
	sink = bpf_lookup_user_key(1, 0) != 0;
	return 0;
}

SEC("?lsm.s/bpf")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_system, int cmd, void *attr, unsigned int size)
{
	sink = bpf_lookup_system_key(0) != 0;
	return 0;
}

SEC("?lsm/bpf")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_lookup_user_key")
int BPF_PROG(lookup_not_sleepable, int cmd, void *attr, unsigned int size)
{
	struct bpf_key *key = bpf_lookup_user_key(1, 0);

	if (key)
		bpf_key_put(key);
	return 0;
}

char _license[] SEC("license") = "GPL";
