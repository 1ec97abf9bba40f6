// SPDX-License-Identifier: GPL-2.0-only
/* Operations on dynptrs to packets, whole and in fragments. */
#include "dynptr_ops.h"

/* In: only packets of this length are touched; 0: all. */
__u32 wanted = 0;
/* Out: bytes of the packet, and those of them that programs reach directly. */
__u32 total = 0;
__u32 linear = 0;

SEC("tc")
int in_tc(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	if (wanted && skb->len != wanted)
		return 0;
	total = skb->len;
	linear = (void *)(long)skb->data_end - (void *)(long)skb->data;
	made = bpf_dynptr_from_skb(skb, make_flags, &ptr);
	operate(&ptr, 1);
	return 0;
}

SEC("xdp.frags")
int in_xdp(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr;

	linear = (void *)(long)xdp->data_end - (void *)(long)xdp->data;
	made = bpf_dynptr_from_xdp(xdp, make_flags, &ptr);
	operate(&ptr, 1);
	return XDP_PASS;
}

SEC("cgroup_skb/egress")
int in_cgroup(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_skb(skb, make_flags, &ptr);
	operate(&ptr, 0);
	return 1;
}

SEC("socket")
int in_socket(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_skb(skb, make_flags, &ptr);
	operate(&ptr, 0);
	return 1;
}

__u8 memory[ROOM] = {};
__u64 other_offset = 0;

/* From plain memory into a packet, or out of it. */
SEC("?xdp.frags")
int copy_in(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr, plain;

	made = bpf_dynptr_from_xdp(xdp, 0, &ptr);
	bpf_dynptr_from_mem(memory, ROOM, 0, &plain);
	linear = (void *)(long)xdp->data_end - (void *)(long)xdp->data;
	answer = bpf_dynptr_copy(&ptr, offset, &plain, other_offset, length);
	return XDP_PASS;
}

SEC("?xdp.frags")
int copy_out(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr, plain;

	made = bpf_dynptr_from_xdp(xdp, 0, &ptr);
	bpf_dynptr_from_mem(memory, ROOM, 0, &plain);
	answer = bpf_dynptr_copy(&plain, other_offset, &ptr, offset, length);
	return XDP_PASS;
}

SEC("?xdp.frags")
int copy_within(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr, clone;

	made = bpf_dynptr_from_xdp(xdp, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	answer = bpf_dynptr_copy(&clone, other_offset, &ptr, offset, length);
	return XDP_PASS;
}

__u32 value = 0;

SEC("?xdp.frags")
int set_bytes(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_xdp(xdp, 0, &ptr);
	linear = (void *)(long)xdp->data_end - (void *)(long)xdp->data;
	answer = bpf_dynptr_memset(&ptr, offset, length, value);
	return XDP_PASS;
}

SEC("?tc")
int set_bytes_tc(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_skb(skb, 0, &ptr);
	answer = bpf_dynptr_memset(&ptr, offset, length, value);
	return 0;
}

SEC("?cgroup_skb/egress")
int set_bytes_cgroup(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_skb(skb, 0, &ptr);
	answer = bpf_dynptr_memset(&ptr, offset, length, value);
	return 1;
}

/* All of the packet is made linear first. */
SEC("tc")
int pull_first(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	if (wanted && skb->len != wanted)
		return 0;
	bpf_skb_pull_data(skb, skb->len);
	total = skb->len;
	linear = (void *)(long)skb->data_end - (void *)(long)skb->data;
	made = bpf_dynptr_from_skb(skb, make_flags, &ptr);
	operate(&ptr, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
