// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kfuncs that the kernel has registered, with their flags: Sources/AgentKit/Surface/KfuncSets.swift.
 *
 * BTF does not have the flags, and from which release on which functions are registered. The kernel keeps both beside
 * the types of vmlinux and of each module (struct btf, kfunc_set_tab; Linux 6.0 has the flags in it). A file descriptor
 * of such types leads there: that is what a program gets.
 */
#include "kfuncs.h"

#define MAX_PAIRS 8192

struct fdtable {
	struct bpftest_file **fd;
	unsigned int max_fds;
} CO_RE;

struct files_struct {
	struct fdtable *fdt;
} CO_RE;

struct task_struct___files {
	struct files_struct *files;
} CO_RE;

struct file___private {
	void *private_data;
} CO_RE;

struct btf_id_set8 {
	__u32 cnt;
	__u32 flags;
} CO_RE;

struct btf_kfunc_set_tab {
	struct btf_id_set8 *sets[1];
} CO_RE;

struct btf {
	struct btf_kfunc_set_tab *kfunc_set_tab;
} CO_RE;

enum btf_kfunc_hook { BTF_KFUNC_HOOK_MAX = 1 };

struct call {
	/* in */
	__u32 fd;
	__u32 hook;
	/* out: how many hooks there are, and the set of this one */
	__u32 hooks;
	__u32 count;
	__u32 flags;
};

/* Out: a BTF id in the low half of each, its flags in the high one. */
__u64 pairs[MAX_PAIRS] = {};

#define ENOENT 2
#define EBADF 9
#define EFAULT 14
#define E2BIG 7
#define EOPNOTSUPP 95

SEC("syscall")
int read_set(struct call *call)
{
	struct task_struct___files *task = (void *)bpf_get_current_task();
	struct fdtable *table;
	struct btf_kfunc_set_tab *tab;
	struct btf_id_set8 *set = 0;
	struct file___private *file = 0;
	struct btf *btf;
	__u32 count, hook = call->hook;

	if (!bpf_core_type_exists(struct btf_id_set8) || !bpf_core_field_exists(struct btf, kfunc_set_tab))
		return -EOPNOTSUPP;
	call->hooks = bpf_core_enum_value(enum btf_kfunc_hook, BTF_KFUNC_HOOK_MAX);
	call->count = 0;
	call->flags = 0;
	if (hook >= call->hooks)
		return -ENOENT;
	table = BPF_CORE_READ(task, files, fdt);
	if (call->fd >= BPF_CORE_READ(table, max_fds))
		return -EBADF;
	if (bpf_probe_read_kernel(&file, sizeof(file), (void *)BPF_CORE_READ(table, fd) + 8 * (__u64)call->fd) || !file)
		return -EBADF;
	btf = BPF_CORE_READ(file, private_data);
	tab = BPF_CORE_READ(btf, kfunc_set_tab);
	if (!tab)
		return 0;
	if (bpf_probe_read_kernel(&set, sizeof(set), (void *)&tab->sets + 8 * (__u64)hook))
		return -EFAULT;
	if (!set)
		return 0;
	count = BPF_CORE_READ(set, cnt);
	if (count > MAX_PAIRS)
		return -E2BIG;
	call->flags = BPF_CORE_READ(set, flags);
	/* pairs[] has no name to relocate by in a program: it is what follows the two numbers. */
	if (bpf_probe_read_kernel(pairs, 8 * count, (void *)set + 8))
		return -EFAULT;
	call->count = count;
	return 0;
}

char _license[] SEC("license") = "GPL";
