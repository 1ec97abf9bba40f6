// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynptrs that helpers make, in programs that the verifier must refuse, one behaviour in each. The annotations carry
 * the message of Linux 6.12; those of other versions are in the suite.
 */
#include "dynptrs.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} user_ring SEC(".maps");

struct holder {
	struct bpf_dynptr ptr;
	__u64 more;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct holder);
} array SEC(".maps");

__u8 memory[64] = {};
struct bpf_dynptr global_ptr = {};
__u32 variable = 0;
__u64 sink = 0;

SEC("?syscall")
__failure __msg("Unsupported reg type fp for bpf_dynptr_from_mem data")
int from_stack(void *context)
{
	struct bpf_dynptr ptr;
	__u64 number = 0;

	bpf_dynptr_from_mem(&number, sizeof(number), 0, &ptr);
	return 0;
}

/* The slice is 8 bytes. */
SEC("?syscall")
__failure __msg("Unsupported reg type mem for bpf_dynptr_from_mem data")
int from_slice(void *context)
{
	struct bpf_dynptr ptr, of_slice;
	void *data;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	data = bpf_dynptr_data(&ptr, 0, 8);
	if (data)
		bpf_dynptr_from_mem(data, 8, 0, &of_slice);
	return 0;
}

/* One byte more than there is in all maps of the section. */
SEC("?syscall")
__failure __msg("invalid access to map value")
int from_too_much(void *context)
{
	__u32 key = 0;
	struct bpf_dynptr ptr;
	struct holder *value = bpf_map_lookup_elem(&array, &key);

	if (value)
		bpf_dynptr_from_mem(value, sizeof(*value) + 1, 0, &ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak_on_failure(void *context)
{
	struct bpf_dynptr ptr;

	if (bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr))
		return 0;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

static __noinline int reserve_only(void)
{
	struct bpf_dynptr ptr;

	return bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak_in_function(void *context)
{
	return reserve_only();
}

SEC("?syscall")
__failure __msg("arg 1 is an unacquired reference")
int submit_twice(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("arg 1 is an unacquired reference")
int discard_after_submit(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("arg 1 is an unacquired reference")
int submit_nothing(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("arg 1 is an unacquired reference")
int submit_local(void *context)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #2")
int read_after_submit(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	bpf_dynptr_read(memory, 8, &ptr, 0, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #0")
int write_nothing(void *context)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_write(&ptr, 0, memory, 8, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid mem access 'scalar'")
int data_after_submit(void *context)
{
	struct bpf_dynptr ptr;
	__u64 *data;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	data = bpf_dynptr_data(&ptr, 0, 8);
	if (!data)
		goto out;
	*data = 1;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	*data = 2;
	return 0;
out:
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid mem access 'mem_or_null'")
int data_untested(void *context)
{
	struct bpf_dynptr ptr;
	__u64 *data;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	data = bpf_dynptr_data(&ptr, 0, 8);
	*data = 1;
	return 0;
}

SEC("?syscall")
__failure __msg("value is outside of the allowed memory range")
int data_too_far(void *context)
{
	struct bpf_dynptr ptr;
	__u8 *data;

	bpf_dynptr_from_mem(memory, 64, 0, &ptr);
	data = bpf_dynptr_data(&ptr, 0, 8);
	if (data)
		data[8] = 1;
	return 0;
}

SEC("?syscall")
__failure __msg("cannot pass in dynptr at an offset=-8")
int at_an_offset(void *context)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	bpf_dynptr_read(memory, 8, (void *)&ptr + 8, 0, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("dynptr has to be at a constant offset")
int at_any_offset(void *context)
{
	struct bpf_dynptr ptrs[2];
	__u64 index = variable;

	bpf_dynptr_from_mem(memory, 8, 0, &ptrs[0]);
	bpf_dynptr_from_mem(memory, 8, 0, &ptrs[1]);
	if (index > 1)
		return 0;
	bpf_dynptr_read(memory, 8, &ptrs[index], 0, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("type=map_value expected=fp")
int in_a_global(void *context)
{
	bpf_dynptr_from_mem(memory, 8, 0, &global_ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("cannot overwrite referenced dynptr")
int overwrite_first_half(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	*(volatile __u64 *)&ptr = 0;
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("cannot overwrite referenced dynptr")
int overwrite_second_half(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	((volatile __u64 *)&ptr)[1] = 0;
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("cannot overwrite referenced dynptr")
int overwrite_one_byte(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	((volatile __u8 *)&ptr)[15] = 0;
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

/* A local dynptr made in the slot of a referenced one. */
SEC("?syscall")
__failure __msg("cannot overwrite referenced dynptr")
int make_over_referenced(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

/* Its slot has been written over: it is a dynptr no more. */
SEC("?syscall")
__failure __msg("Expected an initialized dynptr as arg #2")
int use_overwritten(void *context)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	((volatile __u64 *)&ptr)[0] = 0;
	bpf_dynptr_read(memory, 8, &ptr, 0, 0);
	return 0;
}

/* Data of a dynptr goes with it when its slot is used for another. */
SEC("?syscall")
__failure __msg("invalid mem access 'scalar'")
int data_of_overwritten(void *context)
{
	struct bpf_dynptr ptr;
	__u64 *data;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	data = bpf_dynptr_data(&ptr, 0, 8);
	if (!data)
		return 0;
	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	*data = 1;
	return 0;
}

SEC("?syscall")
__failure __msg("potential write to dynptr at off=-16")
int helper_writes_over(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	bpf_probe_read_kernel(&ptr, sizeof(ptr), memory);
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("potential write to dynptr at off=-16")
int read_into_itself(void *context)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ring, 16, 0, &ptr);
	bpf_dynptr_read(&ptr, sizeof(ptr), &ptr, 0, 0);
	bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid indirect read from stack")
int into_a_map(void *context)
{
	struct holder holder = {};
	__u32 key = 0;

	bpf_dynptr_from_mem(memory, 8, 0, &holder.ptr);
	bpf_map_update_elem(&array, &key, &holder, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid read from stack")
int look_inside(void *context)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(memory, 8, 0, &ptr);
	sink = ((volatile __u64 *)&ptr)[0];
	return 0;
}

static long discard_it(struct bpf_dynptr *ptr, void *context)
{
	bpf_ringbuf_discard_dynptr(ptr, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("cannot release unowned const bpf_dynptr")
int callback_discards(void *context)
{
	bpf_user_ringbuf_drain(&user_ring, discard_it, 0, 0);
	return 0;
}

static long remake_it(struct bpf_dynptr *ptr, void *context)
{
	bpf_dynptr_from_mem(memory, 8, 0, ptr);
	return 0;
}

SEC("?syscall")
__failure __msg("Dynptr has to be an uninitialized dynptr")
int callback_remakes(void *context)
{
	bpf_user_ringbuf_drain(&user_ring, remake_it, 0, 0);
	return 0;
}

static long adjust_it(struct bpf_dynptr *ptr, void *context)
{
	bpf_dynptr_adjust(ptr, 1, 2);
	return 0;
}

/* Registered as changing nothing that the verifier follows: accepted, though the callback's dynptr is constant. */
SEC("?syscall")
int callback_adjusts(void *context)
{
	bpf_user_ringbuf_drain(&user_ring, adjust_it, 0, 0);
	return 0;
}

static long write_to_it(struct bpf_dynptr *ptr, void *context)
{
	*(volatile __u64 *)ptr = 0;
	return 0;
}

SEC("?syscall")
__failure __msg("invalid mem access 'dynptr_ptr'")
int callback_stores(void *context)
{
	bpf_user_ringbuf_drain(&user_ring, write_to_it, 0, 0);
	return 0;
}

static long beyond_it(struct bpf_dynptr *ptr, void *context)
{
	bpf_dynptr_read(memory, 8, (void *)ptr + 8, 0, 0);
	return 0;
}

SEC("?syscall")
__failure __msg("dereference of modified dynptr_ptr ptr")
int callback_moves(void *context)
{
	bpf_user_ringbuf_drain(&user_ring, beyond_it, 0, 0);
	return 0;
}

static long keep_data(struct bpf_dynptr *ptr, void *context)
{
	__u64 *data = bpf_dynptr_data(ptr, 0, 8);

	*data = 1;
	return 0;
}

SEC("?syscall")
__failure __msg("invalid mem access 'mem_or_null'")
int callback_data_untested(void *context)
{
	bpf_user_ringbuf_drain(&user_ring, keep_data, 0, 0);
	return 0;
}

static long leak_one(struct bpf_dynptr *ptr, void *context)
{
	struct bpf_dynptr own;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &own);
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int callback_leaks(void *context)
{
	bpf_user_ringbuf_drain(&user_ring, leak_one, 0, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
