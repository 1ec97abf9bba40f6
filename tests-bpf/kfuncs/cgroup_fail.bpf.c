// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cgroup kfuncs in programs that the verifier must refuse, one behaviour in each. The annotations are those of the
 * kernel's own selftests and carry the message of Linux 6.12; those of other versions are in the suite.
 */
#include "cgroup.h"

/* Keeps the compiler from dropping what a program reads. */
__u64 sink = 0;

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("Unreleased reference")
int BPF_PROG(leak, struct cgroup *cgroup, const char *path)
{
	sink = bpf_cgroup_acquire(cgroup) != 0;
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak_of_id(void *context)
{
	sink = bpf_cgroup_from_id(1) != 0;
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_of_ancestor, struct cgroup *cgroup, const char *path)
{
	sink = bpf_cgroup_ancestor(cgroup, 0) != 0;
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_exchanged, struct cgroup *cgroup, const char *path)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct cgroup *acquired;

	if (!slot)
		return 0;
	acquired = bpf_cgroup_acquire(cgroup);
	if (!acquired)
		return 0;
	sink = bpf_kptr_xchg(&slot->cgroup, acquired) != 0;
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(acquire_null, struct cgroup *cgroup, const char *path)
{
	struct cgroup *acquired = bpf_cgroup_acquire(0);

	if (acquired)
		bpf_cgroup_release(acquired);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(release_unchecked, struct cgroup *cgroup, const char *path)
{
	bpf_cgroup_release(bpf_cgroup_acquire(cgroup));
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(acquire_unchecked_kptr, struct cgroup *cgroup, const char *path)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct cgroup *acquired;

	if (!slot)
		return 0;
	acquired = bpf_cgroup_acquire(slot->cgroup);
	if (acquired)
		bpf_cgroup_release(acquired);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("arg#0 pointer type STRUCT cgroup must point to scalar, or struct with scalar")
int BPF_PROG(acquire_stack, struct cgroup *cgroup, const char *path)
{
	__u64 not_a_cgroup[1] = { 0 };
	struct cgroup *acquired = bpf_cgroup_acquire((struct cgroup *)&not_a_cgroup);

	if (acquired)
		bpf_cgroup_release(acquired);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("arg#0 pointer type STRUCT cgroup must point to scalar, or struct with scalar")
int BPF_PROG(release_stack, struct cgroup *cgroup, const char *path)
{
	__u64 not_a_cgroup[1] = { 0 };

	bpf_cgroup_release((struct cgroup *)&not_a_cgroup);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("release kernel function bpf_cgroup_release expects")
int BPF_PROG(release_argument, struct cgroup *cgroup, const char *path)
{
	bpf_cgroup_release(cgroup);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("R1 must be a rcu pointer")
int BPF_PROG(acquire_walked, struct cgroup *cgroup, const char *path)
{
	struct cgroup *acquired = bpf_cgroup_acquire(cgroup->dom_cgrp);

	if (acquired)
		bpf_cgroup_release(acquired);
	return 0;
}

SEC("?syscall")
__failure __msg("R1 must be a rcu pointer")
int acquire_kptr_outside_rcu(void *context)
{
	struct kept_cgroup *slot = cgroup_slot();
	struct cgroup *kept, *acquired;

	if (!slot)
		return 0;
	kept = slot->cgroup;
	if (!kept)
		return 0;
	acquired = bpf_cgroup_acquire(kept);
	if (acquired)
		bpf_cgroup_release(acquired);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("arg#0 pointer type STRUCT cgroup must point to scalar, or struct with scalar")
int BPF_PROG(release_twice, struct cgroup *cgroup, const char *path)
{
	struct cgroup *acquired = bpf_cgroup_acquire(cgroup);

	if (!acquired)
		return 0;
	bpf_cgroup_release(acquired);
	bpf_cgroup_release(acquired);
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("invalid mem access 'scalar'")
int BPF_PROG(use_after_release, struct cgroup *cgroup, const char *path)
{
	struct cgroup *acquired = bpf_cgroup_acquire(cgroup);

	if (!acquired)
		return 0;
	bpf_cgroup_release(acquired);
	sink = acquired->level;
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("R1 must have zero offset when passed to release func or trusted arg to kfunc")
int BPF_PROG(release_with_offset, struct cgroup *cgroup, const char *path)
{
	struct cgroup *acquired = bpf_cgroup_acquire(cgroup);

	if (!acquired)
		return 0;
	bpf_cgroup_release((struct cgroup *)((void *)acquired + 8));
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("expected pointer to STRUCT cgroup but R1 has a pointer to STRUCT task_struct")
int BPF_PROG(acquire_task, struct task_struct *task, __u64 clone_flags)
{
	struct cgroup *acquired = bpf_cgroup_acquire((struct cgroup *)task);

	if (acquired)
		bpf_cgroup_release(acquired);
	return 0;
}

SEC("?syscall")
__failure __msg("R1 is not a scalar")
int id_is_pointer(void *context)
{
	__u64 number = 1;
	struct cgroup *cgroup = bpf_cgroup_from_id((__u64)&number);

	if (cgroup)
		bpf_cgroup_release(cgroup);
	return 0;
}

SEC("?kretprobe/cgroup_destroy_locked")
__failure __msg("calling kernel function bpf_cgroup_from_id is not allowed")
int from_id_in_kretprobe(struct pt_regs *context)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(1);

	if (cgroup)
		bpf_cgroup_release(cgroup);
	return 0;
}

SEC("?raw_tp/cgroup_mkdir")
__failure __msg("calling kernel function bpf_cgroup_from_id is not allowed")
int from_id_in_raw_tp(struct bpf_raw_tracepoint_args *context)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(1);

	if (cgroup)
		bpf_cgroup_release(cgroup);
	return 0;
}

char _license[] SEC("license") = "GPL";
