// SPDX-License-Identifier: GPL-2.0-only
/* Records of a user ring buffer: a callback sees each as a dynptr that it may read and must leave alone. */
#include "bpftest.h"

#define ROOM 64

/* In. */
__u32 offset = 0;
__u32 length = 0;
/* In: the callback ends the draining when it has seen so many. */
__u32 stop_after = 0;
__u64 flags = 0;

/* Out. */
__s64 drained = 0;
__u32 seen = 0;
__s64 answer = 0;
__s64 wrote = 0;
__u32 found = 0;
__u8 out[ROOM] = {};
/* The first byte of each record, in the order of their coming. */
__u8 order[ROOM] = {};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} user_ring SEC(".maps");

static long look(struct bpf_dynptr *ptr, void *context)
{
	__u32 number = seen, count = length;
	__u8 *data;

	if (number < ROOM)
		bpf_dynptr_read(&order[number], 1, ptr, 0, 0);
	if (count <= ROOM)
		answer = bpf_dynptr_read(out, count, ptr, offset, 0);
	data = bpf_dynptr_data(ptr, offset, 8);
	found = data != 0;
	wrote = bpf_dynptr_write(ptr, 0, order, 1, 0);
	seen = number + 1;
	return stop_after && seen >= stop_after;
}

SEC("syscall")
int drain(void *context)
{
	drained = bpf_user_ringbuf_drain(&user_ring, look, 0, flags);
	return 1;
}

char _license[] SEC("license") = "GPL";
