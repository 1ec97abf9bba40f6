// SPDX-License-Identifier: GPL-2.0-only
/* References that go into fields of map values and come out again. */
#include "kptr.h"

/* In: which element. */
int key_wanted = 0;
/* Out: what was found in the field. */
int found = 0;
int users = 0;

struct slot {
	__u64 number;
	OBJECT __referenced *ref;
	OBJECT __unreferenced *unref;
};

#define MAP(name, kind, flags, entries)          \
	struct {                                 \
		__uint(type, kind);              \
		__uint(map_flags, flags);        \
		__uint(max_entries, entries);    \
		__type(key, int);                \
		__type(value, struct slot);      \
	} name SEC(".maps")

MAP(array, BPF_MAP_TYPE_ARRAY, 0, 1000);
MAP(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 0, 4);
MAP(hash, BPF_MAP_TYPE_HASH, 0, 1000);
MAP(hash_one, BPF_MAP_TYPE_HASH, 0, 1);
MAP(hash_no_prealloc, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, 1000);
MAP(lru_hash, BPF_MAP_TYPE_LRU_HASH, 0, 16);
#ifndef KPTR_OLD
MAP(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 0, 4);
MAP(percpu_hash_no_prealloc, BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC, 4);
MAP(lru_percpu_hash, BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, 16);
#endif

/* 1: into an empty field; 2: in the place of another one, which is released. */
static __always_inline int put_into(struct slot *slot)
{
	OBJECT *object, *old;

	if (!slot)
		return 10;
	object = acquire();
	if (!object)
		return 11;
	old = bpf_kptr_xchg(&slot->ref, object);
	if (!old)
		return 1;
	found = IDENTITY(old);
	release(old);
	return 2;
}

/* 1: there was one, and now there is none; 0: there was none. */
static __always_inline int take_from(struct slot *slot)
{
	OBJECT *old;

	if (!slot)
		return 10;
	old = bpf_kptr_xchg(&slot->ref, 0);
	if (!old)
		return 0;
	found = IDENTITY(old);
	users = COUNT(old);
	release(old);
	return 1;
}

/* 1: there is one; 0: there is none. */
static __always_inline int look_at(struct slot *slot)
{
	OBJECT *object;

	if (!slot)
		return 10;
	object = slot->ref;
	if (!object)
		return 0;
	found = IDENTITY(object);
	users = COUNT(object);
	return 1;
}

#define ACCESS(map)                                                            \
	SEC("?tc")                                                             \
	int put_##map(struct __sk_buff *skb)                                   \
	{                                                                      \
		return put_into(bpf_map_lookup_elem(&map, &key_wanted));       \
	}                                                                      \
	SEC("?tc")                                                             \
	int take_##map(struct __sk_buff *skb)                                  \
	{                                                                      \
		return take_from(bpf_map_lookup_elem(&map, &key_wanted));      \
	}                                                                      \
	SEC("?tc")                                                             \
	int look_##map(struct __sk_buff *skb)                                  \
	{                                                                      \
		return look_at(bpf_map_lookup_elem(&map, &key_wanted));        \
	}

ACCESS(array)
ACCESS(percpu_array)
ACCESS(hash)
ACCESS(hash_one)
ACCESS(hash_no_prealloc)
ACCESS(lru_hash)
#ifndef KPTR_OLD
ACCESS(percpu_hash)
ACCESS(percpu_hash_no_prealloc)
ACCESS(lru_percpu_hash)
#endif

/* The number beside the field, which updates may change. */
SEC("?tc")
int number_in_array(struct __sk_buff *skb)
{
	struct slot *slot = bpf_map_lookup_elem(&array, &key_wanted);

	return slot ? slot->number : -1;
}

/* The field that is not referenced: an address and no more, set and read. */
SEC("?tc")
int put_unreferenced(struct __sk_buff *skb)
{
	struct slot *slot = bpf_map_lookup_elem(&array, &key_wanted);
	OBJECT *object;

	if (!slot)
		return 10;
	object = acquire();
	if (!object)
		return 11;
	slot->unref = object;
	release(object);
	return 1;
}

SEC("?tc")
int look_at_unreferenced(struct __sk_buff *skb)
{
	struct slot *slot = bpf_map_lookup_elem(&array, &key_wanted);
	OBJECT *object;

	if (!slot)
		return 10;
	object = slot->unref;
	if (!object)
		return 0;
	found = IDENTITY(object);
	return 1;
}

SEC("?tc")
int clear_unreferenced(struct __sk_buff *skb)
{
	struct slot *slot = bpf_map_lookup_elem(&array, &key_wanted);

	if (!slot)
		return 10;
	slot->unref = 0;
	return 1;
}

/* Updates and deletions by a program instead of by user space; the value's bytes over the fields mean nothing. */
#define CHANGES(map)                                                           \
	SEC("?tc")                                                             \
	int update_##map(struct __sk_buff *skb)                                \
	{                                                                      \
		struct {                                                       \
			__u64 number;                                          \
			__u64 garbage[2];                                      \
		} value = { 77, { 0x4141414141414141, 0x4242424242424242 } };  \
									       \
		return -bpf_map_update_elem(&map, &key_wanted, &value, 0);     \
	}                                                                      \
	SEC("?tc")                                                             \
	int delete_##map(struct __sk_buff *skb)                                \
	{                                                                      \
		return -bpf_map_delete_elem(&map, &key_wanted);                \
	}

CHANGES(array)
CHANGES(hash)
CHANGES(hash_no_prealloc)

#ifndef KPTR_OLD
/*
 * What a task that is gone answers: as long as the map has a reference it can be acquired; after the last one is
 * released, in the same RCU section, the pointer is still good to ask, and the answer is no.
 */
int acquired_before = -1;
int acquired_after = -1;

SEC("?tc")
int release_last(struct __sk_buff *skb)
{
	struct slot *slot = bpf_map_lookup_elem(&array, &key_wanted);
	OBJECT *object, *old, *acquired;

	if (!slot)
		return 10;
	object = slot->ref;
	if (!object)
		return 0;
	acquired = bpf_task_acquire(object);
	acquired_before = acquired != 0;
	if (acquired)
		bpf_task_release(acquired);
	old = bpf_kptr_xchg(&slot->ref, 0);
	if (old) {
		users = old->rcu_users.refs.counter;
		bpf_task_release(old);
	}
	acquired = bpf_task_acquire(object);
	acquired_after = acquired != 0;
	if (acquired)
		bpf_task_release(acquired);
	return 1;
}

/* A reference of one's own to what is in the field, which stays there: 1 for got. */
static __always_inline int acquire_from(struct slot *slot)
{
	OBJECT *object, *acquired;

	object = slot->ref;
	if (!object)
		return 0;
	acquired = bpf_task_acquire(object);
	if (!acquired)
		return 3;
	found = acquired->pid;
	users = acquired->rcu_users.refs.counter;
	bpf_task_release(acquired);
	return 1;
}

SEC("?tc")
int acquire_loaded(struct __sk_buff *skb)
{
	struct slot *slot = bpf_map_lookup_elem(&array, &key_wanted);

	return slot ? acquire_from(slot) : 10;
}

/* The same where programs may sleep: the section is needed to acquire, not to release. */
SEC("?syscall")
int acquire_in_section(void *context)
{
	struct slot *slot = bpf_map_lookup_elem(&array, &key_wanted);
	OBJECT *object, *acquired = 0;

	if (!slot)
		return 10;
	bpf_rcu_read_lock();
	object = slot->ref;
	if (object)
		acquired = bpf_task_acquire(object);
	bpf_rcu_read_unlock();
	if (!acquired)
		return 0;
	found = acquired->pid;
	users = acquired->rcu_users.refs.counter;
	bpf_task_release(acquired);
	return 1;
}
#endif

char _license[] SEC("license") = "GPL";
