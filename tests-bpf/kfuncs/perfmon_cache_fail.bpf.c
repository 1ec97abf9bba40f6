// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf_get_kmem_cache is for those with CAP_PERFMON from Linux 7.3 on: who has every capability may call it. Nothing else is called
 * here: without CAP_SYS_ADMIN libbpf cannot look for functions that the kernel itself has not.
 */
#include "netkfuncs.h"

struct kmem_cache {
	int size;
};
struct kmem_cache *bpf_get_kmem_cache(__u64 address) __ksym_weak;

SEC("?socket")
__success
int finds_cache(struct __sk_buff *skb)
{
	bpf_get_kmem_cache(0);
	return 0;
}

char _license[] SEC("license") = "GPL";
