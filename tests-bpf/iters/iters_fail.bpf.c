// SPDX-License-Identifier: GPL-2.0-only
/*
 * Iterators in programs that the verifier must refuse, one behaviour in each. The annotations carry the message of
 * Linux 6.12; those of other versions are in the suite.
 */
#include "iters.h"

__u64 sink = 0;
__u32 variable = 0;
__u8 array[16] = {};
struct bpf_iter_num global_it = {};

struct holder {
	struct bpf_iter_num it;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct holder);
} holders SEC(".maps");

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

SEC("?syscall")
__failure __msg("Unreleased reference id=1")
int never_destroyed(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference id=1")
int destroyed_on_one_path(void *context)
{
	struct bpf_iter_num it;

	if (bpf_iter_num_new(&it, 0, variable))
		return 0;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an initialized iter_num as arg #0")
int destroy_without_new(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an initialized iter_num as arg #0")
int next_without_new(void *context)
{
	struct bpf_iter_num it;

	sink = (unsigned long)bpf_iter_num_next(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an initialized iter_num as arg #0")
int next_after_destroy(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_num_destroy(&it);
	sink = (unsigned long)bpf_iter_num_next(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an initialized iter_num as arg #0")
int destroyed_twice(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_num_destroy(&it);
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected uninitialized iter_num as arg #0")
int new_twice(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an initialized iter_bits as arg #0")
int of_another_kind(void *context)
{
	struct bpf_iter_num it[2];

	bpf_iter_num_new(&it[0], 0, 3);
	bpf_iter_num_new(&it[1], 0, 3);
	sink = (unsigned long)bpf_iter_bits_next((struct bpf_iter_bits *)it);
	bpf_iter_num_destroy(&it[0]);
	bpf_iter_num_destroy(&it[1]);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an initialized iter_num as arg #0")
int destroy_overwritten(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	*(volatile __u64 *)&it = 0;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference id=1")
int leave_overwritten(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	*(volatile __u64 *)&it = 0;
	return 0;
}

SEC("?syscall")
__failure __msg("invalid read from stack")
int look_inside(void *context)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	sink = *(volatile __u64 *)&it;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid mem access 'scalar'")
int untested(void *context)
{
	struct bpf_iter_num it;
	int *number;

	bpf_iter_num_new(&it, 0, 3);
	number = bpf_iter_num_next(&it);
	sink = *number;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid access to memory, mem_size=4 off=0 size=8")
int read_too_much(void *context)
{
	struct bpf_iter_num it;
	int *number;

	bpf_iter_num_new(&it, 0, 3);
	number = bpf_iter_num_next(&it);
	if (number)
		sink = *(__u64 *)number;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("cannot write into rdonly_mem")
int write_to_element(void *context)
{
	struct bpf_iter_num it;
	int *number;

	bpf_iter_num_new(&it, 0, 3);
	number = bpf_iter_num_next(&it);
	if (number)
		*number = 7;
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("arg#0 expected pointer to an iterator on stack")
int in_a_map(void *context)
{
	__u32 key = 0;
	struct holder *value = bpf_map_lookup_elem(&holders, &key);

	if (!value)
		return 0;
	bpf_iter_num_new(&value->it, 0, 3);
	bpf_iter_num_destroy(&value->it);
	return 0;
}

SEC("?syscall")
__failure __msg("arg#0 expected pointer to an iterator on stack")
int in_a_global(void *context)
{
	bpf_iter_num_new(&global_it, 0, 3);
	bpf_iter_num_destroy(&global_it);
	return 0;
}

static __noinline int new_only(int end)
{
	struct bpf_iter_num it;

	return bpf_iter_num_new(&it, 0, end);
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak_in_subprogram(void *context)
{
	return new_only(variable);
}

/* The index has no upper bound. */
SEC("?syscall")
__failure __msg("makes map_value pointer be out of bounds")
int unbounded_index(void *context)
{
	struct bpf_iter_num it;
	int *number;
	__s64 index = 0;

	bpf_iter_num_new(&it, 0, 100);
	while ((number = bpf_iter_num_next(&it)))
		index += *number;
	bpf_iter_num_destroy(&it);
	sink = array[index];
	return 0;
}

/* The first round is right, the second would not be. */
SEC("?syscall")
__failure __msg("invalid mem access 'scalar'")
int wrong_in_second_round(void *context)
{
	struct bpf_iter_num it;
	__u8 *place = array;

	bpf_iter_num_new(&it, 0, variable);
	while (bpf_iter_num_next(&it)) {
		sink += *(volatile __u8 *)place;
		if (bpf_get_prandom_u32() == 7)
			place = (__u8 *)(unsigned long)bpf_get_prandom_u32();
	}
	bpf_iter_num_destroy(&it);
	return 0;
}

/* Each round is one further, and nothing ends it within the map's value. */
SEC("?syscall")
__failure __msg("invalid access to map value")
int one_further_each_round(void *context)
{
	struct bpf_iter_num it;
	__u32 key = 0, place = 0;
	struct holder *value = bpf_map_lookup_elem(&holders, &key);

	if (!value)
		return 0;
	bpf_iter_num_new(&it, 0, variable);
	while (bpf_iter_num_next(&it)) {
		((volatile __u8 *)value)[place] = 1;
		place++;
	}
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an RCU CS when using bpf_iter_task_next")
int task_outside_rcu(void *context)
{
	struct bpf_iter_task it;
	struct task_struct *task;

	bpf_iter_task_new(&it, 0, 0);
	while ((task = bpf_iter_task_next(&it)))
		sink = task->pid;
	bpf_iter_task_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("expected an RCU CS when using bpf_iter_task_next")
int task_after_rcu(void *context)
{
	struct bpf_iter_task it;
	struct task_struct *task;

	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	bpf_rcu_read_unlock();
	while ((task = bpf_iter_task_next(&it)))
		sink = task->pid;
	bpf_iter_task_destroy(&it);
	return 0;
}

/* Begun in one section, gone on with in another. */
SEC("?syscall")
__failure __msg("expected an RCU CS when using bpf_iter_task_next")
int task_in_another_rcu(void *context)
{
	struct bpf_iter_task it;
	struct task_struct *task;

	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	bpf_rcu_read_unlock();
	bpf_rcu_read_lock();
	while ((task = bpf_iter_task_next(&it)))
		sink = task->pid;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?syscall")
__failure __msg("expected an RCU CS when using bpf_iter_css_next")
int css_outside_rcu(void *context)
{
	struct cgroup_subsys_state *css;
	struct bpf_iter_css it;
	struct cgroup *start = bpf_cgroup_from_id(1);

	if (!start)
		return 0;
	bpf_iter_css_new(&it, &start->self, 2);
	while ((css = bpf_iter_css_next(&it)))
		sink++;
	bpf_iter_css_destroy(&it);
	bpf_cgroup_release(start);
	return 0;
}

SEC("?tc")
__failure __msg("css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs")
int css_task_in_tc(struct __sk_buff *skb)
{
	struct bpf_iter_css_task it;
	struct task_struct *task;
	struct cgroup *start = bpf_cgroup_from_id(1);

	if (!start)
		return 0;
	bpf_iter_css_task_new(&it, &start->self, 0);
	while ((task = bpf_iter_css_task_next(&it)))
		sink = task->pid;
	bpf_iter_css_task_destroy(&it);
	bpf_cgroup_release(start);
	return 0;
}

SEC("?tc")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_iter_kmem_cache_new")
int caches_in_tc(struct __sk_buff *skb)
{
	struct bpf_iter_kmem_cache it;

	bpf_iter_kmem_cache_new(&it);
	sink = (unsigned long)bpf_iter_kmem_cache_next(&it);
	bpf_iter_kmem_cache_destroy(&it);
	return 0;
}

SEC("?tc")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_iter_dmabuf_new")
int buffers_in_tc(struct __sk_buff *skb)
{
	struct bpf_iter_dmabuf it;

	bpf_iter_dmabuf_new(&it);
	sink = (unsigned long)bpf_iter_dmabuf_next(&it);
	bpf_iter_dmabuf_destroy(&it);
	return 0;
}

SEC("?tc")
__failure __msg("calls are not allowed while holding a lock")
int task_under_lock(struct __sk_buff *skb)
{
	struct bpf_iter_task it;
	__u32 key = 0;
	struct locked *value = bpf_map_lookup_elem(&locks, &key);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	bpf_iter_task_new(&it, 0, 0);
	while (bpf_iter_task_next(&it))
		value->count++;
	bpf_iter_task_destroy(&it);
	bpf_spin_unlock(&value->lock);
	return 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int throw_in_loop(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *number;

	bpf_iter_num_new(&it, 0, 3);
	while ((number = bpf_iter_num_next(&it))) {
		if (*number == 2)
			bpf_throw(0);
	}
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid mem access 'scalar'")
int number_after_destroy(void *context)
{
	struct bpf_iter_num it;
	int *number;

	bpf_iter_num_new(&it, 0, 3);
	number = bpf_iter_num_next(&it);
	bpf_iter_num_destroy(&it);
	if (number)
		sink = *number;
	return 0;
}

/* What a task iterator gives is good for as long as the RCU section: not beyond. */
SEC("?syscall")
__failure __msg("R1 must be a rcu pointer")
int task_after_rcu_section(void *context)
{
	struct bpf_iter_task it;
	struct task_struct *task, *kept;

	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	task = bpf_iter_task_next(&it);
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	if (!task)
		return 0;
	kept = bpf_task_acquire(task);
	if (kept)
		bpf_task_release(kept);
	return 0;
}

char _license[] SEC("license") = "GPL";
