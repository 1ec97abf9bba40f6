// SPDX-License-Identifier: GPL-2.0-only
/* Kfuncs of extended attributes in programs that the verifier must accept; what they saw is left in globals. */
#include "cgroup.h"

#define VALUE_SIZE 64

struct inode {
	unsigned long i_ino;
} CO_RE;

struct dentry {
	struct inode *d_inode;
} CO_RE;

struct socket {
	short type;
} CO_RE;

struct mnt_idmap;
struct iattr;
struct sockaddr;

/* fs/bpf_fs_kfuncs.c */
int bpf_get_dentry_xattr(struct dentry *dentry, const char *name__str, struct bpf_dynptr *value_p) __ksym_weak;
int bpf_set_dentry_xattr(struct dentry *dentry, const char *name__str, const struct bpf_dynptr *value_p,
			 int flags) __ksym_weak;
int bpf_remove_dentry_xattr(struct dentry *dentry, const char *name__str) __ksym_weak;
int bpf_cgroup_read_xattr(struct cgroup *cgroup, const char *name__str, struct bpf_dynptr *value_p) __ksym_weak;
int bpf_sock_read_xattr(struct socket *sock, const char *name__str, struct bpf_dynptr *value_p) __ksym_weak;

/* In: the name is a constant for the verifier, and is set before the program is loaded. */
const char name_wanted[VALUE_SIZE] SEC(".rodata.name") = {};
int pid_wanted = 0;
__u64 id_wanted = 0;
/* Bytes of `value` that are offered or set; above VALUE_SIZE: no dynptr can be made of it. */
__u32 room = VALUE_SIZE;
int flags_wanted = 0;

/* In and out. */
char value[VALUE_SIZE] = {};

/* Out. */
int runs = 0;
int result = 0;
int found = 0;
unsigned long found_inode = 0;

/* Only what the case itself does counts. */
static __always_inline int unwanted(void)
{
	return (bpf_get_current_pid_tgid() >> 32) != pid_wanted;
}

static __always_inline void make_room(struct bpf_dynptr *dynptr)
{
	__u32 size = room;

	if (size > VALUE_SIZE)
		/* There are no flags: the dynptr that comes of it is NULL. */
		bpf_dynptr_from_mem(value, VALUE_SIZE, 1, dynptr);
	else
		bpf_dynptr_from_mem(value, size, 0, dynptr);
}

SEC("?lsm.s/file_open")
int BPF_PROG(get_of_file, struct file *file)
{
	struct bpf_dynptr dynptr;

	if (unwanted())
		return 0;
	make_room(&dynptr);
	result = bpf_get_file_xattr(file, name_wanted, &dynptr);
	runs++;
	return 0;
}

SEC("?lsm.s/inode_getxattr")
int BPF_PROG(get_of_dentry, struct dentry *dentry, const char *name)
{
	struct bpf_dynptr dynptr;

	if (unwanted())
		return 0;
	make_room(&dynptr);
	result = bpf_get_dentry_xattr(dentry, name_wanted, &dynptr);
	runs++;
	return 0;
}

static __always_inline void set_on(struct dentry *dentry)
{
	struct bpf_dynptr dynptr;

	make_room(&dynptr);
	result = bpf_set_dentry_xattr(dentry, name_wanted, &dynptr, flags_wanted);
	runs++;
}

static __always_inline void remove_from(struct dentry *dentry)
{
	result = bpf_remove_dentry_xattr(dentry, name_wanted);
	runs++;
}

/* The inode is not locked here. */
SEC("?lsm.s/inode_getxattr")
int BPF_PROG(set_in_getxattr, struct dentry *dentry, const char *name)
{
	if (!unwanted())
		set_on(dentry);
	return 0;
}

SEC("?lsm.s/inode_getxattr")
int BPF_PROG(remove_in_getxattr, struct dentry *dentry, const char *name)
{
	if (!unwanted())
		remove_from(dentry);
	return 0;
}

/* It is locked in these. */
SEC("?lsm.s/inode_setxattr")
int BPF_PROG(set_in_setxattr, struct mnt_idmap *idmap, struct dentry *dentry, const char *name)
{
	if (!unwanted())
		set_on(dentry);
	return 0;
}

SEC("?lsm.s/inode_setxattr")
int BPF_PROG(remove_in_setxattr, struct mnt_idmap *idmap, struct dentry *dentry, const char *name)
{
	if (!unwanted())
		remove_from(dentry);
	return 0;
}

SEC("?lsm.s/inode_removexattr")
int BPF_PROG(set_in_removexattr, struct mnt_idmap *idmap, struct dentry *dentry, const char *name)
{
	if (!unwanted())
		set_on(dentry);
	return 0;
}

SEC("?lsm.s/inode_setattr")
int BPF_PROG(set_in_setattr, struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	if (!unwanted())
		set_on(dentry);
	return 0;
}

SEC("?lsm.s/inode_unlink")
int BPF_PROG(set_in_unlink, struct inode *folder, struct dentry *dentry)
{
	if (!unwanted())
		set_on(dentry);
	return 0;
}

/* What a file is renamed onto may not be there. */
SEC("?lsm.s/inode_rename")
int BPF_PROG(rename_checked, struct inode *old_folder, struct dentry *old, struct inode *new_folder,
	     struct dentry *new, unsigned int flags)
{
	struct inode *inode;

	if (unwanted())
		return 0;
	found_inode = 0;
	inode = new->d_inode;
	if (inode)
		found_inode = inode->i_ino;
	found = inode != 0;
	runs++;
	return 0;
}

static __always_inline void read_of_cgroup(void)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(id_wanted);
	struct bpf_dynptr dynptr;

	if (!cgroup)
		return;
	make_room(&dynptr);
	result = bpf_cgroup_read_xattr(cgroup, name_wanted, &dynptr);
	bpf_cgroup_release(cgroup);
	runs++;
}

SEC("?lsm.s/file_open")
int BPF_PROG(of_cgroup_in_lsm, struct file *file)
{
	if (!unwanted())
		read_of_cgroup();
	return 0;
}

SEC("?cgroup/sendmsg4")
int of_cgroup_in_sendmsg(struct bpf_sock_addr *context)
{
	read_of_cgroup();
	return 1;
}

SEC("?syscall")
int of_cgroup_in_syscall(void *context)
{
	read_of_cgroup();
	return 1;
}

SEC("?lsm.s/socket_connect")
int BPF_PROG(of_socket, struct socket *sock, struct sockaddr *address, int length)
{
	struct bpf_dynptr dynptr;

	if (unwanted())
		return 0;
	make_room(&dynptr);
	result = bpf_sock_read_xattr(sock, name_wanted, &dynptr);
	runs++;
	return 0;
}

SEC("?lsm/socket_connect")
int BPF_PROG(of_socket_not_sleepable, struct socket *sock, struct sockaddr *address, int length)
{
	struct bpf_dynptr dynptr;

	if (unwanted())
		return 0;
	make_room(&dynptr);
	result = bpf_sock_read_xattr(sock, name_wanted, &dynptr);
	runs++;
	return 0;
}

char _license[] SEC("license") = "GPL";
