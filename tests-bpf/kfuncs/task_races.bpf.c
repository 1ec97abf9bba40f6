// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two programs that run at the same time: one puts references into a map, the other takes them out and releases them.
 * Each counts what it did; what they hold together must add up.
 */
#include "cgroup.h"
#include "cpumask.h"

/* In. */
int pid_wanted = 0;
__u64 id_wanted = 0;
int repeat = 0;

/* Out. */
__s64 stored = 0;
__s64 replaced = 0;
__s64 taken = 0;
__s64 wrong = 0;
int users = 0;

struct kept_task {
	struct task_struct __kptr_referenced *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept_task);
} tasks SEC(".maps");

static __always_inline struct kept_task *task_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&tasks, &key);
}

static __always_inline void count(__s64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

SEC("?syscall")
int store_task(void *context)
{
	struct task_struct *task, *old;
	struct kept_task *slot = task_slot();
	struct bpf_iter_num it;

	if (!slot)
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		task = bpf_task_from_pid(pid_wanted);
		if (!task)
			continue;
		old = bpf_kptr_xchg(&slot->task, task);
		count(&stored);
		if (old) {
			count(&replaced);
			bpf_task_release(old);
		}
	}
	bpf_iter_num_destroy(&it);
	return 1;
}

SEC("?syscall")
int take_task(void *context)
{
	struct task_struct *old;
	struct kept_task *slot = task_slot();
	struct bpf_iter_num it;

	if (!slot)
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		old = bpf_kptr_xchg(&slot->task, 0);
		if (!old)
			continue;
		count(&taken);
		if (old->pid != pid_wanted)
			count(&wrong);
		bpf_task_release(old);
	}
	bpf_iter_num_destroy(&it);
	return 1;
}

SEC("?syscall")
int count_users(void *context)
{
	struct task_struct *task = bpf_task_from_pid(pid_wanted);

	if (!task)
		return 0;
	users = task->rcu_users.refs.counter;
	bpf_task_release(task);
	return 1;
}

SEC("?syscall")
int store_cgroup(void *context)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct cgroup *cgroup, *old;
	struct bpf_iter_num it;

	if (!slot)
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		cgroup = bpf_cgroup_from_id(id_wanted);
		if (!cgroup)
			continue;
		old = bpf_kptr_xchg(&slot->cgroup, cgroup);
		count(&stored);
		if (old) {
			count(&replaced);
			bpf_cgroup_release(old);
		}
	}
	bpf_iter_num_destroy(&it);
	return 1;
}

SEC("?syscall")
int take_cgroup(void *context)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct bpf_iter_num it;
	struct cgroup *old;

	if (!slot)
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		old = bpf_kptr_xchg(&slot->cgroup, 0);
		if (!old)
			continue;
		count(&taken);
		if (old->kn->id != id_wanted)
			count(&wrong);
		bpf_cgroup_release(old);
	}
	bpf_iter_num_destroy(&it);
	return 1;
}

SEC("?syscall")
int store_mask(void *context)
{
	struct kept_mask *slot = mask_slot();
	struct bpf_cpumask *mask, *old;
	struct bpf_iter_num it;

	if (!slot)
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		mask = bpf_cpumask_create();
		if (!mask)
			continue;
		bpf_cpumask_set_cpu(1, mask);
		old = bpf_kptr_xchg(&slot->mask, mask);
		count(&stored);
		if (old) {
			count(&replaced);
			bpf_cpumask_release(old);
		}
	}
	bpf_iter_num_destroy(&it);
	return 1;
}

SEC("?syscall")
int take_mask(void *context)
{
	struct kept_mask *slot = mask_slot();
	struct bpf_cpumask *old;
	struct bpf_iter_num it;

	if (!slot)
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		old = bpf_kptr_xchg(&slot->mask, 0);
		if (!old)
			continue;
		count(&taken);
		/* Nobody else has it, and nobody has written to it. */
		if (old->usage.refs.counter != 1 || old->cpumask.bits[0] != 2)
			count(&wrong);
		bpf_cpumask_release(old);
	}
	bpf_iter_num_destroy(&it);
	return 1;
}

char _license[] SEC("license") = "GPL";
