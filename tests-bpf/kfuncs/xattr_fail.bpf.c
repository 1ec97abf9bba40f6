// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kfuncs of extended attributes in programs that the verifier must refuse, one behaviour in each. The annotations are
 * those of the kernel's own selftests and carry the message of Linux 6.12, or of the first release that has the
 * function; those of other versions are in the suite.
 */
#include "cgroup.h"

struct inode {
	unsigned long i_ino;
} CO_RE;

struct dentry {
	struct inode *d_inode;
	struct dentry *d_parent;
} CO_RE;

struct socket {
	short type;
} CO_RE;

struct sockaddr;

int bpf_get_dentry_xattr(struct dentry *dentry, const char *name__str, struct bpf_dynptr *value_p) __ksym_weak;
int bpf_set_dentry_xattr(struct dentry *dentry, const char *name__str, const struct bpf_dynptr *value_p,
			 int flags) __ksym_weak;
int bpf_remove_dentry_xattr(struct dentry *dentry, const char *name__str) __ksym_weak;
int bpf_cgroup_read_xattr(struct cgroup *cgroup, const char *name__str, struct bpf_dynptr *value_p) __ksym_weak;
int bpf_sock_read_xattr(struct socket *sock, const char *name__str, struct bpf_dynptr *value_p) __ksym_weak;

const char user_name[] = "user.kfuncs";
const char security_name[] = "security.bpf.foo";
char value[64];

/* In .data: keeps the compiler from dropping what a program reads. */
__u64 sink = 1;

SEC("?lsm.s/inode_getxattr")
__failure __msg("arg#1 doesn't point to a const string")
int BPF_PROG(name_on_stack, struct dentry *dentry, const char *name)
{
	char own[16] = "user.kfuncs";
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_get_dentry_xattr(dentry, own, &room);
	return 0;
}

SEC("?lsm.s/inode_getxattr")
__failure __msg("must be referenced or trusted")
int BPF_PROG(get_of_walked, struct dentry *dentry, const char *name)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_get_dentry_xattr(dentry->d_parent, user_name, &room);
	return 0;
}

SEC("?lsm.s/inode_getxattr")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int BPF_PROG(get_of_null, struct dentry *dentry, const char *name)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_get_dentry_xattr(0, user_name, &room);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("calling kernel function bpf_get_file_xattr is not allowed")
int BPF_PROG(get_in_tracepoint, struct task_struct *task, __u64 clone_flags)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_get_file_xattr(0, user_name, &room);
	return 0;
}

SEC("?lsm/inode_getxattr")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_set_dentry_xattr")
int BPF_PROG(set_not_sleepable, struct dentry *dentry, const char *name)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_set_dentry_xattr(dentry, security_name, &room, 0);
	return 0;
}

SEC("?lsm/inode_setxattr")
__failure __msg("program must be sleepable to call sleepable kfunc bpf_remove_dentry_xattr")
int BPF_PROG(remove_not_sleepable, void *idmap, struct dentry *dentry)
{
	sink = bpf_remove_dentry_xattr(dentry, security_name);
	return 0;
}

SEC("?lsm.s/inode_rename")
__failure __msg("invalid mem access 'trusted_ptr_or_null_'")
int BPF_PROG(rename_unchecked, struct inode *old_folder, struct dentry *old, struct inode *new_folder,
	     struct dentry *new, unsigned int flags)
{
	struct inode *inode = new->d_inode;

	sink = inode->i_ino;
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
__failure __msg("R1 must be a rcu pointer")
int BPF_PROG(of_walked_cgroup, struct cgroup *cgroup, const char *path)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_cgroup_read_xattr(cgroup->dom_cgrp, user_name, &room);
	return 0;
}

SEC("?tp_btf/task_newtask")
__failure __msg("calling kernel function bpf_sock_read_xattr is not allowed")
int BPF_PROG(of_socket_in_tracepoint, struct task_struct *task, __u64 clone_flags)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_sock_read_xattr(0, user_name, &room);
	return 0;
}

SEC("?lsm.s/socket_connect")
__failure __msg("Possibly NULL pointer passed to trusted R1")
int BPF_PROG(of_null_socket, struct socket *sock, struct sockaddr *address, int length)
{
	struct bpf_dynptr room;

	bpf_dynptr_from_mem(value, sizeof(value), 0, &room);
	sink = bpf_sock_read_xattr(0, user_name, &room);
	return 0;
}

char _license[] SEC("license") = "GPL";
