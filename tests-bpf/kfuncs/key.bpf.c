// SPDX-License-Identifier: GPL-2.0-only
/* Keys looked up from a sleepable LSM program, which runs when one process calls bpf(2) with a certain command. */
#include "netkfuncs.h"

/* In. */
int pid_wanted = 0;
int command = 0;
int serial = 0;
__u64 flags = 0;
__u64 system_id = 0;

/* Out. */
int runs = 0;
int found = 0;
int serial_found = 0;
int usage = -1;
int usage_twice = -1;
int usage_left = -1;
int has_reference = -1;
int result = 1;
__u8 data[16] = {};
__u8 signature[16] = {};

static __always_inline int is_ours(int cmd)
{
	return (bpf_get_current_pid_tgid() >> 32) == pid_wanted && cmd == command;
}

SEC("lsm.s/bpf")
int BPF_PROG(user_key, int cmd, void *attr, unsigned int size)
{
	struct bpf_key *key, *again;

	if (!is_ours(cmd))
		return 0;
	runs++;
	key = bpf_lookup_user_key(serial, flags);
	if (!key)
		return 0;
	found++;
	serial_found = key->key->serial;
	has_reference = key->has_ref;
	usage = key->key->usage.refs.counter;
	again = bpf_lookup_user_key(serial, flags);
	if (again) {
		usage_twice = key->key->usage.refs.counter;
		bpf_key_put(again);
	}
	usage_left = key->key->usage.refs.counter;
	bpf_key_put(key);
	return 0;
}

SEC("lsm.s/bpf")
int BPF_PROG(system_key, int cmd, void *attr, unsigned int size)
{
	struct bpf_key *key;

	if (!is_ours(cmd))
		return 0;
	runs++;
	key = bpf_lookup_system_key(system_id);
	if (!key)
		return 0;
	found++;
	has_reference = key->has_ref;
	bpf_key_put(key);
	return 0;
}

SEC("lsm.s/bpf")
int BPF_PROG(verify_signature, int cmd, void *attr, unsigned int size)
{
	struct bpf_dynptr signed_data, by;
	struct bpf_key *key;

	if (!is_ours(cmd))
		return 0;
	runs++;
	bpf_dynptr_from_mem(data, sizeof(data), 0, &signed_data);
	bpf_dynptr_from_mem(signature, sizeof(signature), 0, &by);
	key = bpf_lookup_user_key(serial, flags);
	if (!key)
		return 0;
	found++;
	result = bpf_verify_pkcs7_signature(&signed_data, &by, key);
	bpf_key_put(key);
	return 0;
}

char _license[] SEC("license") = "GPL";
