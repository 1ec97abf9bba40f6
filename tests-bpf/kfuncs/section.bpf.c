// SPDX-License-Identifier: GPL-2.0-only
/* Sections that are begun and ended as they must be, and what a processor says of them meanwhile. */
#include "netkfuncs.h"

/* Where a processor counts what keeps it from preemption: a variable of its own from 6.15 on, before in a struct. */
extern const int __preempt_count __ksym __weak;
struct pcpu_hot {
	int preempt_count;
} CO_RE;
extern const struct pcpu_hot pcpu_hot __ksym __weak;

/* In: where to read a string from. */
__u64 address = 0;

/* Out. */
int count_before = -1;
int count_once = -1;
int count_twice = -1;
int count_again = -1;
int count_after = -1;
int results[4] = {};
char text[16] = {};

/* Without the highest bit, which says whether somebody else waits for the processor. */
static __always_inline int preempt_count(void)
{
	if (&__preempt_count)
		return *(int *)bpf_this_cpu_ptr(&__preempt_count) & 0x7fffffff;
	if (&pcpu_hot)
		return ((struct pcpu_hot *)bpf_this_cpu_ptr(&pcpu_hot))->preempt_count & 0x7fffffff;
	return 0;
}

SEC("syscall")
int without_preemption(void *context)
{
	count_before = preempt_count();
	bpf_preempt_disable();
	count_once = preempt_count();
	bpf_preempt_disable();
	count_twice = preempt_count();
	bpf_preempt_enable();
	count_again = preempt_count();
	bpf_preempt_enable();
	count_after = preempt_count();
	/* Sleeping is right again. */
	results[0] = bpf_copy_from_user_str(text, sizeof(text), (void *)address, 0);
	return 1;
}

SEC("syscall")
int under_rcu(void *context)
{
	struct task_struct *task;

	bpf_rcu_read_lock();
	task = bpf_get_current_task_btf();
	results[1] = task->pid;
	bpf_rcu_read_unlock();
	results[0] = bpf_copy_from_user_str(text, sizeof(text), (void *)address, 0);
	return 1;
}

SEC("syscall")
int under_rcu_twice(void *context)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	bpf_rcu_read_unlock();
	results[0] = bpf_copy_from_user_str(text, sizeof(text), (void *)address, 0);
	return 1;
}

SEC("syscall")
int without_interrupts(void *context)
{
	unsigned long outer, inner;

	bpf_local_irq_save(&outer);
	bpf_local_irq_save(&inner);
	results[1] = 1;
	bpf_local_irq_restore(&inner);
	bpf_local_irq_restore(&outer);
	results[0] = bpf_copy_from_user_str(text, sizeof(text), (void *)address, 0);
	return 1;
}

char _license[] SEC("license") = "GPL";
