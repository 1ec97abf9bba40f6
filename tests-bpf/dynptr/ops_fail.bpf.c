// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynptr kfuncs in programs that the verifier must refuse, one behaviour in each. The annotations carry the message of
 * Linux 6.12; those of other versions are in the suite.
 */
#include "dynptrs.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

__u8 memory[64] = {};
__u32 variable = 0;
__u64 sink = 0;

SEC("?cgroup_skb/egress")
__failure __msg("the prog does not allow writes to packet data")
int rdwr_in_cgroup(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	void *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice_rdwr(&ptr, 0, buffer, sizeof(buffer));
	sink = slice != 0;
	return 1;
}

SEC("?tc")
__failure __msg("cannot write into rdonly_mem")
int write_to_slice(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, sizeof(buffer));
	if (slice)
		slice[0] = 1;
	return 0;
}

SEC("?tc")
__failure __msg("invalid mem access 'scalar'")
int slice_after_write(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, sizeof(buffer));
	if (!slice)
		return 0;
	bpf_dynptr_write(&ptr, 0, memory, 8, 0);
	sink = slice[0];
	return 0;
}

SEC("?tc")
__failure __msg("invalid mem access 'scalar'")
int rdwr_after_write(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice_rdwr(&ptr, 0, buffer, sizeof(buffer));
	if (!slice)
		return 0;
	bpf_dynptr_write(&ptr, 0, memory, 8, 0);
	slice[0] = 1;
	return 0;
}

SEC("?tc")
__failure __msg("invalid mem access 'scalar'")
int slice_after_pull(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, sizeof(buffer));
	if (!slice)
		return 0;
	bpf_skb_pull_data(skb, 8);
	sink = slice[0];
	return 0;
}

SEC("?xdp")
__failure __msg("invalid mem access 'scalar'")
int slice_after_adjust_head(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_xdp(xdp, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, sizeof(buffer));
	if (!slice)
		return 0;
	bpf_xdp_adjust_head(xdp, 4);
	sink = slice[0];
	return 0;
}

/* The packet was written to through a clone. */
SEC("?tc")
__failure __msg("invalid mem access 'scalar'")
int slice_after_write_to_clone(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr, clone;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	slice = bpf_dynptr_slice_rdwr(&ptr, 0, buffer, sizeof(buffer));
	if (!slice)
		return 0;
	bpf_dynptr_write(&clone, 0, memory, 8, 0);
	slice[0] = 1;
	return 0;
}

SEC("?tc")
__failure __msg("unbounded memory access")
int unbounded_length(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	void *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, variable);
	sink = slice != 0;
	return 0;
}

SEC("?tc")
__failure __msg("must be a known constant")
int variable_length(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u32 length = variable;
	void *slice;

	if (length > sizeof(buffer))
		return 0;
	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, length);
	sink = slice != 0;
	return 0;
}

SEC("?tc")
__failure __msg("memory, len pair leads to invalid memory access")
int buffer_too_small(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	void *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, 9);
	sink = slice != 0;
	return 0;
}

SEC("?tc")
__failure __msg("invalid mem access 'rdonly_mem_or_null'")
int slice_untested(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, sizeof(buffer));
	sink = slice[0];
	return 0;
}

SEC("?tc")
__failure __msg("value is outside of the allowed memory range")
int slice_too_far(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u8 buffer[8] = {};
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &ptr);
	slice = bpf_dynptr_slice(&ptr, 0, buffer, sizeof(buffer));
	if (slice)
		sink = slice[8];
	return 0;
}

SEC("?xdp")
__failure __msg("calling kernel function bpf_dynptr_from_skb is not allowed")
int skb_in_xdp(struct xdp_md *xdp)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_skb((struct __sk_buff *)xdp, 0, &ptr);
	return XDP_PASS;
}

SEC("?raw_tp")
__failure __msg("calling kernel function bpf_dynptr_from_xdp is not allowed")
int xdp_in_raw_tp(void *context)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_xdp(context, 0, &ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #0")
int adjust_nothing(void *context)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_adjust(&ptr, 1, 2);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #0")
int size_of_nothing(void *context)
{
	struct bpf_dynptr ptr;

	sink = bpf_dynptr_size(&ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #0")
int is_nothing_null(void *context)
{
	struct bpf_dynptr ptr;

	sink = bpf_dynptr_is_null(&ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #0")
int is_nothing_rdonly(void *context)
{
	struct bpf_dynptr ptr;

	sink = bpf_dynptr_is_rdonly(&ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #0")
int clone_nothing(void *context)
{
	struct bpf_dynptr ptr, clone;

	bpf_dynptr_clone(&ptr, &clone);
	return 0;
}

SEC("?syscall")
__failure __msg("cannot overwrite referenced dynptr")
int clone_onto_referenced(void *context)
{
	struct bpf_dynptr ptr, other;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &other);
	bpf_dynptr_clone(&ptr, &other);
	bpf_ringbuf_discard_dynptr(&other, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #2")
int clone_after_submit(void *context)
{
	struct bpf_dynptr ptr, clone;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	bpf_dynptr_read(memory, 8, &clone, 0, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #2")
int parent_after_clone_submits(void *context)
{
	struct bpf_dynptr ptr, clone;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	bpf_ringbuf_submit_dynptr(&clone, 0);
	bpf_dynptr_read(memory, 8, &ptr, 0, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #2")
int sibling_after_submit(void *context)
{
	struct bpf_dynptr ptr, one, other;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_dynptr_clone(&ptr, &one);
	bpf_dynptr_clone(&ptr, &other);
	bpf_ringbuf_submit_dynptr(&one, 0);
	bpf_dynptr_read(memory, 8, &other, 0, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid mem access 'scalar'")
int clone_data_after_submit(void *context)
{
	struct bpf_dynptr ptr, clone;
	__u64 *data;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	data = bpf_dynptr_data(&clone, 0, 8);
	if (!data) {
		bpf_ringbuf_discard_dynptr(&ptr, 0);
		return 0;
	}
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	*data = 1;
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int clone_leaks(void *context)
{
	struct bpf_dynptr ptr, clone;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	return 0;
}

SEC("?syscall")
__failure __msg("arg 1 is an unacquired reference")
int clone_submits_again(void *context)
{
	struct bpf_dynptr ptr, clone;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	bpf_ringbuf_submit_dynptr(&clone, 0);
	return 0;
}

/* From 7.x on the first loads by itself: another dynptr of the record is left. */
SEC("?syscall")
__failure __msg("cannot overwrite referenced dynptr")
int overwrite_both(void *context)
{
	struct bpf_dynptr ptr, clone;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_dynptr_clone(&ptr, &clone);
	*(volatile __u64 *)&ptr = 0;
	*(volatile __u64 *)&clone = 0;
	return 0;
}

SEC("?syscall")
__failure __msg("expected pointer to stack or const struct bpf_dynptr")
int size_of_null(void *context)
{
	sink = bpf_dynptr_size(0);
	return 0;
}

SEC("?syscall")
__failure __msg("expected pointer to stack or const struct bpf_dynptr")
int size_of_task(void *context)
{
	sink = bpf_dynptr_size((void *)bpf_get_current_task_btf());
	return 0;
}

/* A packet's metadata is no longer where it was once the packet may have been copied. */
SEC("?tc")
__failure __msg("invalid mem access 'scalar'")
int meta_slice_after_write(struct __sk_buff *skb)
{
	struct bpf_dynptr packet, meta;
	__u8 *slice;

	bpf_dynptr_from_skb(skb, 0, &packet);
	bpf_dynptr_from_skb_meta(skb, 0, &meta);
	slice = bpf_dynptr_slice_rdwr(&meta, 0, 0, 4);
	if (!slice)
		return 0;
	bpf_dynptr_write(&packet, 0, memory, 8, 0);
	slice[0] = 1;
	return 0;
}

SEC("?xdp")
__failure __msg("calling kernel function bpf_dynptr_from_skb_meta is not allowed")
int meta_in_xdp(struct xdp_md *xdp)
{
	struct bpf_dynptr meta;

	bpf_dynptr_from_skb_meta((struct __sk_buff *)xdp, 0, &meta);
	return XDP_PASS;
}

SEC("?lsm.s/file_open")
__failure __msg("Unreleased reference")
int BPF_PROG(file_leaks, struct file *file)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_file(file, 0, &ptr);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Expected an initialized dynptr as R1")
int BPF_PROG(file_discarded_twice, struct file *file)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_file(file, 0, &ptr);
	bpf_dynptr_file_discard(&ptr);
	bpf_dynptr_file_discard(&ptr);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Expected a dynptr of type file as R1")
int BPF_PROG(local_as_file, struct file *file)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	bpf_dynptr_file_discard(&ptr);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("cannot overwrite referenced dynptr")
int BPF_PROG(file_overwritten, struct file *file)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_file(file, 0, &ptr);
	*(volatile __u64 *)&ptr = 0;
	bpf_dynptr_file_discard(&ptr);
	return 0;
}

char _license[] SEC("license") = "GPL";
