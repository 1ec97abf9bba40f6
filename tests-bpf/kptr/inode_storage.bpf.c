// SPDX-License-Identifier: GPL-2.0-only
/* References in the storage of inodes. */
#include "kptr.h"

struct inode;
int opener = -1;
int result = -1;
int found = 0;

struct slot {
	__u64 number;
	OBJECT __referenced *ref;
};

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct slot);
} inode_storage SEC(".maps");

struct file___inode {
	struct inode *f_inode;
} CO_RE;

SEC("?lsm.s/file_open")
int BPF_PROG(put_inode_storage, struct file___inode *file)
{
	OBJECT *object, *old;
	struct slot *slot;

	if ((bpf_get_current_pid_tgid() >> 32) != opener)
		return 0;
	result = 10;
	slot = bpf_inode_storage_get(&inode_storage, file->f_inode, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!slot)
		return 0;
	object = acquire();
	if (!object)
		return 0;
	old = bpf_kptr_xchg(&slot->ref, object);
	result = 1;
	if (old) {
		found = IDENTITY(old);
		release(old);
		result = 2;
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
