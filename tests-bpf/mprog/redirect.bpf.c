// SPDX-License-Identifier: GPL-2.0-only
/* Sends a packet to where the agent wants it. */
#include "bpftest.h"

__u32 ifindex;
__u64 flags;

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	return bpf_redirect(ifindex, flags);
}

char _license[] SEC("license") = "GPL";
