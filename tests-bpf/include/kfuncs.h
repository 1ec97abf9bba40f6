/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's types and functions, as far as the programs here use them. Types are relocated by CO-RE. Functions are
 * weak, so that an object opens where one of them is missing: what a program needs is asked by its case.
 */
#pragma once

#include "bpftest.h"
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define __ksym_weak __ksym __weak
#ifndef __kptr_referenced
#define __kptr_referenced __attribute__((btf_type_tag("kptr")))
#endif
#define CO_RE __attribute__((preserve_access_index))

typedef struct {
	int counter;
} atomic_t;

typedef struct refcount_struct {
	atomic_t refs;
} CO_RE refcount_t;

struct path {
	void *mnt;
	void *dentry;
} CO_RE;

struct fs_struct {
	struct path root;
} CO_RE;

struct task_struct {
	int pid;
	int tgid;
	refcount_t usage;
	refcount_t rcu_users;
	struct task_struct *parent;
	struct fs_struct *fs;
} CO_RE;

struct file {
	unsigned int f_flags;
	struct path f_path;
} CO_RE;

struct dentry;

/* bpf_helpers (kernel/bpf/helpers.c) */
struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym_weak;
void bpf_task_release(struct task_struct *p) __ksym_weak;
struct task_struct *bpf_task_from_pid(__s32 pid) __ksym_weak;
void bpf_rcu_read_lock(void) __ksym_weak;
void bpf_rcu_read_unlock(void) __ksym_weak;
void bpf_preempt_disable(void) __ksym_weak;
void bpf_preempt_enable(void) __ksym_weak;
void bpf_throw(__u64 cookie) __ksym_weak;
int bpf_copy_from_user_str(void *dst, __u32 dst__sz, const void *unsafe_ptr__ign, __u64 flags) __ksym_weak;

/* bpf_iter_num: open-coded loops, which the verifier walks once, not n times. */
struct bpf_iter_num {
	__u64 opaque[1];
} __attribute__((aligned(8)));
int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym_weak;
int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym_weak;
void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym_weak;

/* fs/bpf_fs_kfuncs.c */
struct file *bpf_get_task_exe_file(struct task_struct *task) __ksym_weak;
void bpf_put_file(struct file *file) __ksym_weak;
int bpf_path_d_path(struct path *path, char *buf, __u64 buf__sz) __ksym_weak;
int bpf_get_file_xattr(struct file *file, const char *name__str, struct bpf_dynptr *value_p) __ksym_weak;
