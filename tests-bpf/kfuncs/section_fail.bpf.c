// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sections in which a program may not do everything: RCU, preemption off, interrupts off, a spin lock held. In the
 * words of Linux 6.12; what concerns interrupts in those of 6.18.
 */
#include "netkfuncs.h"

struct locked {
	struct bpf_spin_lock lock;
	int value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked);
} locks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
} jumps SEC(".maps");

int sink = 0;
int condition = 0;

unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");

static __always_inline struct locked *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&locks, &key);
}

SEC("?tc")
__failure __msg("2 bpf_preempt_enable(s) are missing")
int preempt_enable_missing_twice(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	bpf_preempt_disable();
	return 0;
}

SEC("?tc")
__failure __msg("1 bpf_preempt_enable is missing")
int preempt_enable_missing_on_branch(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	if (condition)
		return 1;
	bpf_preempt_enable();
	return 0;
}

SEC("?tc")
__failure __msg("unmatched attempt to enable preemption (kernel function bpf_preempt_enable)")
int preempt_disable_missing(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	bpf_preempt_enable();
	bpf_preempt_enable();
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

SEC("?syscall")
__failure __msg("kernel func bpf_copy_from_user_str is sleepable within non-preemptible region")
int sleep_after_inner_enable(void *context)
{
	char text[8];

	bpf_preempt_disable();
	bpf_preempt_disable();
	bpf_preempt_enable();
	sink = bpf_copy_from_user_str(text, sizeof(text), 0, 0);
	bpf_preempt_enable();
	return 0;
}

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

SEC("?tc")
__failure __msg("BPF_LD_[ABS|IND] cannot be used inside bpf_rcu_read_lock-ed region")
int load_under_rcu(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	sink = load_byte(skb, 0);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?tc")
__failure __msg("BPF_LD_[ABS|IND] cannot be used inside bpf_preempt_disable-ed region")
int load_without_preemption(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	sink = load_byte(skb, 0);
	bpf_preempt_enable();
	return 0;
}

SEC("?tc")
__failure __msg("tail_call cannot be used inside bpf_rcu_read_lock-ed region")
int tail_call_under_rcu(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	bpf_tail_call(skb, &jumps, 0);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?tc")
__failure __msg("tail_call cannot be used inside bpf_preempt_disable-ed region")
int tail_call_without_preemption(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	bpf_tail_call(skb, &jumps, 0);
	bpf_preempt_enable();
	return 0;
}

SEC("?tc")
__failure __msg("bpf_throw cannot be used inside bpf_rcu_read_lock-ed region")
int throw_under_rcu(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	if (condition)
		bpf_throw(0);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?tc")
__failure __msg("bpf_spin_unlock is missing")
int unlock_missing(struct __sk_buff *skb)
{
	struct locked *value = slot();

	if (value)
		bpf_spin_lock(&value->lock);
	return 0;
}

SEC("?tc")
__failure __msg("function calls are not allowed while holding a lock")
int kfunc_under_lock(struct __sk_buff *skb)
{
	struct locked *value = slot();
	struct task_struct *task;

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	task = bpf_task_from_pid(1);
	bpf_spin_unlock(&value->lock);
	if (task)
		bpf_task_release(task);
	return 0;
}

SEC("?tc")
__failure __msg("BPF_EXIT instruction in main prog cannot be used inside bpf_local_irq_save-ed region")
int restore_missing(struct __sk_buff *skb)
{
	unsigned long flags;

	bpf_local_irq_save(&flags);
	return 0;
}

SEC("?tc")
__failure __msg("BPF_EXIT instruction in main prog cannot be used inside bpf_local_irq_save-ed region")
int outer_restore_missing(struct __sk_buff *skb)
{
	unsigned long outer, inner;

	bpf_local_irq_save(&outer);
	bpf_local_irq_save(&inner);
	bpf_local_irq_restore(&inner);
	return 0;
}

SEC("?tc")
__failure __msg("cannot restore irq state out of order")
int restore_out_of_order(struct __sk_buff *skb)
{
	unsigned long outer, inner;

	bpf_local_irq_save(&outer);
	bpf_local_irq_save(&inner);
	bpf_local_irq_restore(&outer);
	bpf_local_irq_restore(&inner);
	return 0;
}

SEC("?tc")
__failure __msg("expected an initialized irq flag as arg#0")
int restore_twice(struct __sk_buff *skb)
{
	unsigned long flags;

	bpf_local_irq_save(&flags);
	bpf_local_irq_restore(&flags);
	bpf_local_irq_restore(&flags);
	return 0;
}

SEC("?tc")
__failure __msg("expected uninitialized irq flag as arg#0")
int save_twice(struct __sk_buff *skb)
{
	unsigned long flags;

	bpf_local_irq_save(&flags);
	bpf_local_irq_save(&flags);
	bpf_local_irq_restore(&flags);
	return 0;
}

SEC("?tc")
__failure __msg("arg#0 doesn't point to an irq flag on stack")
int save_in_map(struct __sk_buff *skb)
{
	struct locked *value = slot();

	if (!value)
		return 0;
	bpf_local_irq_save((unsigned long *)value);
	return 0;
}

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

char _license[] SEC("license") = "GPL";
