/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs about kptrs share.
 *
 * A type tag means one thing up to 6.3 and another from 6.4 on ("kptr" was the unreferenced field), and what may be
 * kept changed too: 6.1 has no destructor but those of its own test types. A source that is for both sides says
 * OBJECT, __referenced and __unreferenced, and is built a second time with KPTR_OLD defined (<name>_old.bpf.c).
 */
#pragma once

/* Older headers lack these, newer ones have them: ours are used with either. */
#define bpf_list_head uapi_bpf_list_head
#define bpf_list_node uapi_bpf_list_node
#define bpf_rb_root uapi_bpf_rb_root
#define bpf_rb_node uapi_bpf_rb_node
#define bpf_refcount uapi_bpf_refcount
#include "kfuncs.h"
#undef bpf_list_head
#undef bpf_list_node
#undef bpf_rb_root
#undef bpf_rb_node
#undef bpf_refcount

struct bpf_list_head {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_list_node {
	__u64 opaque[3];
} __attribute__((aligned(8)));

struct bpf_rb_root {
	__u64 opaque[2];
} __attribute__((aligned(8)));

struct bpf_rb_node {
	__u64 opaque[4];
} __attribute__((aligned(8)));

struct bpf_refcount {
	__u32 opaque[1];
} __attribute__((aligned(4)));

#define __tagged(text) __attribute__((btf_type_tag(text)))
#define __contains(type, member) __attribute__((btf_decl_tag("contains:" #type ":" #member)))
#define __hidden_section(name) SEC(".data." #name) __attribute__((visibility("hidden"))) __attribute__((aligned(8)))

struct prog_test_member1 {
	int a;
} CO_RE;

struct prog_test_member {
	struct prog_test_member1 m;
	int c;
} CO_RE;

struct prog_test_ref_kfunc {
	int a;
	int b;
	struct prog_test_member memb;
	struct prog_test_ref_kfunc *next;
	refcount_t cnt;
} CO_RE;

/* net/bpf/test_run.c up to 6.3, from 6.4 on in a module for tests alone */
struct prog_test_ref_kfunc *bpf_kfunc_call_test_acquire(unsigned long *sp) __ksym_weak;
struct prog_test_ref_kfunc *bpf_kfunc_call_test_kptr_get(struct prog_test_ref_kfunc **pp, int a, int b) __ksym_weak;
void bpf_kfunc_call_test_release(struct prog_test_ref_kfunc *p) __ksym_weak;

/* The process that tasks are acquired of. */
int pid_wanted = 1;

#ifdef KPTR_OLD
#define __referenced __tagged("kptr_ref")
#define __unreferenced __tagged("kptr")
#define OBJECT struct prog_test_ref_kfunc
#define OTHER struct prog_test_member
#define COUNT(object) ((object)->cnt.refs.counter)
#define IDENTITY(object) ((object)->a)

static __always_inline OBJECT *acquire(void)
{
	unsigned long where = 0;

	return bpf_kfunc_call_test_acquire(&where);
}

static __always_inline void release(OBJECT *object)
{
	bpf_kfunc_call_test_release(object);
}
#else
#define __referenced __tagged("kptr")
#define __unreferenced __tagged("kptr_untrusted")
#define OBJECT struct task_struct
#define OTHER struct prog_test_member
#define COUNT(object) ((object)->rcu_users.refs.counter)
#define IDENTITY(object) ((object)->pid)

static __always_inline OBJECT *acquire(void)
{
	return bpf_task_from_pid(pid_wanted);
}

static __always_inline void release(OBJECT *object)
{
	bpf_task_release(object);
}
#endif

/* kernel/bpf/helpers.c: the names that 7.2 still takes, whose last arguments the verifier fills in */
void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym_weak;
void bpf_obj_drop_impl(void *object, void *meta) __ksym_weak;
void *bpf_percpu_obj_new_impl(__u64 local_type_id, void *meta) __ksym_weak;
void bpf_percpu_obj_drop_impl(void *object, void *meta) __ksym_weak;
void *bpf_refcount_acquire_impl(void *object, void *meta) __ksym_weak;
int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta,
			     __u64 off) __ksym_weak;
int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta,
			    __u64 off) __ksym_weak;
struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym_weak;
struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) __ksym_weak;
int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			_Bool (*less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta,
			__u64 off) __ksym_weak;
struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym_weak;
struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym_weak;

#define object_new(type) ((type *)bpf_obj_new_impl(bpf_core_type_id_local(type), 0))
#define object_drop(object) bpf_obj_drop_impl(object, 0)
#define object_share(object) bpf_refcount_acquire_impl(object, 0)
#define percpu_new(type) ((type __tagged("percpu_kptr") *)bpf_percpu_obj_new_impl(bpf_core_type_id_local(type), 0))
#define percpu_drop(object) bpf_percpu_obj_drop_impl(object, 0)
#define push_front(head, node) bpf_list_push_front_impl(head, node, 0, 0)
#define push_back(head, node) bpf_list_push_back_impl(head, node, 0, 0)
#define tree_add(root, node, less) bpf_rbtree_add_impl(root, node, less, 0, 0)
#define whole(pointer, type, member) ((type *)((void *)(pointer) - __builtin_offsetof(type, member)))
