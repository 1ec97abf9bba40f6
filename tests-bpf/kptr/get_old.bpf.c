// SPDX-License-Identifier: GPL-2.0-only
/* KF_KPTR_GET of kernels 6.0 to 6.3: a reference to what is in a field, which stays there. */
#define KPTR_OLD
#include "kptr.h"

int users = 0;
int found = 0;

struct slot {
	__u64 number;
	OBJECT __referenced *ref;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} array SEC(".maps");

SEC("?tc")
int put(struct __sk_buff *skb)
{
	OBJECT *object, *old;
	struct slot *slot;
	int key = 0;

	slot = bpf_map_lookup_elem(&array, &key);
	object = acquire();
	if (!object)
		return 11;
	if (!slot) {
		release(object);
		return 10;
	}
	old = bpf_kptr_xchg(&slot->ref, object);
	if (!old)
		return 1;
	release(old);
	return 2;
}

/* 1: got one, and gave it back. */
SEC("?tc")
int get(struct __sk_buff *skb)
{
	OBJECT *object;
	struct slot *slot;
	int key = 0;

	slot = bpf_map_lookup_elem(&array, &key);
	if (!slot)
		return 10;
	object = bpf_kfunc_call_test_kptr_get(&slot->ref, 0, 0);
	if (!object)
		return 0;
	found = IDENTITY(object);
	users = COUNT(object);
	release(object);
	return 1;
}

char _license[] SEC("license") = "GPL";
