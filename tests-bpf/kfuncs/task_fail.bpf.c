// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task kfuncs in programs that the verifier must refuse, one behaviour in each. The annotations are those of the
 * kernel's own selftests and carry the message of Linux 6.12; those of other versions are in the suite.
 */
#include "kfuncs.h"

struct kept {
	struct task_struct __kptr_referenced *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} keep SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

/* Keeps the compiler from dropping what a program reads. */
int sink = 0;

static __always_inline struct kept *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&keep, &key);
}

SEC("?tp_btf/task_newtask")
__failure __msg("Unreleased reference")
int BPF_PROG(leak, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired = bpf_task_acquire(task);

	sink = acquired != 0;
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(acquire_null, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired = bpf_task_acquire(0);

	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar")
int BPF_PROG(acquire_stack, struct task_struct *task, __u64 clone_flags)
{
	__u64 not_a_task[1] = { 0 };
	struct task_struct *acquired = bpf_task_acquire((struct task_struct *)&not_a_task);

	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(acquire_unchecked_kptr, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired;
	struct kept *value = slot();

	if (!value)
		return 0;
	bpf_rcu_read_lock();
	acquired = bpf_task_acquire(value->task);
	if (acquired)
		bpf_task_release(acquired);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("release kernel function bpf_task_release expects")
int BPF_PROG(release_argument, struct task_struct *task, __u64 clone_flags)
{
	bpf_task_release(task);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar")
int BPF_PROG(release_stack, struct task_struct *task, __u64 clone_flags)
{
	__u64 not_a_task[1] = { 0 };

	bpf_task_release((struct task_struct *)&not_a_task);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("R1 must be referenced or trusted")
int BPF_PROG(release_kptr, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *kept;
	struct kept *value = slot();

	if (!value)
		return 0;
	bpf_rcu_read_lock();
	kept = value->task;
	if (kept)
		bpf_task_release(kept);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_exchanged, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired, *old;
	struct kept *value = slot();

	if (!value)
		return 0;
	acquired = bpf_task_acquire(task);
	if (!acquired)
		return 0;
	old = bpf_kptr_xchg(&value->task, acquired);
	sink = old != 0;
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(release_unchecked, struct task_struct *task, __u64 clone_flags)
{
	bpf_task_release(bpf_task_acquire(task));
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar")
int BPF_PROG(release_twice, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired = bpf_task_acquire(task);

	if (!acquired)
		return 0;
	bpf_task_release(acquired);
	bpf_task_release(acquired);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("invalid mem access 'scalar'")
int BPF_PROG(use_after_release, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired = bpf_task_acquire(task);

	if (!acquired)
		return 0;
	bpf_task_release(acquired);
	sink = acquired->pid;
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("R1 must have zero offset when passed to release func or trusted arg to kfunc")
int BPF_PROG(release_with_offset, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired = bpf_task_acquire(task);

	if (!acquired)
		return 0;
	bpf_task_release((struct task_struct *)((void *)acquired + 8));
	return 0;
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak_found(void *context)
{
	sink = bpf_task_from_pid(1) != 0;
	return 0;
}

SEC("?syscall")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int release_found_unchecked(void *context)
{
	bpf_task_release(bpf_task_from_pid(1));
	return 0;
}

struct task_struct *bpf_task_from_vpid(__s32 vpid) __ksym_weak;

/* From Linux 6.13 on. */
SEC("?tp_btf/task_newtask")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(release_vpid_unchecked, struct task_struct *task, __u64 clone_flags)
{
	bpf_task_release(bpf_task_from_vpid(task->pid));
	return 0;
}

SEC("?kretprobe/free_task")
__failure __msg("calling kernel function bpf_task_acquire is not allowed")
int acquire_in_kretprobe(struct pt_regs *context)
{
	struct task_struct *acquired = bpf_task_acquire(bpf_get_current_task_btf());

	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?lsm/task_free")
__failure __msg("R1 must be a rcu pointer")
int BPF_PROG(acquire_dying, struct task_struct *task)
{
	struct task_struct *acquired = bpf_task_acquire(task);

	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?raw_tp/task_newtask")
__failure __msg("calling kernel function bpf_task_acquire is not allowed")
int acquire_in_raw_tp(struct bpf_raw_tracepoint_args *context)
{
	struct task_struct *acquired = bpf_task_acquire(bpf_get_current_task_btf());

	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?syscall")
__failure __msg("kernel func bpf_copy_from_user_str is sleepable within rcu_read_lock region")
int sleep_under_rcu(void *context)
{
	char text[8];

	bpf_rcu_read_lock();
	sink = bpf_copy_from_user_str(text, sizeof(text), 0, 0);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?syscall")
__failure __msg("kernel func bpf_copy_from_user_str is sleepable within non-preemptible region")
int sleep_without_preemption(void *context)
{
	char text[8];

	bpf_preempt_disable();
	sink = bpf_copy_from_user_str(text, sizeof(text), 0, 0);
	bpf_preempt_enable();
	return 0;
}

void bpf_local_irq_save(unsigned long *flags__irq_flag) __ksym_weak;
void bpf_local_irq_restore(unsigned long *flags__irq_flag) __ksym_weak;

/* From Linux 6.14 on. */
SEC("?syscall")
__failure __msg("kernel func bpf_copy_from_user_str is sleepable within IRQ-disabled region")
int sleep_without_interrupts(void *context)
{
	unsigned long flags;
	char text[8];

	bpf_local_irq_save(&flags);
	sink = bpf_copy_from_user_str(text, sizeof(text), 0, 0);
	bpf_local_irq_restore(&flags);
	return 0;
}

struct locked {
	struct bpf_spin_lock lock;
	int number;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked);
} locks SEC(".maps");

SEC("?tc")
__failure __msg("function calls are not allowed while holding a lock")
int acquire_under_lock(struct __sk_buff *skb)
{
	struct task_struct *task = 0;
	struct locked *value;
	int key = 0;

	value = bpf_map_lookup_elem(&locks, &key);
	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	task = bpf_task_from_pid(1);
	bpf_spin_unlock(&value->lock);
	if (task)
		bpf_task_release(task);
	return 0;
}

SEC("?syscall")
__failure __msg("nested rcu read lock (kernel function bpf_rcu_read_lock)")
int rcu_lock_twice(void *context)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?syscall")
__failure __msg("bpf_rcu_read_unlock is missing")
int rcu_unlock_missing(void *context)
{
	bpf_rcu_read_lock();
	return 0;
}

SEC("?syscall")
__failure __msg("unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)")
int rcu_lock_missing(void *context)
{
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?syscall")
__failure __msg("R1 must be a rcu pointer")
int acquire_kptr_outside_rcu(void *context)
{
	struct task_struct *kept, *acquired;
	struct kept *value = slot();

	if (!value)
		return 0;
	kept = value->task;
	if (!kept)
		return 0;
	acquired = bpf_task_acquire(kept);
	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?tc")
__failure __msg("1 bpf_preempt_enable is missing")
int preempt_enable_missing(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	return 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int throw_with_reference(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (!task)
		return 0;
	bpf_throw(0);
	bpf_task_release(task);
	return 0;
}

SEC("?tc")
__failure __msg("tail_call would lead to reference leak")
int tail_call_with_reference(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (!task)
		return 0;
	bpf_tail_call(skb, &jumps, 0);
	bpf_task_release(task);
	return 0;
}

unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");

SEC("?tc")
__failure __msg("BPF_LD_[ABS|IND] cannot be mixed with socket references")
int load_with_reference(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (!task)
		return 0;
	sink = load_byte(skb, 0);
	bpf_task_release(task);
	return 0;
}

static __noinline int leak_in_static(int pid)
{
	struct task_struct *task = bpf_task_from_pid(pid);

	return task != 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int leak_in_subprogram(struct __sk_buff *skb)
{
	sink = leak_in_static(1);
	return 0;
}

__noinline int leak_in_global(int pid)
{
	struct task_struct *task = bpf_task_from_pid(pid);

	return task != 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int leak_in_global_function(struct __sk_buff *skb)
{
	sink = leak_in_global(1);
	return 0;
}

void bpf_kfunc_that_no_kernel_has(void) __ksym_weak;

SEC("?syscall")
__failure __msg("invalid kernel function call not eliminated in verifier pass")
int call_absent(void *context)
{
	bpf_kfunc_that_no_kernel_has();
	return 0;
}

char _license[] SEC("license") = "GPL";
