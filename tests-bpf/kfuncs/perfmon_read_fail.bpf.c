// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf_probe_read_kernel_dynptr is for those with CAP_PERFMON from Linux 7.3 on: who has every capability may call it. Nothing else is called
 * here: without CAP_SYS_ADMIN libbpf cannot look for functions that the kernel itself has not.
 */
#include "netkfuncs.h"

int sink = 0;
__u8 bytes[16] = {};

int bpf_probe_read_kernel_dynptr(const struct bpf_dynptr *to, __u64 offset, __u64 size, const void *unsafe_ptr__ign)
	__ksym_weak;

SEC("?socket")
__success
int reads_kernel(struct __sk_buff *skb)
{
	struct bpf_dynptr to;

	bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &to);
	sink = bpf_probe_read_kernel_dynptr(&to, 0, 8, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
