// SPDX-License-Identifier: GPL-2.0-only
/* What the bug spin-not-unlocked breaks, with the program that waits on the stack: a lock is taken twice. */
#include "bpftest.h"

struct counted {
	struct bpf_spin_lock lock;
	int count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct counted);
} counters SEC(".maps");

SEC("tc")
__success __attribute__((btf_decl_tag("comment:test_retval=2")))
int lock_twice(struct __sk_buff *skb)
{
	int key = 0;
	struct counted *value = bpf_map_lookup_elem(&counters, &key);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	value->count = 1;
	bpf_spin_unlock(&value->lock);
	bpf_spin_lock(&value->lock);
	value->count++;
	bpf_spin_unlock(&value->lock);
	return value->count;
}

char _license[] SEC("license") = "GPL";
