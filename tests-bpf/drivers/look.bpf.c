// SPDX-License-Identifier: GPL-2.0-only
/* Programs that note what the kernel says of a test's frames, and that change their tags. */
#include "bpftest.h"

/* Where the frames of tests come from: Sources/Agents/Drivers/TestFrame.swift. */
static const __u8 stranger[6] = { 0x0a, 0x62, 0x70, 0x66, 0x74, 0x01 };

/* What the last frame was like; `count` of them came, of `bytes` in all. */
__u32 count;
__u32 bytes;
__u32 length;
__u32 linear;
__u32 protocol;
__u32 vlan_present;
__u32 vlan_tci;
__u32 vlan_protocol;
__u32 segments;
__u32 segment_size;
__s64 checksum_level;
/* What push_tag puts on. */
__u32 tag;

static __always_inline int is_ours(struct __sk_buff *skb)
{
	__u8 source[6];

	return !bpf_skb_load_bytes(skb, 6, source, sizeof source) && !__builtin_memcmp(source, stranger, sizeof source);
}

SEC("tc")
int look(struct __sk_buff *skb)
{
	if (!is_ours(skb))
		return -1;
	__sync_fetch_and_add(&count, 1);
	__sync_fetch_and_add(&bytes, skb->len);
	length = skb->len;
	linear = (__u32)((long)skb->data_end - (long)skb->data);
	protocol = skb->protocol;
	vlan_present = skb->vlan_present;
	vlan_tci = skb->vlan_tci;
	vlan_protocol = skb->vlan_proto;
	segments = skb->gso_segs;
	segment_size = skb->gso_size;
	checksum_level = bpf_csum_level(skb, 0 /* BPF_CSUM_LEVEL_QUERY */);
	return -1;
}

SEC("tc")
int drop(struct __sk_buff *skb)
{
	return is_ours(skb) ? 2 : -1;
}

SEC("tc")
int push_tag(struct __sk_buff *skb)
{
	if (is_ours(skb) && bpf_skb_vlan_push(skb, __builtin_bswap16(0x8100), tag))
		return 2; /* TC_ACT_SHOT: a frame that does not arrive says so */
	return -1;
}

SEC("tc")
int pop_tag(struct __sk_buff *skb)
{
	if (is_ours(skb) && bpf_skb_vlan_pop(skb))
		return 2;
	return -1;
}

char _license[] SEC("license") = "GPL";
