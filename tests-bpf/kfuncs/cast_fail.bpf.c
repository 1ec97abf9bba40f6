// SPDX-License-Identifier: GPL-2.0-only
/* As perfmon_fail.bpf.c, for a function that is older than those there. */
#include "netkfuncs.h"
#include "iters.h"

SEC("?socket")
__success
int casts(struct __sk_buff *skb)
{
	/* What it returns is a pointer, which such programs may not even compare. */
	bpf_rdonly_cast(skb, bpf_core_type_id_kernel(struct task_struct));
	return 0;
}

SEC("?socket")
__success
int walks_bits(struct __sk_buff *skb)
{
	struct bpf_iter_bits it;
	__u64 bits = 1;

	bpf_iter_bits_new(&it, &bits, 1);
	bpf_iter_bits_destroy(&it);
	return 0;
}

char _license[] SEC("license") = "GPL";
