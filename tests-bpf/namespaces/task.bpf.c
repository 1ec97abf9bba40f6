// SPDX-License-Identifier: GPL-2.0-only
/* Tasks by their number, in the initial pid namespace and in the caller's; a cgroup that a map keeps. */
#include "kfuncs.h"

struct kernfs_node {
	__u64 id;
} CO_RE;

struct cgroup {
	struct kernfs_node *kn;
} CO_RE;

struct task_struct *bpf_task_from_vpid(__s32 vpid) __ksym_weak;
struct cgroup *bpf_cgroup_from_id(__u64 id) __ksym_weak;
void bpf_cgroup_release(struct cgroup *cgrp) __ksym_weak;
long bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor) __ksym_weak;

struct kept {
	struct cgroup __kptr_referenced *cgroup;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} keep SEC(".maps");

/* In. */
int wanted = 0;
__u64 cgroup_wanted = 0;

/* Out. */
int found_pid = 0;
int is_caller = 0;
__u64 found_id = 0;

static __always_inline struct kept *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&keep, &key);
}

static __always_inline int report(struct task_struct *task)
{
	found_pid = 0;
	is_caller = 0;
	if (!task)
		return 0;
	found_pid = task->pid;
	is_caller = found_pid == (int)bpf_get_current_pid_tgid();
	bpf_task_release(task);
	return 1;
}

SEC("?syscall")
int from_pid(void *context)
{
	return report(bpf_task_from_pid(wanted));
}

SEC("?syscall")
int from_vpid(void *context)
{
	return report(bpf_task_from_vpid(wanted));
}

SEC("?syscall")
int from_id(void *context)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(cgroup_wanted);

	found_id = 0;
	if (!cgroup)
		return 0;
	found_id = BPF_CORE_READ(cgroup, kn, id);
	bpf_cgroup_release(cgroup);
	return 1;
}

SEC("?syscall")
int keep_cgroup(void *context)
{
	struct cgroup *cgroup = 0;
	struct kept *value = slot();

	if (!value)
		return 0;
	if (cgroup_wanted) {
		cgroup = bpf_cgroup_from_id(cgroup_wanted);
		if (!cgroup)
			return 0;
	}
	cgroup = bpf_kptr_xchg(&value->cgroup, cgroup);
	if (cgroup)
		bpf_cgroup_release(cgroup);
	return 1;
}

/* 2: nothing is kept. */
SEC("?syscall")
int under_kept(void *context)
{
	struct kept *value = slot();
	struct cgroup *cgroup;
	int result = 2;

	if (!value)
		return 3;
	bpf_rcu_read_lock();
	cgroup = value->cgroup;
	if (cgroup)
		result = bpf_task_under_cgroup(bpf_get_current_task_btf(), cgroup);
	bpf_rcu_read_unlock();
	return result;
}

char _license[] SEC("license") = "GPL";
