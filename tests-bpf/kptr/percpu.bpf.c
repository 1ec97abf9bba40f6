// SPDX-License-Identifier: GPL-2.0-only
/* Objects of which each processor has its own. */
#include "kptr.h"

int amount = 0;
int processors = 0;
__u64 sum = 0;
__u64 each[64];

struct kept_counter {
	__u64 count;
	__u64 runs;
};

struct slot {
	__u64 number;
	struct kept_counter __tagged("percpu_kptr") *counter;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} array SEC(".maps");

static __always_inline struct slot *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&array, &key);
}

/* 1: made, put into the field and cleared for each processor; what was in the field is dropped. */
SEC("?tc")
int make(struct __sk_buff *skb)
{
	struct kept_counter __tagged("percpu_kptr") *counter, *old;
	struct slot *at = slot();
	struct kept_counter *mine;

	if (!at)
		return 10;
	counter = percpu_new(struct kept_counter);
	if (!counter)
		return 11;
	old = bpf_kptr_xchg(&at->counter, counter);
	if (old)
		percpu_drop(old);
	/* only what is read from a field is reached */
	counter = at->counter;
	if (!counter)
		return 12;
	for (int cpu = 0; cpu < 64; cpu++) {
		mine = bpf_per_cpu_ptr(counter, cpu);
		if (!mine)
			break;
		mine->count = 0;
		mine->runs = 0;
	}
	return 1;
}

SEC("?tc")
int add(struct __sk_buff *skb)
{
	struct kept_counter __tagged("percpu_kptr") *counter;
	struct slot *at = slot();
	struct kept_counter *mine;

	if (!at)
		return 10;
	counter = at->counter;
	if (!counter)
		return 0;
	mine = bpf_this_cpu_ptr(counter);
	mine->count += amount;
	mine->runs++;
	return 1;
}

SEC("?tc")
int total(struct __sk_buff *skb)
{
	struct kept_counter __tagged("percpu_kptr") *counter;
	struct slot *at = slot();
	struct kept_counter *mine;

	if (!at)
		return 10;
	counter = at->counter;
	if (!counter)
		return 0;
	sum = 0;
	processors = 0;
	for (int cpu = 0; cpu < 64; cpu++) {
		mine = bpf_per_cpu_ptr(counter, cpu);
		if (!mine)
			break;
		processors++;
		sum += mine->count;
		each[cpu] = mine->count;
	}
	return 1;
}

SEC("?tc")
int drop(struct __sk_buff *skb)
{
	struct kept_counter __tagged("percpu_kptr") *counter;
	struct slot *at = slot();

	if (!at)
		return 10;
	counter = bpf_kptr_xchg(&at->counter, 0);
	if (!counter)
		return 0;
	percpu_drop(counter);
	return 1;
}

char _license[] SEC("license") = "GPL";
