/* SPDX-License-Identifier: GPL-2.0-only */
/* Open-coded iterators of every kind, and what they go through. */
#pragma once

#include "kfuncs.h"

#define ITER(name, words) \
	struct bpf_iter_##name { \
		__u64 opaque[words]; \
	} __attribute__((aligned(8))); \
	void bpf_iter_##name##_destroy(struct bpf_iter_##name *it) __ksym_weak

struct kernfs_node {
	__u64 id;
} CO_RE;

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
} CO_RE;

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
} CO_RE;

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
} CO_RE;

struct kmem_cache {
	const char *name;
	unsigned int size;
} CO_RE;

struct dma_buf {
	unsigned long size;
	const char *name;
} CO_RE;

ITER(task, 3);
int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task__nullable, unsigned int flags) __ksym_weak;
struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym_weak;

ITER(task_vma, 1);
int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, __u64 addr) __ksym_weak;
struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym_weak;

ITER(css, 3);
int bpf_iter_css_new(struct bpf_iter_css *it, struct cgroup_subsys_state *start, unsigned int flags) __ksym_weak;
struct cgroup_subsys_state *bpf_iter_css_next(struct bpf_iter_css *it) __ksym_weak;

ITER(css_task, 1);
int bpf_iter_css_task_new(struct bpf_iter_css_task *it, struct cgroup_subsys_state *css,
			  unsigned int flags) __ksym_weak;
struct task_struct *bpf_iter_css_task_next(struct bpf_iter_css_task *it) __ksym_weak;

ITER(bits, 2);
int bpf_iter_bits_new(struct bpf_iter_bits *it, const __u64 *unsafe_ptr__ign, __u32 nr_words) __ksym_weak;
int *bpf_iter_bits_next(struct bpf_iter_bits *it) __ksym_weak;

ITER(kmem_cache, 1);
int bpf_iter_kmem_cache_new(struct bpf_iter_kmem_cache *it) __ksym_weak;
struct kmem_cache *bpf_iter_kmem_cache_next(struct bpf_iter_kmem_cache *it) __ksym_weak;

ITER(dmabuf, 1);
int bpf_iter_dmabuf_new(struct bpf_iter_dmabuf *it) __ksym_weak;
struct dma_buf *bpf_iter_dmabuf_next(struct bpf_iter_dmabuf *it) __ksym_weak;

struct cgroup *bpf_cgroup_from_id(__u64 cgid) __ksym_weak;
void bpf_cgroup_release(struct cgroup *cgrp) __ksym_weak;
