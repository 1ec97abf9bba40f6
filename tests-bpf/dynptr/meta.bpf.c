// SPDX-License-Identifier: GPL-2.0-only
/* The metadata that an XDP program puts in front of a packet, seen as a dynptr in tc. */
#include "dynptr_ops.h"

#define META 16

__u32 wanted = 0;
/* Where the metadata starts its counting: its bytes are first, first + 1, ... */
__u32 first = 0x30;
__u32 prepared = 0;

SEC("xdp")
int put_meta(struct xdp_md *xdp)
{
	__u8 *meta, *data;
	int i;

	if (bpf_xdp_adjust_meta(xdp, -META))
		return XDP_PASS;
	meta = (void *)(long)xdp->data_meta;
	data = (void *)(long)xdp->data;
	if (meta + META > data)
		return XDP_PASS;
	for (i = 0; i < META; i++)
		meta[i] = first + i;
	prepared++;
	return XDP_PASS;
}

/* The metadata as it is after the operation, seen without a dynptr. */
__u8 after[META] = {};
__u32 left = 0;

SEC("tc")
int in_tc(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 *meta, *data;

	if (skb->len != wanted)
		return 0;
	made = bpf_dynptr_from_skb_meta(skb, make_flags, &ptr);
	operate(&ptr, 1);
	meta = (void *)(long)skb->data_meta;
	data = (void *)(long)skb->data;
	left = data - meta;
	if (meta + META <= data)
		__builtin_memcpy(after, meta, META);
	return 0;
}

char _license[] SEC("license") = "GPL";
