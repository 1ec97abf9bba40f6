// SPDX-License-Identifier: GPL-2.0-only
/* Local objects: made, shared, kept in lists, trees and fields, and counted. */
#include "lists.h"

/* In. */
__u64 key_wanted = 0;
int home_wanted = 0;
/* Out. */
__u64 found_key = 0;
int result = 0;
int users = 0;
int dirty = 0;
int shared = 0;
__u64 seen[8192];

static __always_inline int count_users(void)
{
	struct task_struct *task = bpf_task_from_pid(pid_wanted);
	int count;

	if (!task)
		return -1;
	count = task->rcu_users.refs.counter - 1;
	bpf_task_release(task);
	return count;
}

/* An object with a key and a reference to the task. */
static __always_inline struct kept_node *make(__u64 key)
{
	struct kept_node *node = object_new(struct kept_node);
	struct task_struct *task;

	if (!node)
		return 0;
	node->key = key;
	task = bpf_task_from_pid(pid_wanted);
	if (task) {
		task = bpf_kptr_xchg(&node->task, task);
		if (task) {
			/* what an object is made of had not been cleared */
			dirty++;
			bpf_task_release(task);
		}
	}
	return node;
}

SEC("?tc")
int new_and_drop(struct __sk_buff *skb)
{
	struct kept_node *node = make(key_wanted);

	if (!node)
		return 0;
	users = count_users();
	found_key = node->key;
	object_drop(node);
	return 1;
}

/* The memory of one object is that of the next: what was in its fields must not come back. */
SEC("?tc")
int churn(struct __sk_buff *skb)
{
	int made = 0;

	for (int i = 0; i < 64; i++) {
		struct kept_node *node = make(i);

		if (!node)
			break;
		made++;
		object_drop(node);
	}
	return made;
}

#define PUSH(name, head, push)                                                 \
	SEC("?tc")                                                             \
	int name(struct __sk_buff *skb)                                        \
	{                                                                      \
		struct home *at = home(home_wanted);                           \
		struct kept_node *node;                                             \
									       \
		if (!at)                                                       \
			return 10;                                             \
		node = make(key_wanted);                                       \
		if (!node)                                                     \
			return 11;                                             \
		bpf_spin_lock(&at->lock);                                      \
		result = push(&at->head, &node->list);                         \
		bpf_spin_unlock(&at->lock);                                    \
		return 1;                                                      \
	}

PUSH(list_push_front, first, push_front)
PUSH(list_push_back, first, push_back)

#define POP(name, head, pop)                                                   \
	SEC("?tc")                                                             \
	int name(struct __sk_buff *skb)                                        \
	{                                                                      \
		struct home *at = home(home_wanted);                           \
		struct bpf_list_node *popped;                                  \
		struct kept_node *node;                                             \
									       \
		if (!at)                                                       \
			return 10;                                             \
		bpf_spin_lock(&at->lock);                                      \
		popped = pop(&at->head);                                       \
		bpf_spin_unlock(&at->lock);                                    \
		if (!popped)                                                   \
			return 0;                                              \
		node = whole(popped, struct kept_node, list);                       \
		found_key = node->key;                                         \
		object_drop(node);                                             \
		return 1;                                                      \
	}

POP(list_pop_front, first, bpf_list_pop_front)
POP(list_pop_back, first, bpf_list_pop_back)

SEC("?tc")
int tree_insert(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct kept_node *node;

	if (!at)
		return 10;
	node = make(key_wanted);
	if (!node)
		return 11;
	bpf_spin_lock(&at->lock);
	result = tree_add(&at->left, &node->tree, less);
	bpf_spin_unlock(&at->lock);
	return 1;
}

SEC("?tc")
int tree_look_at_first(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct bpf_rb_node *first;
	__u64 key = 0;
	int there = 0;

	if (!at)
		return 10;
	bpf_spin_lock(&at->lock);
	first = bpf_rbtree_first(&at->left);
	if (first) {
		key = whole(first, struct kept_node, tree)->key;
		there = 1;
	}
	bpf_spin_unlock(&at->lock);
	found_key = key;
	return there;
}

SEC("?tc")
int tree_remove_first(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct bpf_rb_node *first;
	struct kept_node *node;

	if (!at)
		return 10;
	bpf_spin_lock(&at->lock);
	first = bpf_rbtree_first(&at->left);
	if (!first) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	first = bpf_rbtree_remove(&at->left, first);
	bpf_spin_unlock(&at->lock);
	if (!first)
		return 3;
	node = whole(first, struct kept_node, tree);
	found_key = node->key;
	object_drop(node);
	return 1;
}

/* 1: removed from the tree that it is in, after the other tree has said that it is not in there. */
SEC("?tc")
int tree_remove_from_other(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct bpf_rb_node *first, *removed;
	struct kept_node *node;

	if (!at)
		return 10;
	bpf_spin_lock(&at->lock);
	first = bpf_rbtree_first(&at->left);
	if (!first) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	removed = bpf_rbtree_remove(&at->right, first);
	bpf_spin_unlock(&at->lock);
	if (!removed)
		return 1;
	node = whole(removed, struct kept_node, tree);
	object_drop(node);
	return 2;
}

/* An object with two owners lives as long as one of them. */
SEC("?tc")
int share_and_drop(struct __sk_buff *skb)
{
	struct kept_node *node = make(key_wanted), *other;

	if (!node)
		return 0;
	/* what is owned is there: no test for NULL */
	other = object_share(node);
	object_drop(node);
	users = count_users();
	found_key = other->key;
	object_drop(other);
	return 1;
}

/* One owner puts it into a list, the other tries a second list: it is refused there, and that owner's share is gone. */
SEC("?tc")
int push_into_second_list(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct kept_node *node, *other;

	if (!at)
		return 10;
	node = make(key_wanted);
	if (!node)
		return 11;
	other = object_share(node);
	bpf_spin_lock(&at->lock);
	shared = push_back(&at->first, &node->list);
	result = push_back(&at->second, &other->list);
	bpf_spin_unlock(&at->lock);
	return 1;
}

/* The same with the list that it is in already. */
SEC("?tc")
int push_twice(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct kept_node *node, *other;

	if (!at)
		return 10;
	node = make(key_wanted);
	if (!node)
		return 11;
	other = object_share(node);
	bpf_spin_lock(&at->lock);
	shared = push_front(&at->first, &node->list);
	result = push_front(&at->first, &other->list);
	bpf_spin_unlock(&at->lock);
	return 1;
}

/* And with trees. */
SEC("?tc")
int insert_into_second_tree(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct kept_node *node, *other;

	if (!at)
		return 10;
	node = make(key_wanted);
	if (!node)
		return 11;
	other = object_share(node);
	bpf_spin_lock(&at->lock);
	shared = tree_add(&at->left, &node->tree, less);
	result = tree_add(&at->right, &other->tree, less);
	bpf_spin_unlock(&at->lock);
	return 1;
}

SEC("?tc")
int insert_twice(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct kept_node *node, *other;

	if (!at)
		return 10;
	node = make(key_wanted);
	if (!node)
		return 11;
	other = object_share(node);
	bpf_spin_lock(&at->lock);
	shared = tree_add(&at->left, &node->tree, less);
	result = tree_add(&at->left, &other->tree, less);
	bpf_spin_unlock(&at->lock);
	return 1;
}

/* In a list and in a tree at the same time. */
SEC("?tc")
int into_list_and_tree(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct kept_node *node, *other;

	if (!at)
		return 10;
	node = make(key_wanted);
	if (!node)
		return 11;
	other = object_share(node);
	bpf_spin_lock(&at->lock);
	shared = push_back(&at->first, &node->list);
	result = tree_add(&at->left, &other->tree, less);
	bpf_spin_unlock(&at->lock);
	return 1;
}

/* A share of what the tree owns: it is tested, and it outlives the tree's. */
SEC("?tc")
int share_of_first(struct __sk_buff *skb)
{
	struct home *at = home(home_wanted);
	struct bpf_rb_node *first;
	struct kept_node *node = 0, *removed;

	if (!at)
		return 10;
	bpf_spin_lock(&at->lock);
	first = bpf_rbtree_first(&at->left);
	if (!first) {
		bpf_spin_unlock(&at->lock);
		return 0;
	}
	node = object_share(whole(first, struct kept_node, tree));
	first = bpf_rbtree_first(&at->left);
	if (!first) {
		bpf_spin_unlock(&at->lock);
		if (node)
			object_drop(node);
		return 3;
	}
	first = bpf_rbtree_remove(&at->left, first);
	bpf_spin_unlock(&at->lock);
	if (first) {
		removed = whole(first, struct kept_node, tree);
		object_drop(removed);
	}
	if (!node)
		return 4;
	users = count_users();
	found_key = node->key;
	object_drop(node);
	return 1;
}

#ifdef WITH_FIELDS
/* Objects in fields of map values. */
struct kept_outer {
	__u64 number;
	struct kept_node __referenced *inner;
};

struct stash {
	struct kept_node __referenced *node;
	struct kept_outer __referenced *outer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct stash);
} stashes SEC(".maps");

static __always_inline struct stash *stash(void)
{
	return bpf_map_lookup_elem(&stashes, &home_wanted);
}

SEC("?tc")
int stash_node(struct __sk_buff *skb)
{
	struct stash *at = stash();
	struct kept_node *node;

	if (!at)
		return 10;
	node = make(key_wanted);
	if (!node)
		return 11;
	node = bpf_kptr_xchg(&at->node, node);
	if (!node)
		return 1;
	object_drop(node);
	return 2;
}

SEC("?tc")
int unstash_node(struct __sk_buff *skb)
{
	struct stash *at = stash();
	struct kept_node *node;

	if (!at)
		return 10;
	node = bpf_kptr_xchg(&at->node, 0);
	if (!node)
		return 0;
	found_key = node->key;
	users = count_users();
	object_drop(node);
	return 1;
}

/* A share of what is in the field: the section protects the memory, the count says whether it is alive. */
SEC("?tc")
int share_of_stashed(struct __sk_buff *skb)
{
	struct stash *at = stash();
	struct kept_node *node, *old;

	if (!at)
		return 10;
	node = at->node;
	if (!node)
		return 0;
	node = object_share(node);
	if (!node)
		return 3;
	old = bpf_kptr_xchg(&at->node, 0);
	if (old)
		object_drop(old);
	users = count_users();
	found_key = node->key;
	object_drop(node);
	return 1;
}

/* Once the last share is dropped there is none to be had. */
SEC("?tc")
int share_of_dropped(struct __sk_buff *skb)
{
	struct stash *at = stash();
	struct kept_node *node, *old;

	if (!at)
		return 10;
	node = at->node;
	if (!node)
		return 0;
	old = bpf_kptr_xchg(&at->node, 0);
	if (old)
		object_drop(old);
	node = object_share(node);
	if (!node)
		return 1;
	object_drop(node);
	return 2;
}

/* One object inside the other. */
static __always_inline struct kept_outer *make_outer(void)
{
	struct kept_outer *outer = object_new(struct kept_outer);
	struct kept_node *node;

	if (!outer)
		return 0;
	outer->number = 7;
	node = make(key_wanted);
	if (node) {
		node = bpf_kptr_xchg(&outer->inner, node);
		if (node) {
			dirty++;
			object_drop(node);
		}
	}
	return outer;
}

SEC("?tc")
int nest_and_drop(struct __sk_buff *skb)
{
	struct kept_outer *outer = make_outer();

	if (!outer)
		return 11;
	users = count_users();
	object_drop(outer);
	return 1;
}

SEC("?tc")
int nest_and_stash(struct __sk_buff *skb)
{
	struct stash *at = stash();
	struct kept_outer *outer;

	if (!at)
		return 10;
	outer = make_outer();
	if (!outer)
		return 11;
	outer = bpf_kptr_xchg(&at->outer, outer);
	if (!outer)
		return 1;
	object_drop(outer);
	return 2;
}

SEC("?tc")
int unstash_nested(struct __sk_buff *skb)
{
	struct stash *at = stash();
	struct kept_outer *outer;
	struct kept_node *node;

	if (!at)
		return 10;
	outer = bpf_kptr_xchg(&at->outer, 0);
	if (!outer)
		return 0;
	node = bpf_kptr_xchg(&outer->inner, 0);
	object_drop(outer);
	if (!node)
		return 3;
	users = count_users();
	found_key = node->key;
	object_drop(node);
	return 1;
}
#endif

/* For two processors at once: each pushes keys of its own and pops whatever comes. */
#define HERD 64

SEC("?tc")
int push_and_pop_many(struct __sk_buff *skb)
{
	struct home *at = home(0);
	int in = 0;

	if (!at)
		return 10;
	for (int i = 0; i < HERD; i++) {
		struct bpf_list_node *popped = 0;
		struct kept_node *node = make(__sync_fetch_and_add(&key_wanted, 1));

		if (!node)
			break;
		in++;
		bpf_spin_lock(&at->lock);
		push_back(&at->first, &node->list);
		/* one in four stays */
		if (i & 3)
			popped = bpf_list_pop_front(&at->first);
		bpf_spin_unlock(&at->lock);
		if (!popped)
			continue;
		node = whole(popped, struct kept_node, list);
		if (node->key < sizeof(seen) / sizeof(seen[0]))
			__sync_fetch_and_add(&seen[node->key & 8191], 1);
		object_drop(node);
	}
	return in;
}

SEC("?tc")
int insert_and_remove_many(struct __sk_buff *skb)
{
	struct home *at = home(0);
	int in = 0;

	if (!at)
		return 10;
	for (int i = 0; i < HERD; i++) {
		struct bpf_rb_node *first = 0;
		struct kept_node *node = make(__sync_fetch_and_add(&key_wanted, 1));

		if (!node)
			break;
		in++;
		bpf_spin_lock(&at->lock);
		tree_add(&at->left, &node->tree, less);
		if (i & 3) {
			first = bpf_rbtree_first(&at->left);
			if (first)
				first = bpf_rbtree_remove(&at->left, first);
		}
		bpf_spin_unlock(&at->lock);
		if (!first)
			continue;
		node = whole(first, struct kept_node, tree);
		if (node->key < sizeof(seen) / sizeof(seen[0]))
			__sync_fetch_and_add(&seen[node->key & 8191], 1);
		object_drop(node);
	}
	return in;
}

char _license[] SEC("license") = "GPL";
