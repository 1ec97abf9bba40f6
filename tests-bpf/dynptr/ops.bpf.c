// SPDX-License-Identifier: GPL-2.0-only
/* Operations on dynptrs to plain memory: a map's value, a record of a ring buffer, nothing. */
#include "dynptr_ops.h"

__u8 memory[ROOM] = {};
__u32 size = ROOM;
__u32 submitting = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* Not a syscall program: only programs that may write to packets may ask for a writable slice, of whatever. */
SEC("tc")
int local(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	__u32 count = size;

	if (count > ROOM)
		return 0;
	made = bpf_dynptr_from_mem(memory, count, make_flags, &ptr);
	operate(&ptr, 1);
	return 1;
}

/* A record that starts as a copy of the memory. */
SEC("tc")
int record(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	made = bpf_ringbuf_reserve_dynptr(&ring, size, make_flags, &ptr);
	bpf_dynptr_write(&ptr, 0, memory, ROOM, 0);
	operate(&ptr, 1);
	if (submitting)
		bpf_ringbuf_submit_dynptr(&ptr, 0);
	else
		bpf_ringbuf_discard_dynptr(&ptr, 0);
	return 1;
}

/* A clone is changed, and changed again, relative to its own view. */
__u64 start2 = 0;
__u64 end2 = 0;
__s64 adjusted2 = 0;

SEC("syscall")
int adjusted_twice(void *context)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_mem(memory, ROOM, 0, &ptr);
	adjusted = bpf_dynptr_adjust(&ptr, start, end);
	adjusted2 = bpf_dynptr_adjust(&ptr, start2, end2);
	size_parent = bpf_dynptr_size(&ptr);
	answer = bpf_dynptr_read(out, 1, &ptr, 0, 0);
	return 1;
}

/* A clone is made of a dynptr whose view was changed. */
SEC("syscall")
int clone_of_changed(void *context)
{
	struct bpf_dynptr ptr, clone;

	made = bpf_dynptr_from_mem(memory, ROOM, 0, &ptr);
	adjusted = bpf_dynptr_adjust(&ptr, start, end);
	cloned = bpf_dynptr_clone(&ptr, &clone);
	size_clone = bpf_dynptr_size(&clone);
	answer = bpf_dynptr_read(out, 8, &clone, 0, 0);
	return 1;
}

/* Writing over a dynptr that is not referenced leaves its clone as it was. */
SEC("syscall")
int clone_outlives(void *context)
{
	struct bpf_dynptr ptr, clone;

	made = bpf_dynptr_from_mem(memory, ROOM, 0, &ptr);
	cloned = bpf_dynptr_clone(&ptr, &clone);
	*(volatile __u64 *)&ptr = 0;
	size_clone = bpf_dynptr_size(&clone);
	answer = bpf_dynptr_read(out, 8, &clone, 8, 0);
	return 1;
}

/* One of a ring buffer record's dynptrs is overwritten, the other ends it: 6.12 and before refuse this. */
SEC("?syscall")
__failure __msg("cannot overwrite referenced dynptr")
int overwrite_with_clone(void *context)
{
	struct bpf_dynptr ptr, clone;

	made = bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &ptr);
	cloned = bpf_dynptr_clone(&ptr, &clone);
	*(volatile __u64 *)&ptr = 0;
	answer = bpf_dynptr_write(&clone, 0, in, 8, 0);
	bpf_ringbuf_submit_dynptr(&clone, 0);
	return 1;
}

__u64 other_offset = 0;

/* From one dynptr to another over the same memory, 32 bytes each, 16 of them shared. */
SEC("?syscall")
int copy(void *context)
{
	struct bpf_dynptr from, to;

	made = bpf_dynptr_from_mem(memory, 32, 0, &from);
	made |= bpf_dynptr_from_mem(memory + 16, 32, 0, &to);
	answer = bpf_dynptr_copy(&to, other_offset, &from, offset, length);
	return 1;
}

SEC("?syscall")
int copy_back(void *context)
{
	struct bpf_dynptr from, to;

	made = bpf_dynptr_from_mem(memory + 16, 32, 0, &from);
	made |= bpf_dynptr_from_mem(memory, 32, 0, &to);
	answer = bpf_dynptr_copy(&to, other_offset, &from, offset, length);
	return 1;
}

/* Either of the two is null. */
SEC("?syscall")
int copy_null(void *context)
{
	struct bpf_dynptr good, null;

	made = bpf_dynptr_from_mem(memory, 32, 0, &good);
	bpf_dynptr_from_mem(memory, 32, 1, &null);
	answer = bpf_dynptr_copy(&good, 0, &null, 0, 1);
	adjusted = bpf_dynptr_copy(&null, 0, &good, 0, 1);
	return 1;
}

__u32 value = 0;

SEC("?syscall")
int set_bytes(void *context)
{
	struct bpf_dynptr ptr;

	made = bpf_dynptr_from_mem(memory, 48, make_flags, &ptr);
	if (adjusting)
		adjusted = bpf_dynptr_adjust(&ptr, start, end);
	answer = bpf_dynptr_memset(&ptr, offset, length, value);
	return 1;
}

char _license[] SEC("license") = "GPL";
