// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf_stream_vprintk is for those with CAP_PERFMON from Linux 7.3 on: who has every capability may call it. Nothing else is called
 * here: without CAP_SYS_ADMIN libbpf cannot look for functions that the kernel itself has not.
 */
#include "netkfuncs.h"

int sink = 0;
__u8 bytes[16] = {};

/* Up to 6.17 it has a fifth argument, which the verifier fills. */
int bpf_stream_vprintk(int stream_id, const char *fmt__str, const void *args, __u32 len__sz) __ksym_weak;

SEC("?socket")
__success
int prints(struct __sk_buff *skb)
{
	static const char format[] = "text";

	sink = bpf_stream_vprintk(1, format, bytes, 8);
	return 0;
}

char _license[] SEC("license") = "GPL";
