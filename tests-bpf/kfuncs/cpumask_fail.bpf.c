// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cpumask kfuncs in programs that the verifier must refuse, one behaviour in each. The annotations are those of the
 * kernel's own selftests and carry the message of Linux 6.12; those of other versions are in the suite.
 */
#include "cpumask.h"

/* Keeps the compiler from dropping what a program reads. */
__u64 sink = 0;

SEC("?tp_btf/task_newtask")
__failure __msg("Unreleased reference")
int BPF_PROG(leak, struct task_struct *task, __u64 clone_flags)
{
	sink = bpf_cpumask_create() != 0;
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_acquired, struct task_struct *task, __u64 clone_flags)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	sink = bpf_cpumask_acquire(mask) != 0;
	bpf_cpumask_release(mask);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_exchanged, struct task_struct *task, __u64 clone_flags)
{
	struct kept_mask *slot = mask_slot();
	struct bpf_cpumask *mask;

	if (!slot)
		return 0;
	mask = bpf_cpumask_create();
	if (!mask)
		return 0;
	sink = bpf_kptr_xchg(&slot->mask, mask) != 0;
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(release_unchecked, struct task_struct *task, __u64 clone_flags)
{
	bpf_cpumask_release(bpf_cpumask_create());
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("R1 type=scalar expected=fp")
int BPF_PROG(release_twice, struct task_struct *task, __u64 clone_flags)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	bpf_cpumask_release(mask);
	bpf_cpumask_release(mask);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("must be referenced")
int BPF_PROG(acquire_borrowed, struct task_struct *task, __u64 clone_flags)
{
	struct bpf_cpumask *mask;

	mask = bpf_cpumask_acquire((struct bpf_cpumask *)((struct task_struct___cpus *)task)->cpus_ptr);
	bpf_cpumask_release(mask);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("bpf_cpumask_set_cpu args#1 expected pointer to STRUCT bpf_cpumask")
int BPF_PROG(set_borrowed, struct task_struct *task, __u64 clone_flags)
{
	bpf_cpumask_set_cpu(0, (struct bpf_cpumask *)((struct task_struct___cpus *)task)->cpus_ptr);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Possibly NULL pointer passed to trusted arg1")
int BPF_PROG(set_unchecked_kptr, struct task_struct *task, __u64 clone_flags)
{
	struct kept_mask *slot = mask_slot();

	if (!slot)
		return 0;
	bpf_cpumask_set_cpu(0, slot->mask);
	return 0;
}

SEC("?syscall")
__failure __msg("R2 must be a rcu pointer")
int set_outside_rcu(void *context)
{
	struct kept_mask *slot = mask_slot();
	struct bpf_cpumask *mask;

	if (!slot)
		return 0;
	mask = slot->mask;
	if (!mask)
		return 0;
	bpf_cpumask_set_cpu(0, mask);
	return 0;
}

SEC("?syscall")
__failure __msg("R2 must be a rcu pointer")
int test_outside_rcu(void *context)
{
	struct kept_mask *slot = mask_slot();
	struct bpf_cpumask *mask;

	if (!slot)
		return 0;
	bpf_rcu_read_lock();
	mask = slot->mask;
	bpf_rcu_read_unlock();
	if (!mask)
		return 0;
	sink = bpf_cpumask_test_cpu(0, (const struct cpumask *)mask);
	return 0;
}

/* From Linux 6.15 on; the annotations are of 6.18. */
SEC("?tp_btf/task_newtask")
__failure __msg("type=scalar expected=fp")
int BPF_PROG(populate_number, struct task_struct *task, __u64 clone_flags)
{
	__u64 bits = 1;

	sink = bpf_cpumask_populate((struct bpf_cpumask *)0x123456, &bits, sizeof(bits));
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("leads to invalid memory access")
int BPF_PROG(populate_from_number, struct task_struct *task, __u64 clone_flags)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	sink = bpf_cpumask_populate(mask, (void *)0x123456, 8);
	bpf_cpumask_release(mask);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("leads to invalid memory access")
int BPF_PROG(populate_too_long, struct task_struct *task, __u64 clone_flags)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();
	__u64 bits = 1;

	if (!mask)
		return 0;
	sink = bpf_cpumask_populate(mask, &bits, 2 * sizeof(bits));
	bpf_cpumask_release(mask);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("expected pointer to STRUCT bpf_cpumask")
int BPF_PROG(populate_borrowed, struct task_struct *task, __u64 clone_flags)
{
	__u64 bits = 1;

	sink = bpf_cpumask_populate((struct bpf_cpumask *)((struct task_struct___cpus *)task)->cpus_ptr, &bits,
				    sizeof(bits));
	return 0;
}

SEC("?raw_tp/task_newtask")
__failure __msg("calling kernel function bpf_cpumask_create is not allowed")
int create_in_raw_tp(struct bpf_raw_tracepoint_args *context)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

SEC("?tc")
__failure __msg("calling kernel function bpf_cpumask_create is not allowed")
int create_in_tc(struct __sk_buff *skb)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (mask)
		bpf_cpumask_release(mask);
	return 0;
}

char _license[] SEC("license") = "GPL";
