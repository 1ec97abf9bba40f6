// SPDX-License-Identifier: GPL-2.0-only
/* Loops over numbers: everything that came is counted, the first of them are kept. */
#include "iters.h"

#define KEPT 16

/* In. */
__s32 from = 0;
__s32 to = 0;
/* In: the loop is left after so many; 0: at its end. */
__u32 stop_after = 0;

/* Out. */
__s32 made = 0;
__u32 count = 0;
__s64 sum = 0;
__s32 last = 0;
__s32 kept[KEPT] = {};
/* What next gives after the end, and once more. */
__u64 after_end = 0;
__u64 and_then = 0;

static __always_inline void keep(int number)
{
	__u32 place = count;

	if (place < KEPT)
		kept[place] = number;
	sum += number;
	last = number;
	count = place + 1;
}

SEC("syscall")
int range(void *context)
{
	struct bpf_iter_num it;
	int *number;

	made = bpf_iter_num_new(&it, from, to);
	while ((number = bpf_iter_num_next(&it))) {
		keep(*number);
		if (stop_after && count >= stop_after)
			break;
	}
	bpf_iter_num_destroy(&it);
	return 1;
}

/* All of it, then beyond the end. */
SEC("syscall")
int beyond(void *context)
{
	struct bpf_iter_num it;
	int *number;

	made = bpf_iter_num_new(&it, from, to);
	while ((number = bpf_iter_num_next(&it)))
		keep(*number);
	after_end = (unsigned long)bpf_iter_num_next(&it);
	and_then = (unsigned long)bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	return 1;
}

/* No element is asked for. */
SEC("syscall")
int unused(void *context)
{
	struct bpf_iter_num it;

	made = bpf_iter_num_new(&it, from, to);
	bpf_iter_num_destroy(&it);
	return 1;
}

/* One slot of the stack, used for one iterator after the other. */
SEC("syscall")
int again(void *context)
{
	struct bpf_iter_num it;
	int *number;

	bpf_iter_num_new(&it, 100, 105);
	number = bpf_iter_num_next(&it);
	if (number)
		keep(*number);
	bpf_iter_num_destroy(&it);
	made = bpf_iter_num_new(&it, from, to);
	while ((number = bpf_iter_num_next(&it)))
		keep(*number);
	bpf_iter_num_destroy(&it);
	return 1;
}

__u32 outer = 0;
__u32 middle = 0;
__u32 inner = 0;

/* 0 to 4 without 1; 0 to 6, left at 5; 0 to 2. */
SEC("syscall")
int nested(void *context)
{
	struct bpf_iter_num i, j, k;
	int *a, *b, *c;

	bpf_iter_num_new(&i, 0, 5);
	while ((a = bpf_iter_num_next(&i))) {
		if (*a == 1)
			continue;
		outer++;
		bpf_iter_num_new(&j, 0, 7);
		while ((b = bpf_iter_num_next(&j))) {
			if (*b == 5)
				break;
			middle++;
			bpf_iter_num_new(&k, 0, 3);
			while ((c = bpf_iter_num_next(&k))) {
				inner++;
				keep(100 * *a + 10 * *b + *c);
			}
			bpf_iter_num_destroy(&k);
		}
		bpf_iter_num_destroy(&j);
	}
	bpf_iter_num_destroy(&i);
	return 1;
}

/* Two at a time, advanced in turns: neither moves the other. */
SEC("syscall")
int in_turns(void *context)
{
	struct bpf_iter_num one, other;
	int *a, *b;

	bpf_iter_num_new(&one, 0, 3);
	bpf_iter_num_new(&other, 10, 20);
	while ((a = bpf_iter_num_next(&one))) {
		keep(*a);
		b = bpf_iter_num_next(&other);
		if (b)
			keep(*b);
	}
	b = bpf_iter_num_next(&other);
	if (b)
		keep(*b);
	bpf_iter_num_destroy(&other);
	bpf_iter_num_destroy(&one);
	return 1;
}

struct locked {
	struct bpf_spin_lock lock;
	__u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked);
} locks SEC(".maps");

__u32 counted = 0;

/* A loop under a lock: 6.12 and before refuse it. */
SEC("?tc")
__failure __msg("function calls are not allowed while holding a lock")
int under_lock(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	__u32 key = 0;
	struct locked *value = bpf_map_lookup_elem(&locks, &key);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	bpf_iter_num_new(&it, 0, 10);
	while (bpf_iter_num_next(&it))
		value->count++;
	bpf_iter_num_destroy(&it);
	counted = value->count;
	bpf_spin_unlock(&value->lock);
	return 0;
}

/* A loop in a subprogram, called from a loop. */
static __noinline int sum_to(int limit)
{
	struct bpf_iter_num it;
	int *number, total = 0;

	bpf_iter_num_new(&it, 0, limit);
	while ((number = bpf_iter_num_next(&it)))
		total += *number;
	bpf_iter_num_destroy(&it);
	return total;
}

SEC("syscall")
int in_subprogram(void *context)
{
	struct bpf_iter_num it;
	int *number;

	bpf_iter_num_new(&it, 0, 5);
	while ((number = bpf_iter_num_next(&it)))
		keep(sum_to(*number));
	bpf_iter_num_destroy(&it);
	return 1;
}

char _license[] SEC("license") = "GPL";
