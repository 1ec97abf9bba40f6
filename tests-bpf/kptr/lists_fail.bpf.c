// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local objects, lists and trees in programs that the verifier must refuse, one behaviour in each. The annotations
 * carry the message of Linux 6.12; those of other versions are in the suite.
 */
#include "lists.h"

int sink = 0;
__u64 number = 0;

SEC("?tc")
__failure __msg("Unreleased reference")
int leak(struct __sk_buff *skb)
{
	sink = object_new(struct kept_node) != 0;
	return 0;
}

SEC("?tc")
__failure __msg("R0 invalid mem access 'ptr_or_null_'")
int write_untested(struct __sk_buff *skb)
{
	struct kept_node *node = object_new(struct kept_node);

	node->key = 1;
	object_drop(node);
	return 0;
}

SEC("?tc")
__failure __msg("invalid mem access 'scalar'")
int use_after_drop(struct __sk_buff *skb)
{
	struct kept_node *node = object_new(struct kept_node);

	if (!node)
		return 0;
	object_drop(node);
	number = node->key;
	return 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int leak_share(struct __sk_buff *skb)
{
	struct kept_node *node = object_new(struct kept_node);

	if (!node)
		return 0;
	sink = object_share(node) != 0;
	object_drop(node);
	return 0;
}

SEC("?tc")
__failure __msg("R1 must have zero offset when passed to release func")
int drop_inside(struct __sk_buff *skb)
{
	struct kept_node *node = object_new(struct kept_node);

	if (!node)
		return 0;
	object_drop((void *)&node->key);
	return 0;
}

union either {
	__u64 a;
	__u32 b;
};

SEC("?tc")
__failure __msg("type ID argument must be of a struct")
int new_union(struct __sk_buff *skb)
{
	void *object = bpf_obj_new_impl(bpf_core_type_id_local(union either), 0);

	if (object)
		object_drop(object);
	return 0;
}

SEC("?tc")
__failure __msg("type ID argument must be of a struct")
int new_integer(struct __sk_buff *skb)
{
	void *object = bpf_obj_new_impl(bpf_core_type_id_local(int), 0);

	if (object)
		object_drop(object);
	return 0;
}

/* Fields that only functions may touch: in an object, and in a map's value. */
struct guarded {
	struct bpf_spin_lock lock;
	struct bpf_list_head head __contains(kept_node, list);
	__u64 key;
};

#define DIRECT(name, type, member)                                             \
	SEC("?tc")                                                             \
	__failure __msg("direct access to bpf_")                               \
	int name(struct __sk_buff *skb)                                        \
	{                                                                      \
		struct type *object = object_new(struct type);                 \
									       \
		if (!object)                                                   \
			return 0;                                              \
		sink = *(volatile int *)&object->member;                       \
		object_drop(object);                                           \
		return 0;                                                      \
	}                                                                      \
	SEC("?tc")                                                             \
	__failure __msg("direct access to bpf_")                               \
	int name##_write(struct __sk_buff *skb)                                \
	{                                                                      \
		struct type *object = object_new(struct type);                 \
									       \
		if (!object)                                                   \
			return 0;                                              \
		*(volatile int *)&object->member = 0;                          \
		object_drop(object);                                           \
		return 0;                                                      \
	}

DIRECT(touch_lock, guarded, lock)
DIRECT(touch_head, guarded, head)
DIRECT(touch_list_node, kept_node, list)
DIRECT(touch_tree_node, kept_node, tree)
DIRECT(touch_refcount, kept_node, shares)

SEC("?tc")
__failure __msg("bpf_spin_lock at off=0 must be held for bpf_list_head")
int push_unlocked(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct kept_node *node;

	if (!at)
		return 0;
	node = object_new(struct kept_node);
	if (!node)
		return 0;
	push_front(&at->first, &node->list);
	return 0;
}

SEC("?tc")
__failure __msg("bpf_spin_lock at off=0 must be held for bpf_list_head")
int pop_unlocked(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct bpf_list_node *popped;
	struct kept_node *node;

	if (!at)
		return 0;
	popped = bpf_list_pop_back(&at->first);
	if (!popped)
		return 0;
	node = whole(popped, struct kept_node, list);
	object_drop(node);
	return 0;
}

SEC("?tc")
__failure __msg("bpf_spin_lock at off=0 must be held for bpf_rb_root")
int insert_unlocked(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct kept_node *node;

	if (!at)
		return 0;
	node = object_new(struct kept_node);
	if (!node)
		return 0;
	tree_add(&at->left, &node->tree, less);
	return 0;
}

SEC("?tc")
__failure __msg("arg#1 expected pointer to allocated object")
int push_again(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct kept_node *node;

	if (!at)
		return 0;
	node = object_new(struct kept_node);
	if (!node)
		return 0;
	bpf_spin_lock(&at->lock);
	push_front(&at->first, &node->list);
	push_front(&at->first, &node->list);
	bpf_spin_unlock(&at->lock);
	return 0;
}

SEC("?tc")
__failure __msg("invalid mem access 'scalar'")
int use_after_unlock(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct kept_node *node;

	if (!at)
		return 0;
	node = object_new(struct kept_node);
	if (!node)
		return 0;
	bpf_spin_lock(&at->lock);
	push_front(&at->first, &node->list);
	bpf_spin_unlock(&at->lock);
	number = node->key;
	return 0;
}

SEC("?tc")
__failure __msg("held lock and object are not in the same allocation")
int push_under_other_lock(struct __sk_buff *skb)
{
	struct home *at = home(0), *other = home(1);
	struct kept_node *node;

	if (!at || !other)
		return 0;
	node = object_new(struct kept_node);
	if (!node)
		return 0;
	bpf_spin_lock(&at->lock);
	push_front(&other->first, &node->list);
	bpf_spin_unlock(&at->lock);
	return 0;
}

/* Callbacks that order a tree's nodes may do nothing but look at them. A lookup would be refused before anything else. */
__hidden_section(tree) struct bpf_spin_lock global_lock;
__hidden_section(tree) struct bpf_rb_root global_root __contains(kept_node, tree);

static _Bool less_that_unlocks(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_spin_unlock(&global_lock);
	return 0;
}

static _Bool less_that_locks(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_spin_lock(&global_lock);
	return 0;
}

static _Bool less_that_adds(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	tree_add(&global_root, a, less);
	return 0;
}

static _Bool less_that_removes(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_rbtree_remove(&global_root, a);
	return 0;
}

static _Bool less_in_section(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

#define INSERT_WITH(callback, text)                                            \
	SEC("?tc")                                                             \
	__failure __msg(text)                                                  \
	int insert_with_##callback(struct __sk_buff *skb)                      \
	{                                                                      \
		struct kept_node *node = object_new(struct kept_node);         \
									       \
		if (!node)                                                     \
			return 0;                                              \
		bpf_spin_lock(&global_lock);                                   \
		tree_add(&global_root, &node->tree, callback);                 \
		bpf_spin_unlock(&global_lock);                                 \
		return 0;                                                      \
	}

INSERT_WITH(less_that_unlocks, "can't spin_{lock,unlock} in rbtree cb")
INSERT_WITH(less_that_locks, "function calls are not allowed while holding a lock")
INSERT_WITH(less_that_adds, "arg#1 expected pointer to allocated object")
INSERT_WITH(less_that_removes, "rbtree_remove not allowed in rbtree cb")
INSERT_WITH(less_in_section, "function calls are not allowed while holding a lock")

/* In no tree: refused up to 6.15 or so, later the kernel says so when asked. */
SEC("?tc")
__failure __msg("rbtree_remove node input must be non-owning ref")
int remove_unadded(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct bpf_rb_node *removed;
	struct kept_node *node, *found;
	int there;

	if (!at)
		return 10;
	node = object_new(struct kept_node);
	if (!node)
		return 11;
	bpf_spin_lock(&at->lock);
	removed = bpf_rbtree_remove(&at->left, &node->tree);
	bpf_spin_unlock(&at->lock);
	there = removed != 0;
	if (removed) {
		found = whole(removed, struct kept_node, tree);
		object_drop(found);
	}
	object_drop(node);
	return 1 + there;
}

SEC("?tc")
__failure __msg("dereference of modified ptr_or_null_ ptr R2 off=24 disallowed")
int insert_untested(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct bpf_rb_node *first;
	struct kept_node *node;

	if (!at)
		return 0;
	bpf_spin_lock(&at->lock);
	first = bpf_rbtree_first(&at->left);
	if (!first) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	first = bpf_rbtree_remove(&at->left, first);
	node = whole(first, struct kept_node, tree);
	tree_add(&at->left, &node->tree, less);
	bpf_spin_unlock(&at->lock);
	return 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int remove_and_leak(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct bpf_rb_node *first;

	if (!at)
		return 0;
	bpf_spin_lock(&at->lock);
	first = bpf_rbtree_first(&at->left);
	if (!first) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	first = bpf_rbtree_remove(&at->left, first);
	bpf_spin_unlock(&at->lock);
	sink = first != 0;
	return 0;
}

/* A share of what somebody else owns may not be had. */
SEC("?tc")
__failure __msg("Possibly NULL pointer passed to")
int share_untested(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct bpf_rb_node *first;
	struct kept_node *node;

	if (!at)
		return 0;
	bpf_spin_lock(&at->lock);
	first = bpf_rbtree_first(&at->left);
	if (!first) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	node = object_share(whole(first, struct kept_node, tree));
	bpf_spin_unlock(&at->lock);
	object_drop(node);
	return 0;
}

SEC("?tc")
__failure __msg("arg#0 is neither owning or non-owning ref")
int share_context(struct __sk_buff *skb)
{
	void *shared = object_share(skb);

	if (shared)
		object_drop(shared);
	return 0;
}

#define TRACING(name, section)                                                 \
	SEC("?" section)                                                       \
	__failure __msg("tracing progs cannot use bpf_{list_head,rb_root} yet") \
	int name(void *context)                                                \
	{                                                                      \
		sink = home(0) != 0;                                           \
		return 0;                                                      \
	}

TRACING(list_in_kprobe, "kprobe/bpf_fentry_test1")
TRACING(list_in_tracepoint, "tracepoint/sched/sched_switch")
TRACING(list_in_perf_event, "perf_event")
TRACING(list_in_raw_tracepoint, "raw_tp/sched_switch")

/* Where a program may run in an NMI: what dropping does is not safe there. */
struct with_field {
	__u64 key;
	struct task_struct __referenced *task;
};

SEC("?fentry/bpf_fentry_test1")
__failure __msg("bpf_obj_drop cannot be used in tracing programs on types with NMI unsafe fields")
int drop_in_tracing(void *context)
{
	struct with_field *object = object_new(struct with_field);

	if (object)
		object_drop(object);
	return 0;
}

/* 7.2 */
int bpf_list_add(struct bpf_list_head *head, struct bpf_list_node *new, struct bpf_list_node *prev) __ksym_weak;
struct bpf_list_node *bpf_list_del(struct bpf_list_head *head, struct bpf_list_node *node) __ksym_weak;
struct bpf_list_node *bpf_list_front(struct bpf_list_head *head) __ksym_weak;

SEC("?tc")
__failure __msg("bpf_spin_lock at off=0 must be held for bpf_list_head")
int del_unlocked(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct bpf_list_node *front, *removed;
	struct kept_node *node;

	if (!at)
		return 0;
	bpf_spin_lock(&at->lock);
	front = bpf_list_front(&at->first);
	if (!front) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	node = object_share(whole(front, struct kept_node, list));
	bpf_spin_unlock(&at->lock);
	if (!node)
		return 0;
	removed = bpf_list_del(&at->first, &node->list);
	if (removed) {
		struct kept_node *gone = whole(removed, struct kept_node, list);

		object_drop(gone);
	}
	object_drop(node);
	return 0;
}

SEC("?tc")
__failure __msg("bpf_spin_lock at off=0 must be held for bpf_list_head")
int add_unlocked(struct __sk_buff *skb)
{
	struct home *at = home(0);
	struct bpf_list_node *front;
	struct kept_node *node, *new;

	if (!at)
		return 0;
	bpf_spin_lock(&at->lock);
	front = bpf_list_front(&at->first);
	if (!front) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	node = object_share(whole(front, struct kept_node, list));
	bpf_spin_unlock(&at->lock);
	if (!node)
		return 0;
	new = object_new(struct kept_node);
	if (new)
		bpf_list_add(&at->first, &new->list, &node->list);
	object_drop(node);
	return 0;
}

char _license[] SEC("license") = "GPL";
