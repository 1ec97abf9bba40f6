// SPDX-License-Identifier: GPL-2.0-only
/* Programs that need what no kernel has, and some that can do without: `bpftest surface --check`. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
	int pid;
	int nowhere_to_be_found;
} __attribute__((preserve_access_index));

struct task_struct___guarded {
	int not_there_either;
} __attribute__((preserve_access_index));

void bpf_nowhere_but_weak(void) __ksym __weak;

static __attribute__((noinline)) int pid_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, pid);
}

SEC("syscall")
int loads(void *ctx)
{
	return pid_of((void *)bpf_get_current_task()) == -1;
}

SEC("syscall")
int does_without(void *ctx)
{
	struct task_struct___guarded *task = (void *)bpf_get_current_task();

	if (bpf_nowhere_but_weak)
		bpf_nowhere_but_weak();
	if (bpf_core_field_exists(task->not_there_either))
		return BPF_CORE_READ(task, not_there_either);
	return 0;
}

static long (*helper_9999)(void) = (void *)9999;

SEC("?syscall")
int lacks_helper(void *ctx)
{
	return helper_9999();
}

/* Reached through a function of its own. */
static __attribute__((noinline)) int nowhere_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, nowhere_to_be_found);
}

SEC("?syscall")
int lacks_field(void *ctx)
{
	return nowhere_of((void *)bpf_get_current_task());
}

SEC("?fentry/nowhere_to_be_found")
int lacks_target(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
