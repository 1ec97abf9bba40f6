// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules about who may call which function of the kernel, and with what: in the words of Linux 6.12, or of the first
 * release that has the rule.
 */
#include "netkfuncs.h"

struct kept {
	struct task_struct __kptr_referenced *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} keep SEC(".maps");

int sink = 0;
__u8 bytes[16] = {};

struct pt_regs {
	unsigned long ip;
};
struct bpf_prog_aux {
	int id;
};
void crash_kexec(struct pt_regs *regs) __ksym_weak;
int bpf_stream_print_stack_impl(int stream_id, struct bpf_prog_aux *aux) __ksym_weak;

static __always_inline struct kept *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&keep, &key);
}

/* Never to be attached: it would end the kernel. */
SEC("?tp_btf/task_newtask")
__failure __msg("destructive kfunc calls require CAP_SYS_BOOT capability")
int BPF_PROG(destroys, struct task_struct *task, __u64 clone_flags)
{
	__u64 registers[21] = {};

	crash_kexec((void *)registers);
	return 0;
}

SEC("?syscall")
__failure __msg("JIT is required for calling kernel function")
int needs_compiler(void *context)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (task)
		bpf_task_release(task);
	return 0;
}

SEC("?tc")
__failure __msg("JIT is required for calling kernel function")
int needs_compiler_for_tables(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct ct_opts opts = { .netns_id = -1, .l4proto = 6 };
	struct nf_conn *entry = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);

	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?syscall")
__failure __msg("cannot find address for kernel function bpf_stream_print_stack_impl")
int calls_implementation(void *context)
{
	sink = bpf_stream_print_stack_impl(1, 0);
	return 0;
}

SEC("?tc")
__failure __msg("R2 must be a known constant")
int casts_to_variable(struct __sk_buff *skb)
{
	sink = bpf_rdonly_cast(skb, skb->len) != 0;
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("arg#1 doesn't point to a const string")
int BPF_PROG(name_on_stack, struct file *file)
{
	struct bpf_dynptr value;
	char name[16] = "user.kfuncs";

	bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &value);
	sink = bpf_get_file_xattr(file, name, &value);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("Possibly NULL pointer passed to helper arg2")
int BPF_PROG(exchange_unchecked, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *old;
	struct kept *value = slot();

	if (!value)
		return 0;
	old = bpf_kptr_xchg(&value->task, bpf_task_acquire(task));
	if (old)
		bpf_task_release(old);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("R2 must be referenced when passed to release function")
int BPF_PROG(exchange_argument, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *old;
	struct kept *value = slot();

	if (!value)
		return 0;
	old = bpf_kptr_xchg(&value->task, task);
	if (old)
		bpf_task_release(old);
	return 0;
}

/* The number by hand: in C a pointer would be turned into one first. */
SEC("?tc")
__failure __msg("R1 is not a scalar")
int number_is_pointer(struct __sk_buff *skb)
{
	asm volatile("r1 = %[skb];"
		     "call %[function];"
		     :
		     : [skb] "r"(skb), [function] "i"(bpf_task_from_pid)
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");
	return 0;
}

char _license[] SEC("license") = "GPL";
