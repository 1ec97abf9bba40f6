/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's sets of processors, as far as the programs here use them. */
#pragma once

#include "kfuncs.h"

struct cpumask {
	unsigned long bits[1];
} CO_RE;

struct bpf_cpumask {
	struct cpumask cpumask;
	refcount_t usage;
} CO_RE;

struct task_struct___cpus {
	const struct cpumask *cpus_ptr;
} CO_RE;

/* kernel/bpf/cpumask.c */
struct bpf_cpumask *bpf_cpumask_create(void) __ksym_weak;
struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *cpumask) __ksym_weak;
void bpf_cpumask_release(struct bpf_cpumask *cpumask) __ksym_weak;
__u32 bpf_cpumask_first(const struct cpumask *cpumask) __ksym_weak;
__u32 bpf_cpumask_first_zero(const struct cpumask *cpumask) __ksym_weak;
__u32 bpf_cpumask_first_and(const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
void bpf_cpumask_set_cpu(__u32 cpu, struct bpf_cpumask *cpumask) __ksym_weak;
void bpf_cpumask_clear_cpu(__u32 cpu, struct bpf_cpumask *cpumask) __ksym_weak;
_Bool bpf_cpumask_test_cpu(__u32 cpu, const struct cpumask *cpumask) __ksym_weak;
_Bool bpf_cpumask_test_and_set_cpu(__u32 cpu, struct bpf_cpumask *cpumask) __ksym_weak;
_Bool bpf_cpumask_test_and_clear_cpu(__u32 cpu, struct bpf_cpumask *cpumask) __ksym_weak;
void bpf_cpumask_setall(struct bpf_cpumask *cpumask) __ksym_weak;
void bpf_cpumask_clear(struct bpf_cpumask *cpumask) __ksym_weak;
_Bool bpf_cpumask_and(struct bpf_cpumask *dst, const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
void bpf_cpumask_or(struct bpf_cpumask *dst, const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
void bpf_cpumask_xor(struct bpf_cpumask *dst, const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
_Bool bpf_cpumask_equal(const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
_Bool bpf_cpumask_intersects(const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
_Bool bpf_cpumask_subset(const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
_Bool bpf_cpumask_empty(const struct cpumask *cpumask) __ksym_weak;
_Bool bpf_cpumask_full(const struct cpumask *cpumask) __ksym_weak;
void bpf_cpumask_copy(struct bpf_cpumask *dst, const struct cpumask *src) __ksym_weak;
__u32 bpf_cpumask_any_distribute(const struct cpumask *cpumask) __ksym_weak;
__u32 bpf_cpumask_any_and_distribute(const struct cpumask *src1, const struct cpumask *src2) __ksym_weak;
__u32 bpf_cpumask_weight(const struct cpumask *cpumask) __ksym_weak;
int bpf_cpumask_populate(struct bpf_cpumask *cpumask, void *src, __u64 src__sz) __ksym_weak;

struct kept_mask {
	struct bpf_cpumask __kptr_referenced *mask;
};

/* Two of them: what one holds is seen through the other when the first is gone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept_mask);
} masks SEC(".maps"), more_masks SEC(".maps");

static __always_inline struct kept_mask *mask_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&masks, &key);
}

static __always_inline struct kept_mask *other_mask_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&more_masks, &key);
}
