// SPDX-License-Identifier: GPL-2.0-only
/* A field with today's tag, of a type that kernels of either era can keep: up to 6.3 it is not referenced. */
#include "kptr.h"

struct slot {
	__u64 number;
	struct prog_test_ref_kfunc __tagged("kptr") *object;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} array SEC(".maps");

SEC("?tc")
int exchange(struct __sk_buff *skb)
{
	struct prog_test_ref_kfunc *old;
	struct slot *slot;
	int key = 0;

	slot = bpf_map_lookup_elem(&array, &key);
	if (!slot)
		return 10;
	old = bpf_kptr_xchg(&slot->object, 0);
	if (!old)
		return 1;
	bpf_kfunc_call_test_release(old);
	return 2;
}

char _license[] SEC("license") = "GPL";
