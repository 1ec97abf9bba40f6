// SPDX-License-Identifier: GPL-2.0-only
/* References in the storage of tasks, cgroups and sockets: released with what they are stored at. */
#include "kptr.h"

struct cgroup {
	int level;
} CO_RE;

struct cgroup *bpf_cgroup_from_id(__u64 cgid) __ksym_weak;
void bpf_cgroup_release(struct cgroup *cgrp) __ksym_weak;

__u64 cgroup_wanted = 1;
int found = 0;

struct slot {
	__u64 number;
	OBJECT __referenced *ref;
};

#define STORAGE(name, kind)                            \
	struct {                                       \
		__uint(type, kind);                    \
		__uint(map_flags, BPF_F_NO_PREALLOC);  \
		__type(key, int);                      \
		__type(value, struct slot);            \
	} name SEC(".maps")

STORAGE(task_storage, BPF_MAP_TYPE_TASK_STORAGE);
/* BPF_MAP_TYPE_CGRP_STORAGE, which older headers lack */
STORAGE(cgroup_storage, 32);
STORAGE(socket_storage, BPF_MAP_TYPE_SK_STORAGE);

static __always_inline int put_into(struct slot *slot)
{
	OBJECT *object, *old;

	if (!slot)
		return 10;
	object = acquire();
	if (!object)
		return 11;
	old = bpf_kptr_xchg(&slot->ref, object);
	if (!old)
		return 1;
	release(old);
	return 2;
}

static __always_inline int take_from(struct slot *slot)
{
	OBJECT *old;

	if (!slot)
		return 10;
	old = bpf_kptr_xchg(&slot->ref, 0);
	if (!old)
		return 0;
	found = IDENTITY(old);
	release(old);
	return 1;
}

static __always_inline struct slot *of_task(void)
{
	return bpf_task_storage_get(&task_storage, bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
}

SEC("?syscall")
int put_task_storage(void *context)
{
	return put_into(of_task());
}

SEC("?syscall")
int take_task_storage(void *context)
{
	return take_from(of_task());
}

SEC("?syscall")
int delete_task_storage(void *context)
{
	return -bpf_task_storage_delete(&task_storage, bpf_get_current_task_btf());
}

SEC("?syscall")
int put_cgroup_storage(void *context)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(cgroup_wanted);
	int result;

	if (!cgroup)
		return 12;
	result = put_into(bpf_cgrp_storage_get(&cgroup_storage, cgroup, 0, BPF_LOCAL_STORAGE_GET_F_CREATE));
	bpf_cgroup_release(cgroup);
	return result;
}

SEC("?syscall")
int take_cgroup_storage(void *context)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(cgroup_wanted);
	int result;

	if (!cgroup)
		return 12;
	result = take_from(bpf_cgrp_storage_get(&cgroup_storage, cgroup, 0, 0));
	bpf_cgroup_release(cgroup);
	return result;
}

/* The socket of a test run lives as long as the run. */
SEC("?tc")
int put_socket_storage(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 12;
	return put_into(bpf_sk_storage_get(&socket_storage, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE));
}

SEC("?tc")
int put_and_take_socket_storage(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	int result;

	if (!sk)
		return 12;
	result = put_into(bpf_sk_storage_get(&socket_storage, sk, 0, BPF_LOCAL_STORAGE_GET_F_CREATE));
	if (result != 1)
		return result;
	return take_from(bpf_sk_storage_get(&socket_storage, sk, 0, 0));
}

char _license[] SEC("license") = "GPL";
