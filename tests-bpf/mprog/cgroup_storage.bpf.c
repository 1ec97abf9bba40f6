// SPDX-License-Identifier: GPL-2.0-only
/* Programs that count the sockets of a cgroup, each in the storage that the kernel keeps for it there. */
#include "bpftest.h"

struct storage {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
};

struct storage one SEC(".maps");
struct storage two SEC(".maps");

static __always_inline int count(void *map, __u64 number)
{
	__u64 *sockets = bpf_get_local_storage(map, 0);

	/* One task makes sockets at a time. Kernels before 5.12 lack most atomic operations. */
	*sockets += number;
	return 1;
}

SEC("cgroup/sock_create")
int first(struct bpf_sock *sk)
{
	return count(&one, 1);
}

SEC("cgroup/sock_create")
int first_by_ten(struct bpf_sock *sk)
{
	return count(&one, 10);
}

SEC("cgroup/sock_create")
int second(struct bpf_sock *sk)
{
	return count(&two, 1);
}

SEC("cgroup/sock_create")
int without(struct bpf_sock *sk)
{
	return 1;
}

char _license[] SEC("license") = "GPL";
