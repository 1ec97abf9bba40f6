/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's cgroups, as far as the programs here use them. */
#pragma once

#include "kfuncs.h"

struct kernfs_node {
	__u64 id;
} CO_RE;

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *dom_cgrp;
} CO_RE;

struct css_set {
	struct cgroup *dfl_cgrp;
} CO_RE;

struct task_struct___cgroups {
	struct css_set *cgroups;
} CO_RE;

/* kernel/bpf/helpers.c */
struct cgroup *bpf_cgroup_acquire(struct cgroup *cgrp) __ksym_weak;
void bpf_cgroup_release(struct cgroup *cgrp) __ksym_weak;
struct cgroup *bpf_cgroup_ancestor(struct cgroup *cgrp, int level) __ksym_weak;
struct cgroup *bpf_cgroup_from_id(__u64 cgid) __ksym_weak;
long bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor) __ksym_weak;
struct cgroup *bpf_task_get_cgroup1(struct task_struct *task, int hierarchy_id) __ksym_weak;

struct kept_cgroup {
	struct cgroup __kptr_referenced *cgroup;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept_cgroup);
} cgroups SEC(".maps");

static __always_inline struct kept_cgroup *cgroup_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&cgroups, &key);
}
