// SPDX-License-Identifier: GPL-2.0-only
/* One field, two processors. */
#include "kptr.h"

int key_wanted = 0;
__u64 exchanged = 0;
__u64 acquired = 0;
__u64 missed = 0;
__u64 wrong = 0;

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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct slot);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct slot);
} hash_prealloc SEC(".maps");

#define HERD 64

/* A reference goes in, and comes out. */
static __always_inline void in_and_out(struct slot *at)
{
	OBJECT *object = acquire();

	if (!object)
		return;
	object = bpf_kptr_xchg(&at->ref, object);
	if (object)
		release(object);
	object = bpf_kptr_xchg(&at->ref, 0);
	if (object)
		release(object);
}

/* A reference takes the place of another one. */
static __always_inline void replace(struct slot *at)
{
	OBJECT *object = acquire();

	if (!object)
		return;
	object = bpf_kptr_xchg(&at->ref, object);
	if (!object)
		return;
	if (object->pid != pid_wanted)
		__sync_fetch_and_add(&wrong, 1);
	release(object);
}

#define MANY(name, map, what)                                                  \
	SEC("?tc")                                                             \
	int name(struct __sk_buff *skb)                                        \
	{                                                                      \
		int done = 0;                                                  \
									       \
		for (int i = 0; i < HERD; i++) {                               \
			struct slot *at = bpf_map_lookup_elem(&map, &key_wanted); \
									       \
			if (!at)                                               \
				continue;                                      \
			what(at);                                              \
			done++;                                                \
		}                                                              \
		__sync_fetch_and_add(&exchanged, done);                        \
		return done;                                                   \
	}

MANY(in_and_out_array, array, in_and_out)
MANY(in_and_out_hash, hash, in_and_out)
MANY(in_and_out_hash_prealloc, hash_prealloc, in_and_out)
MANY(replace_array, array, replace)

/* Reads the field, and has a reference of its own for a moment. */
SEC("?tc")
int acquire_many(struct __sk_buff *skb)
{
	int got = 0;

	for (int i = 0; i < HERD; i++) {
		struct slot *at = bpf_map_lookup_elem(&array, &key_wanted);
		OBJECT *object;

		if (!at)
			return 10;
		object = at->ref;
		if (!object) {
			__sync_fetch_and_add(&missed, 1);
			continue;
		}
		object = bpf_task_acquire(object);
		if (!object) {
			__sync_fetch_and_add(&missed, 1);
			continue;
		}
		if (object->pid != pid_wanted)
			__sync_fetch_and_add(&wrong, 1);
		got++;
		bpf_task_release(object);
	}
	__sync_fetch_and_add(&acquired, got);
	return got;
}

SEC("?tc")
int take(struct __sk_buff *skb)
{
	struct slot *at = bpf_map_lookup_elem(&array, &key_wanted);
	OBJECT *object;

	if (!at)
		return 10;
	object = bpf_kptr_xchg(&at->ref, 0);
	if (!object)
		return 0;
	release(object);
	return 1;
}

char _license[] SEC("license") = "GPL";
