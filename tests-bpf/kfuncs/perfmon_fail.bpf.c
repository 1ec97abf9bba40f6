// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that are for those with CAP_PERFMON from Linux 7.3 on: who has every capability may call them. Nothing else
 * is called here: without CAP_SYS_ADMIN libbpf cannot look for functions that the kernel itself has not.
 */
#include "netkfuncs.h"

int sink = 0;
__u8 bytes[16] = {};

struct kmem_cache {
	int size;
};
int bpf_probe_read_kernel_dynptr(const struct bpf_dynptr *to, __u64 offset, __u64 size, const void *unsafe_ptr__ign)
	__ksym_weak;
struct kmem_cache *bpf_get_kmem_cache(__u64 address) __ksym_weak;
int bpf_stream_vprintk(int stream_id, const char *fmt__str, const void *args, __u32 len__sz) __ksym_weak;

SEC("?socket")
__success
int reads_kernel(struct __sk_buff *skb)
{
	struct bpf_dynptr to;

	bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &to);
	sink = bpf_probe_read_kernel_dynptr(&to, 0, 8, 0);
	return 0;
}

SEC("?socket")
__success
int finds_cache(struct __sk_buff *skb)
{
	bpf_get_kmem_cache(0);
	return 0;
}

SEC("?socket")
__success
int prints(struct __sk_buff *skb)
{
	static const char format[] = "text";

	sink = bpf_stream_vprintk(1, format, bytes, 8);
	return 0;
}

char _license[] SEC("license") = "GPL";
