// SPDX-License-Identifier: GPL-2.0-only
/* File and path kfuncs in programs that the verifier must accept; what they saw is left in globals. */
#include "kfuncs.h"

#define PATH_SIZE 4096

/* f_count became f_ref in Linux 6.13. */
struct file___f_count {
	struct {
		__s64 counter;
	} f_count;
} CO_RE;
struct file___f_ref {
	struct {
		struct {
			__s64 counter;
		} refcnt;
	} f_ref;
} CO_RE;

/* In. */
int pid_wanted = 0;
int repeat = 0;
/* Bytes of `path` that d_path is offered. */
__u64 room = PATH_SIZE;

/* Out. */
int runs = 0;
int found = 0;
int result = 0;
__s64 count = 0;
char path[PATH_SIZE] = {};
char value[64] = {};

/* Only what the case itself opens counts. */
static __always_inline int unwanted(void)
{
	return (bpf_get_current_pid_tgid() >> 32) != pid_wanted;
}

static __always_inline int exe_of(struct task_struct *task)
{
	struct file *exe = bpf_get_task_exe_file(task);

	if (!exe)
		return 0;
	bpf_put_file(exe);
	return 1;
}

/* Where the exe file of the current task is. */
SEC("?lsm.s/file_open")
int BPF_PROG(exe_file_path, struct file *file)
{
	struct file *exe;

	if (unwanted())
		return 0;
	exe = bpf_get_task_exe_file(bpf_get_current_task_btf());
	if (!exe)
		return 0;
	result = bpf_path_d_path(&exe->f_path, path, sizeof(path));
	bpf_put_file(exe);
	runs++;
	return 0;
}

SEC("?lsm.s/file_open")
int BPF_PROG(exe_file, struct file *file)
{
	struct bpf_iter_num it;

	if (unwanted())
		return 0;
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it))
		found += exe_of(bpf_get_current_task_btf());
	bpf_iter_num_destroy(&it);
	runs++;
	return 0;
}

SEC("?lsm/file_open")
int BPF_PROG(exe_file_not_sleepable, struct file *file)
{
	if (unwanted())
		return 0;
	found += exe_of(bpf_get_current_task_btf());
	runs++;
	return 0;
}

SEC("?lsm.s/task_alloc")
int BPF_PROG(exe_file_of_argument, struct task_struct *task, unsigned long clone_flags)
{
	if (unwanted())
		return 0;
	found += exe_of(task);
	runs++;
	return 0;
}

/* How many references the exe file of the current task has. */
SEC("?lsm.s/file_open")
int BPF_PROG(exe_file_count, struct file *file)
{
	struct file *exe;

	if (unwanted())
		return 0;
	exe = bpf_get_task_exe_file(bpf_get_current_task_btf());
	if (!exe)
		return 0;
	if (bpf_core_field_exists(((struct file___f_count *)exe)->f_count))
		count = ((struct file___f_count *)exe)->f_count.counter;
	else
		count = ((struct file___f_ref *)exe)->f_ref.refcnt.counter;
	bpf_put_file(exe);
	runs++;
	return 0;
}

SEC("?lsm.s/file_open")
int BPF_PROG(exe_file_of_kthread, struct file *file)
{
	/* kthreadd. */
	struct task_struct *task;

	if (unwanted())
		return 0;
	task = bpf_task_from_pid(2);
	if (!task)
		return 0;
	found = exe_of(task);
	bpf_task_release(task);
	runs++;
	return 0;
}

SEC("?lsm.s/file_open")
int BPF_PROG(d_path, struct file *file)
{
	if (unwanted())
		return 0;
	result = bpf_path_d_path(&file->f_path, path, sizeof(path));
	runs++;
	return 0;
}

SEC("?lsm.s/file_open")
int BPF_PROG(d_path_in_room, struct file *file)
{
	__u64 size = room;

	if (unwanted() || size > sizeof(path))
		return 0;
	result = bpf_path_d_path(&file->f_path, path, size);
	runs++;
	return 0;
}

#define XATTR(name, text)                                                          \
	const char name##_text[] = text;                                           \
	SEC("?lsm.s/file_open")                                                    \
	int BPF_PROG(name, struct file *file)                                      \
	{                                                                          \
		struct bpf_dynptr room;                                            \
                                                                                   \
		if (unwanted())                                                    \
			return 0;                                                  \
		bpf_dynptr_from_mem(value, sizeof(value), 0, &room);               \
		result = bpf_get_file_xattr(file, name##_text, &room);             \
		runs++;                                                            \
		return 0;                                                          \
	}

XATTR(xattr_user, "user.kfuncs")
XATTR(xattr_trusted, "trusted.x")
XATTR(xattr_security_bpf, "security.bpf.x")

char _license[] SEC("license") = "GPL";
