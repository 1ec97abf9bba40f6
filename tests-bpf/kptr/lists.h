/* SPDX-License-Identifier: GPL-2.0-only */
/* Lists and trees of objects, each of which holds a reference to a task: how many are left is seen by its count. */
#pragma once

/* Types of a program's own have names that the kernel's do not have: it looks there first. */
#include "kptr.h"

struct kept_node {
	struct bpf_list_node list;
	struct bpf_rb_node tree;
	struct bpf_refcount shares;
	__u64 key;
	struct task_struct __referenced *task;
};

struct home {
	struct bpf_spin_lock lock;
	struct bpf_list_head first __contains(kept_node, list);
	struct bpf_list_head second __contains(kept_node, list);
	struct bpf_rb_root left __contains(kept_node, tree);
	struct bpf_rb_root right __contains(kept_node, tree);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct home);
} homes SEC(".maps");

static __always_inline struct home *home(int key)
{
	return bpf_map_lookup_elem(&homes, &key);
}

static _Bool __attribute__((unused)) less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return whole(a, struct kept_node, tree)->key < whole(b, struct kept_node, tree)->key;
}
