/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One operation on a dynptr of whatever kind, or on its clone, said by globals: the tables of cases are the same for
 * all kinds of memory.
 */
#pragma once

#include "dynptrs.h"

#define ROOM 64

enum { NOTHING, READ, WRITE, DATA, SLICE, SLICE_BARE, SLICE_RDWR, SLICE_RDWR_BARE };

/* In: what the dynptr is made with. */
__u64 make_flags = 0;
/* In: 1: the parent's view is changed, 2: the clone's. */
__u32 adjusting = 0;
__u64 start = 0;
__u64 end = 0;
/* In: what is done, and whether to the clone. */
__u32 on_clone = 0;
__u32 operation = NOTHING;
__u64 offset = 0;
__u32 length = 0;
__u64 flags = 0;

/* Out. */
__s64 made = 0;
__s64 cloned = 0;
__s64 adjusted = 0;
__s64 answer = 0;
/* Whether data or a slice was given. */
__u32 found = 0;
__u64 size_parent = 0;
__u64 size_clone = 0;
__u32 narrow_size = 0;
__u32 null_parent = 0;
__u32 null_clone = 0;
__u32 rdonly_parent = 0;
__u32 rdonly_clone = 0;
__u32 runs = 0;

__u8 in[ROOM] = {};
__u8 out[ROOM] = {};
/* What a slice may be copied to: left alone where the memory itself is given. */
__u8 buffer[8] = {};

static __always_inline void give(void *slice, int writes)
{
	found = slice != 0;
	if (!slice)
		return;
	__builtin_memcpy(out, slice, 8);
	if (writes)
		__builtin_memcpy(slice, in, 8);
}

static __always_inline void perform(struct bpf_dynptr *ptr, int writes)
{
	__u32 count = length;
	__u8 *data;

	if (count > ROOM)
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
		if (data) {
			__builtin_memcpy(out, data, 8);
			__builtin_memcpy(data, in, 8);
		}
		break;
	case SLICE:
		give(bpf_dynptr_slice(ptr, offset, buffer, 8), 0);
		break;
	case SLICE_BARE:
		give(bpf_dynptr_slice(ptr, offset, 0, 8), 0);
		break;
	case SLICE_RDWR:
		if (writes)
			give(bpf_dynptr_slice_rdwr(ptr, offset, buffer, 8), 1);
		break;
	case SLICE_RDWR_BARE:
		if (writes)
			give(bpf_dynptr_slice_rdwr(ptr, offset, 0, 8), 1);
		break;
	}
}

/* - writes: whether the verifier lets programs of the kind ask for writable slices. */
static __always_inline void operate(struct bpf_dynptr *ptr, int writes)
{
	struct bpf_dynptr clone;

	cloned = bpf_dynptr_clone(ptr, &clone);
	if (adjusting == 1)
		adjusted = bpf_dynptr_adjust(ptr, start, end);
	if (adjusting == 2)
		adjusted = bpf_dynptr_adjust(&clone, start, end);
	if (on_clone)
		perform(&clone, writes);
	else
		perform(ptr, writes);
	size_parent = bpf_dynptr_size(ptr);
	size_clone = bpf_dynptr_size(&clone);
	narrow_size = bpf_dynptr_size(ptr);
	null_parent = bpf_dynptr_is_null(ptr);
	null_clone = bpf_dynptr_is_null(&clone);
	rdonly_parent = bpf_dynptr_is_rdonly(ptr);
	rdonly_clone = bpf_dynptr_is_rdonly(&clone);
	runs++;
}
