// SPDX-License-Identifier: GPL-2.0-only
/* References to a cgroup, and to a mask of processors, in elements of hash maps. */
#include "kptr.h"

struct cgroup {
	int level;
} CO_RE;

struct bpf_cpumask {
	long cpumask;
	refcount_t usage;
} CO_RE;

struct cgroup *bpf_cgroup_from_id(__u64 cgid) __ksym_weak;
struct cgroup *bpf_cgroup_acquire(struct cgroup *cgrp) __ksym_weak;
void bpf_cgroup_release(struct cgroup *cgrp) __ksym_weak;
struct bpf_cpumask *bpf_cpumask_create(void) __ksym_weak;
struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *cpumask) __ksym_weak;
void bpf_cpumask_release(struct bpf_cpumask *cpumask) __ksym_weak;

__u64 cgroup_wanted = 0;
int usage = 0;

struct slot {
	__u64 number;
	struct cgroup __referenced *cgroup;
	struct bpf_cpumask __referenced *mask;
};

#define MAP(name, flags)                          \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_HASH);  \
		__uint(map_flags, flags);         \
		__uint(max_entries, 4);           \
		__type(key, int);                 \
		__type(value, struct slot);       \
	} name SEC(".maps")

MAP(hash, 0);
MAP(hash_no_prealloc, BPF_F_NO_PREALLOC);

#define PUT(map)                                                               \
	SEC("?tc")                                                             \
	int put_##map(struct __sk_buff *skb)                                   \
	{                                                                      \
		struct cgroup *cgroup;                                         \
		struct slot *at;                                               \
		int key = 0;                                                   \
									       \
		at = bpf_map_lookup_elem(&map, &key);                          \
		if (!at)                                                       \
			return 10;                                             \
		cgroup = bpf_cgroup_from_id(cgroup_wanted);                    \
		if (!cgroup)                                                   \
			return 11;                                             \
		cgroup = bpf_kptr_xchg(&at->cgroup, cgroup);                   \
		if (!cgroup)                                                   \
			return 1;                                              \
		bpf_cgroup_release(cgroup);                                    \
		return 2;                                                      \
	}

PUT(hash)
PUT(hash_no_prealloc)

/* A mask goes into two elements; the usage that is left when one of them is gone is read from the other one. */
SEC("?syscall")
int put_mask_twice(void *context)
{
	struct bpf_cpumask *mask, *other, *old;
	struct slot *at, *second;
	int key = 0;

	at = bpf_map_lookup_elem(&hash_no_prealloc, &key);
	key = 1;
	second = bpf_map_lookup_elem(&hash_no_prealloc, &key);
	if (!at || !second)
		return 10;
	mask = bpf_cpumask_create();
	if (!mask)
		return 11;
	other = bpf_cpumask_acquire(mask);
	usage = mask->usage.refs.counter;
	old = bpf_kptr_xchg(&at->mask, mask);
	if (old)
		bpf_cpumask_release(old);
	old = bpf_kptr_xchg(&second->mask, other);
	if (old)
		bpf_cpumask_release(old);
	return 1;
}

SEC("?syscall")
int usage_of_mask(void *context)
{
	struct bpf_cpumask *mask;
	struct slot *at;
	int key = 1;

	at = bpf_map_lookup_elem(&hash_no_prealloc, &key);
	if (!at)
		return 10;
	bpf_rcu_read_lock();
	mask = at->mask;
	if (mask)
		usage = mask->usage.refs.counter;
	bpf_rcu_read_unlock();
	return mask != 0;
}

char _license[] SEC("license") = "GPL";
