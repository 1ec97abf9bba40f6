// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dynptrs to a map's value and to a record of a ring buffer, by helpers alone: Linux 5.19 has all of it. What a program
 * does is said by globals, what came of it is left in others.
 */
#include "bpftest.h"

#define SIZE 64

enum { NOTHING, READ, WRITE, DATA };

/* In: how the dynptr is made. */
__u32 size = SIZE;
__u64 make_flags = 0;
/* In: what is done with it. */
__u32 operation = NOTHING;
__u32 offset = 0;
__u32 length = 0;
__u64 flags = 0;
/* In: where in the memory itself bytes are read to. */
__u32 target = 0;
/* In: how a record ends. */
__u64 end_flags = 0;

/* Out. */
__s64 made = 0;
__s64 answer = 0;
/* What reading no byte says: EINVAL of a dynptr that is null, and of no other. */
__s64 nothing = 0;
__u32 found = 0;

__u8 memory[SIZE] = {};
__u8 in[SIZE] = {};
__u8 out[SIZE] = {};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

static __always_inline void operate(struct bpf_dynptr *ptr)
{
	__u32 count = length;
	__u8 *data;

	nothing = bpf_dynptr_read(out, 0, ptr, 0, 0);
	if (count > SIZE)
		return;
	switch (operation) {
	case READ:
		answer = bpf_dynptr_read(out, count, ptr, offset, flags);
		break;
	case WRITE:
		answer = bpf_dynptr_write(ptr, offset, in, count, flags);
		break;
	case DATA:
		data = bpf_dynptr_data(ptr, offset, 8);
		found = data != 0;
		if (data)
			__builtin_memcpy(data, in, 8);
		break;
	}
}

SEC("syscall")
int local(void *context)
{
	struct bpf_dynptr ptr;
	__u32 count = size;

	if (count > SIZE)
		return 0;
	made = bpf_dynptr_from_mem(memory, count, make_flags, &ptr);
	operate(&ptr);
	return 1;
}

/* Reads into the memory that the dynptr is over. */
SEC("syscall")
int overlap(void *context)
{
	struct bpf_dynptr ptr;
	__u32 count = length, to = target;

	if (count > SIZE / 2 || to > SIZE / 2)
		return 0;
	made = bpf_dynptr_from_mem(memory, SIZE, 0, &ptr);
	if (operation == READ)
		answer = bpf_dynptr_read(memory + to, count, &ptr, offset, 0);
	else
		answer = bpf_dynptr_write(&ptr, offset, memory + to, count, 0);
	return 1;
}

/* Two dynptrs over one memory, at different places. */
SEC("syscall")
int alias(void *context)
{
	struct bpf_dynptr whole, part;

	made = bpf_dynptr_from_mem(memory, SIZE, 0, &whole);
	made |= bpf_dynptr_from_mem(memory + 16, 8, 0, &part);
	answer = bpf_dynptr_write(&part, 0, in, 8, 0);
	nothing = bpf_dynptr_write(&part, 1, in, 8, 0);
	bpf_dynptr_read(out, SIZE, &whole, 0, 0);
	return 1;
}

/* Writing over the slot of a dynptr that holds no reference is allowed; it can be made anew. */
SEC("syscall")
int remade(void *context)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_mem(memory, SIZE, 0, &ptr);
	*(volatile __u64 *)&ptr = 0;
	answer = bpf_dynptr_from_mem(memory + 8, 8, 0, &ptr);
	bpf_dynptr_read(out, 8, &ptr, 0, 0);
	nothing = bpf_dynptr_read(out, 1, &ptr, 8, 0);
	return 1;
}

SEC("syscall")
int submit(void *context)
{
	struct bpf_dynptr ptr;

	made = bpf_ringbuf_reserve_dynptr(&ring, size, make_flags, &ptr);
	operate(&ptr);
	bpf_ringbuf_submit_dynptr(&ptr, end_flags);
	return 1;
}

SEC("syscall")
int discard(void *context)
{
	struct bpf_dynptr ptr;

	made = bpf_ringbuf_reserve_dynptr(&ring, size, make_flags, &ptr);
	operate(&ptr);
	bpf_ringbuf_discard_dynptr(&ptr, end_flags);
	return 1;
}

/* Two records at a time: the first is given up after the second has been submitted. */
SEC("syscall")
int interleaved(void *context)
{
	struct bpf_dynptr first, second;

	made = bpf_ringbuf_reserve_dynptr(&ring, size, 0, &first);
	answer = bpf_ringbuf_reserve_dynptr(&ring, size, 0, &second);
	bpf_dynptr_write(&first, 0, memory, 8, 0);
	bpf_dynptr_write(&second, 0, in, 8, 0);
	bpf_dynptr_read(out, 8, &first, 0, 0);
	bpf_ringbuf_submit_dynptr(&second, 0);
	bpf_ringbuf_discard_dynptr(&first, 0);
	return 1;
}

/* Out: what the kernel says of the ring. */
__u64 available = 0;
__u64 capacity = 0;
__u64 consumed = 0;
__u64 produced = 0;

SEC("syscall")
int query(void *context)
{
	available = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	capacity = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);
	consumed = bpf_ringbuf_query(&ring, BPF_RB_CONS_POS);
	produced = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS);
	return 1;
}

char _license[] SEC("license") = "GPL";
