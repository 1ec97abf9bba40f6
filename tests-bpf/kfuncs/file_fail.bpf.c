// SPDX-License-Identifier: GPL-2.0-only
/*
 * File and path kfuncs in programs that the verifier must refuse, one behaviour in each. The annotations are those of
 * the kernel's own selftests and carry the message of Linux 6.12; those of other versions are in the suite.
 */
#include "kfuncs.h"

/* All of .bss: a message names its size. */
char path[4096];

/* In .data: keeps the compiler from dropping what a program reads. */
__u64 sink = 1;
char writable_name[] = "user.kfuncs";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, __u64);
} numbers SEC(".maps");

static __always_inline struct file *own_exe(void)
{
	return bpf_get_task_exe_file(bpf_get_current_task_btf());
}

SEC("?lsm.s/file_open")
__failure __msg("Unreleased reference")
int BPF_PROG(leak, struct file *file)
{
	struct file *exe = own_exe();

	sink = exe != 0;
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(put_unchecked, struct file *file)
{
	bpf_put_file(own_exe());
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(get_of_null, struct file *file)
{
	struct file *exe = bpf_get_task_exe_file(0);

	if (exe)
		bpf_put_file(exe);
	return 0;
}

SEC("?lsm.s/inode_getxattr")
__failure __msg("arg#0 pointer type STRUCT task_struct must point to scalar, or struct with scalar")
int BPF_PROG(get_of_stack, struct dentry *dentry, const char *name)
{
	__u64 not_a_task = 0;
	struct file *exe = bpf_get_task_exe_file((struct task_struct *)&not_a_task);

	if (exe)
		bpf_put_file(exe);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("R1 must be referenced or trusted")
int BPF_PROG(get_of_walked, struct file *file)
{
	struct file *exe = bpf_get_task_exe_file(bpf_get_current_task_btf()->parent);

	if (exe)
		bpf_put_file(exe);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("release kernel function bpf_put_file expects")
int BPF_PROG(put_argument, struct file *file)
{
	bpf_put_file(file);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("arg#0 pointer type STRUCT file must point to")
int BPF_PROG(put_twice, struct file *file)
{
	struct file *exe = own_exe();

	if (!exe)
		return 0;
	bpf_put_file(exe);
	bpf_put_file(exe);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("invalid mem access 'scalar'")
int BPF_PROG(use_after_put, struct file *file)
{
	struct file *exe = own_exe();

	if (!exe)
		return 0;
	bpf_put_file(exe);
	sink = exe->f_flags;
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Unreleased reference")
int BPF_PROG(put_on_one_branch, struct file *file)
{
	struct file *exe = own_exe();

	if (!exe)
		return 0;
	if (bpf_get_prandom_u32() & 1)
		bpf_put_file(exe);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Unreleased reference")
int BPF_PROG(put_last_of_three, struct file *file)
{
	struct file *exe = 0;

	for (int i = 0; i < 3; i++) {
		exe = own_exe();
		if (!exe)
			return 0;
	}
	bpf_put_file(exe);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Unreleased reference")
int BPF_PROG(leak_two, struct file *file)
{
	struct file *first = own_exe(), *second;

	if (!first)
		return 0;
	second = own_exe();
	if (!second)
		bpf_put_file(first);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("Unreleased reference")
int BPF_PROG(store_in_map, struct file *file)
{
	struct file *exe = own_exe();
	__u64 number;
	int key = 0;

	if (!exe)
		return 0;
	number = (__u64)exe;
	bpf_map_update_elem(&numbers, &key, &number, BPF_ANY);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("R1 must have zero offset when passed to release func or trusted arg to kfunc")
int BPF_PROG(put_with_offset, struct file *file)
{
	struct file *exe = own_exe();

	if (!exe)
		return 0;
	bpf_put_file((struct file *)((void *)exe + 8));
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("expected pointer to STRUCT file but R1 has a pointer to STRUCT task_struct")
int BPF_PROG(put_task, struct file *file)
{
	struct task_struct *task = bpf_task_acquire(bpf_get_current_task_btf());

	if (!task)
		return 0;
	bpf_put_file((struct file *)task);
	return 0;
}

SEC("?fentry/vfs_open")
__failure __msg("calling kernel function bpf_path_d_path is not allowed")
int BPF_PROG(d_path_in_fentry, struct path *argument, struct file *file)
{
	bpf_path_d_path(argument, path, sizeof(path));
	return 0;
}

SEC("?syscall")
__failure __msg("calling kernel function bpf_get_task_exe_file is not allowed")
int get_in_syscall(void *context)
{
	sink = bpf_get_task_exe_file(0) != 0;
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("calling kernel function bpf_get_task_exe_file is not allowed")
int BPF_PROG(get_in_tracepoint, struct task_struct *task, __u64 clone_flags)
{
	sink = bpf_get_task_exe_file(task) != 0;
	return 0;
}

SEC("?xdp")
__failure __msg("calling kernel function bpf_get_task_exe_file is not allowed")
int get_in_xdp(struct xdp_md *context)
{
	sink = bpf_get_task_exe_file(0) != 0;
	return XDP_PASS;
}

SEC("?lsm.s/file_open")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(d_path_of_null, struct file *file)
{
	bpf_path_d_path(0, path, sizeof(path));
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("expected pointer to STRUCT path but R1 has a pointer to STRUCT file")
int BPF_PROG(d_path_of_file, struct file *file)
{
	bpf_path_d_path((struct path *)file, path, sizeof(path));
	return 0;
}

SEC("?lsm.s/task_alloc")
__failure __msg("R1 must be referenced or trusted")
int BPF_PROG(d_path_of_walked, struct task_struct *task, unsigned long clone_flags)
{
	bpf_path_d_path(&task->fs->root, path, sizeof(path));
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("invalid access to map value, value_size=4096 off=0 size=8192")
int BPF_PROG(d_path_too_long, struct file *file)
{
	bpf_path_d_path(&file->f_path, path, 2 * sizeof(path));
	return 0;
}

const char user_name[] = "user.kfuncs";
char value[64] SEC(".data.value");

SEC("?lsm/file_open")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_get_file_xattr")
int BPF_PROG(xattr_not_sleepable, struct file *file)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_get_file_xattr(file, user_name, &room);
	return 0;
}

SEC("?lsm.s/file_open")
__failure __msg("R2 does not point to a readonly map")
int BPF_PROG(xattr_writable_name, struct file *file)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_get_file_xattr(file, writable_name, &room);
	return 0;
}

char _license[] SEC("license") = "GPL";
