// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is done with references that live in a map, one call at a time: Sources/Agents/Explore/KptrSystem.swift.
 * Each program answers 0, or 1 where it released what was in the slot before, or a negative errno.
 */
#include "kfuncs.h"

#define SLOTS 4
#define ENOENT 2
#define ESRCH 3
#define EINVAL 22

struct held {
	struct task_struct __kptr_referenced *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct held);
} slots SEC(".maps");

struct call {
	__u32 slot;
	__u32 other;
	/* in: the task; out: the one that the slot holds, 0 for none */
	__s32 pid;
	/* out: its rcu_users */
	__s32 users;
};

static __always_inline int put(struct held *held, struct task_struct *task)
{
	struct task_struct *old = bpf_kptr_xchg(&held->task, task);

	if (!old)
		return 0;
	bpf_task_release(old);
	return 1;
}

SEC("syscall")
int create(struct call *call)
{
	__u32 slot = call->slot;
	struct held *held = bpf_map_lookup_elem(&slots, &slot);
	struct task_struct *task;

	if (!held)
		return -EINVAL;
	task = bpf_task_from_pid(call->pid);
	if (!task)
		return -ESRCH;
	return put(held, task);
}

SEC("syscall")
int move(struct call *call)
{
	__u32 slot = call->slot, other = call->other;
	struct held *from = bpf_map_lookup_elem(&slots, &slot);
	struct held *to = bpf_map_lookup_elem(&slots, &other);
	struct task_struct *task;

	if (!from || !to)
		return -EINVAL;
	task = bpf_kptr_xchg(&from->task, NULL);
	if (!task)
		return -ENOENT;
	return put(to, task);
}

SEC("syscall")
int acquire(struct call *call)
{
	__u32 slot = call->slot, other = call->other;
	struct held *from = bpf_map_lookup_elem(&slots, &slot);
	struct held *to = bpf_map_lookup_elem(&slots, &other);
	struct task_struct *task;

	if (!from || !to)
		return -EINVAL;
	bpf_rcu_read_lock();
	task = from->task;
	if (task)
		task = bpf_task_acquire(task);
	bpf_rcu_read_unlock();
	if (!task)
		return -ENOENT;
	return put(to, task);
}

SEC("syscall")
int drop(struct call *call)
{
	__u32 slot = call->slot;
	struct held *held = bpf_map_lookup_elem(&slots, &slot);
	struct task_struct *task;

	if (!held)
		return -EINVAL;
	task = bpf_kptr_xchg(&held->task, NULL);
	if (!task)
		return -ENOENT;
	bpf_task_release(task);
	return 1;
}

/* What a slot holds. */
SEC("syscall")
int look(struct call *call)
{
	__u32 slot = call->slot;
	struct held *held = bpf_map_lookup_elem(&slots, &slot);
	struct task_struct *task;

	if (!held)
		return -EINVAL;
	call->pid = 0;
	bpf_rcu_read_lock();
	task = held->task;
	if (task)
		call->pid = task->pid;
	bpf_rcu_read_unlock();
	return 0;
}

/* How many references there are to a task; its own reference is taken off. */
SEC("syscall")
int count(struct call *call)
{
	struct task_struct *task = bpf_task_from_pid(call->pid);

	if (!task)
		return -ESRCH;
	call->users = task->rcu_users.refs.counter - 1;
	bpf_task_release(task);
	return 0;
}

char _license[] SEC("license") = "GPL";
