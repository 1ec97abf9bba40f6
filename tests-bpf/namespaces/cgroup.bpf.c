// SPDX-License-Identifier: GPL-2.0-only
/* The ids of cgroups, of the running task and of a packet's socket. */
#include "bpftest.h"

/* The levels asked about: there are four, 0 to 3. */
static __always_inline int level(int i)
{
	return i < 5 ? i : i == 5 ? 99 : i == 6 ? -1 : 0x7fffffff;
}

/* Out. */
__u64 current = 0;
__u64 ancestors[8] = {};
__u64 sender = 0;
__u64 sender_ancestors[8] = {};
__u64 receiver = 0;
__u32 runs = 0;
__u32 received = 0;

SEC("?raw_tp/sys_enter")
int current_id(void *context)
{
	current = bpf_get_current_cgroup_id();
	runs++;
	return 0;
}

/* Tracing programs have the second helper later than 5.10. */
SEC("?cgroup/sock_create")
int current_ids(struct bpf_sock *socket)
{
	current = bpf_get_current_cgroup_id();
#pragma clang loop unroll(full)
	for (int i = 0; i < 8; i++)
		ancestors[i] = bpf_get_current_ancestor_cgroup_id(level(i));
	runs++;
	return 1;
}

static __always_inline void packet(struct __sk_buff *skb)
{
	sender = bpf_skb_cgroup_id(skb);
#pragma clang loop unroll(full)
	for (int i = 0; i < 8; i++)
		sender_ancestors[i] = bpf_skb_ancestor_cgroup_id(skb, level(i));
	runs++;
}

SEC("?tc")
int in_egress(struct __sk_buff *skb)
{
	packet(skb);
	return -1;
}

SEC("?tc")
int in_ingress(struct __sk_buff *skb)
{
	receiver = bpf_skb_cgroup_id(skb);
	received++;
	return -1;
}

SEC("?cgroup_skb/egress")
int in_cgroup_skb(struct __sk_buff *skb)
{
	packet(skb);
	return 1;
}

/* Programs on a cgroup that a container is in. */
__u32 connects = 0;
__u32 creations = 0;
__u32 packets = 0;
__u64 connect_cgroup = 0;
__u64 connect_task = 0;

SEC("?cgroup/connect4")
int on_connect(struct bpf_sock_addr *context)
{
	connect_cgroup = bpf_get_current_cgroup_id();
	connects++;
	return 1;
}

SEC("?cgroup/sock_create")
int on_create(struct bpf_sock *socket)
{
	creations++;
	return 1;
}

SEC("?cgroup_skb/egress")
int on_packet(struct __sk_buff *skb)
{
	packets++;
	return 1;
}

/* Refuses every socket. */
SEC("?cgroup/sock_create")
int refuse_sockets(struct bpf_sock *socket)
{
	creations++;
	return 0;
}

char _license[] SEC("license") = "GPL";
