// SPDX-License-Identifier: GPL-2.0-only
/* A map with references inside an array of maps. */
#include "kptr.h"

int found = 0;
int users = 0;

struct slot {
	__u64 number;
	OBJECT __referenced *ref;
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { &first },
};

static __always_inline struct slot *slot(void)
{
	int key = 0;
	void *map = bpf_map_lookup_elem(&outer, &key);

	if (!map)
		return 0;
	return bpf_map_lookup_elem(map, &key);
}

SEC("?tc")
int put(struct __sk_buff *skb)
{
	struct slot *at = slot();
	OBJECT *object;

	if (!at)
		return 10;
	object = acquire();
	if (!object)
		return 11;
	object = bpf_kptr_xchg(&at->ref, object);
	if (!object)
		return 1;
	release(object);
	return 2;
}

SEC("?tc")
int take(struct __sk_buff *skb)
{
	struct slot *at = slot();
	OBJECT *object;

	if (!at)
		return 10;
	object = bpf_kptr_xchg(&at->ref, 0);
	if (!object)
		return 0;
	found = IDENTITY(object);
	users = COUNT(object);
	release(object);
	return 1;
}

/* Without the map in between. */
SEC("?tc")
int take_first(struct __sk_buff *skb)
{
	struct slot *at;
	OBJECT *object;
	int key = 0;

	at = bpf_map_lookup_elem(&first, &key);
	if (!at)
		return 10;
	object = bpf_kptr_xchg(&at->ref, 0);
	if (!object)
		return 0;
	found = IDENTITY(object);
	users = COUNT(object);
	release(object);
	return 1;
}

/* For a second processor: in and out, again and again, of whatever map is there at the moment. */
__u64 rounds = 0;

SEC("?tc")
int put_and_take_many(struct __sk_buff *skb)
{
	int done = 0;

	for (int i = 0; i < 32; i++) {
		struct slot *at = slot();
		OBJECT *object;

		if (!at)
			continue;
		object = acquire();
		if (!object)
			return 11;
		object = bpf_kptr_xchg(&at->ref, object);
		if (object)
			release(object);
		/* one in four is left to the map's end */
		if (i & 3) {
			object = bpf_kptr_xchg(&at->ref, 0);
			if (object)
				release(object);
		}
		done++;
	}
	__sync_fetch_and_add(&rounds, done);
	return done;
}

char _license[] SEC("license") = "GPL";
