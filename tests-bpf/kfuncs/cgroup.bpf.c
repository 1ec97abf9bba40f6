// SPDX-License-Identifier: GPL-2.0-only
/* Cgroup kfuncs in programs that the verifier must accept; what they saw is left in globals. */
#include "cgroup.h"

/* In. */
int pid_wanted = 0;
__u64 id_wanted = 0;
int level_wanted = 0;
int hierarchy_wanted = 0;
int repeat = 0;

/* Out. */
int runs = 0;
int found = 0;
__u64 found_id = 0;
int found_level = 0;
__s64 answer = 0;

static __always_inline void describe(struct cgroup *cgroup)
{
	found_id = cgroup->kn->id;
	found_level = cgroup->level;
}

/* In the process that makes it. */
SEC("?tp_btf/cgroup_mkdir")
int BPF_PROG(made, struct cgroup *cgroup, const char *path)
{
	struct cgroup *acquired;

	if ((bpf_get_current_pid_tgid() >> 32) != pid_wanted)
		return 0;
	acquired = bpf_cgroup_acquire(cgroup);
	if (acquired) {
		found++;
		describe(acquired);
		bpf_cgroup_release(acquired);
	}
	runs++;
	return 0;
}

static __always_inline int find(void)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(id_wanted);

	found = cgroup != 0;
	found_id = 0;
	found_level = -1;
	if (!cgroup)
		return 0;
	describe(cgroup);
	bpf_cgroup_release(cgroup);
	return 1;
}

SEC("?syscall")
int from_id(void *context)
{
	return find();
}

SEC("?tc")
int from_id_in_tc(struct __sk_buff *skb)
{
	return find();
}

SEC("?xdp")
int from_id_in_xdp(struct xdp_md *context)
{
	return find();
}

SEC("?cgroup_skb/egress")
int from_id_in_cgroup_skb(struct __sk_buff *skb)
{
	return find();
}

SEC("?tracepoint/sched/sched_switch")
int from_id_in_tracepoint(void *context)
{
	if ((bpf_get_current_pid_tgid() >> 32) != pid_wanted)
		return 0;
	find();
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

SEC("?perf_event")
int from_id_in_perf_event(void *context)
{
	find();
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

/* 0: NULL, 1: found, 2: there is no cgroup to ask. */
SEC("?syscall")
int ancestor(void *context)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(id_wanted), *above;

	found_id = 0;
	found_level = -1;
	if (!cgroup)
		return 2;
	above = bpf_cgroup_ancestor(cgroup, level_wanted);
	bpf_cgroup_release(cgroup);
	if (!above)
		return 0;
	describe(above);
	bpf_cgroup_release(above);
	return 1;
}

/* 1: asked. */
SEC("?syscall")
int task_under(void *context)
{
	struct task_struct *task = bpf_task_from_pid(pid_wanted);
	struct cgroup *cgroup;
	int asked = 0;

	answer = -1;
	if (!task)
		return 2;
	cgroup = bpf_cgroup_from_id(id_wanted);
	if (cgroup) {
		answer = bpf_task_under_cgroup(task, cgroup);
		bpf_cgroup_release(cgroup);
		asked = 1;
	}
	bpf_task_release(task);
	return asked;
}

/* The current task's cgroup of version 2, reached through RCU. */
SEC("?syscall")
int own(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct cgroup *acquired;
	int there = 0;

	bpf_rcu_read_lock();
	acquired = bpf_cgroup_acquire(((struct task_struct___cgroups *)task)->cgroups->dfl_cgrp);
	if (acquired) {
		there = 1;
		describe(acquired);
		bpf_cgroup_release(acquired);
	}
	bpf_rcu_read_unlock();
	return there;
}

SEC("?syscall")
int of_version_1(void *context)
{
	struct cgroup *cgroup = bpf_task_get_cgroup1(bpf_get_current_task_btf(), hierarchy_wanted);

	found_id = 0;
	if (!cgroup)
		return 0;
	describe(cgroup);
	bpf_cgroup_release(cgroup);
	return 1;
}

/* Every way of getting a reference, over and over. */
SEC("?syscall")
int churn(void *context)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(id_wanted), *more;
	struct bpf_iter_num it;

	if (!cgroup)
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		more = bpf_cgroup_acquire(cgroup);
		if (more) {
			runs++;
			bpf_cgroup_release(more);
		}
		more = bpf_cgroup_ancestor(cgroup, level_wanted);
		if (more) {
			runs++;
			bpf_cgroup_release(more);
		}
		more = bpf_cgroup_from_id(id_wanted);
		if (more) {
			runs++;
			bpf_cgroup_release(more);
		}
	}
	bpf_iter_num_destroy(&it);
	bpf_cgroup_release(cgroup);
	return 1;
}

/* Leaves one reference behind, in a map. */
SEC("?syscall")
int keep(void *context)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct cgroup *cgroup, *old;

	if (!slot)
		return 0;
	cgroup = bpf_cgroup_from_id(id_wanted);
	if (!cgroup)
		return 0;
	old = bpf_kptr_xchg(&slot->cgroup, cgroup);
	if (old)
		bpf_cgroup_release(old);
	return 1;
}

/* Looks at it where it is: 1 when there is one. */
SEC("?syscall")
int read_kept(void *context)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct cgroup *cgroup, *acquired;
	int there = 0;

	found = 0;
	if (!slot)
		return 0;
	bpf_rcu_read_lock();
	cgroup = slot->cgroup;
	if (cgroup) {
		there = 1;
		describe(cgroup);
		acquired = bpf_cgroup_acquire(cgroup);
		if (acquired) {
			found = 1;
			bpf_cgroup_release(acquired);
		}
	}
	bpf_rcu_read_unlock();
	return there;
}

/* Takes it out again. */
SEC("?syscall")
int drop(void *context)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct cgroup *old;

	if (!slot)
		return 0;
	old = bpf_kptr_xchg(&slot->cgroup, 0);
	if (!old)
		return 0;
	bpf_cgroup_release(old);
	return 1;
}

char _license[] SEC("license") = "GPL";
