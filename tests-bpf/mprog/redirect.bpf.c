// SPDX-License-Identifier: GPL-2.0-only
/* Programs that send a packet to where the agent wants it, and that look at what of it they are shown. */
#include "bpftest.h"

__u32 ifindex;
__u64 flags;

SEC("tc")
int redirect(struct __sk_buff *skb)
{
	return bpf_redirect(ifindex, flags);
}

__u32 length;
__u8 protocol[2];

SEC("tc")
int look(struct __sk_buff *skb)
{
	length = skb->len;
	bpf_skb_load_bytes(skb, 12, protocol, sizeof(protocol));
	return -1; /* TCX_NEXT */
}

char _license[] SEC("license") = "GPL";
