// SPDX-License-Identifier: GPL-2.0-only
/* The cookie of a network namespace, seen from programs on its sockets and packets. */
#include "bpftest.h"
#include <bpf/bpf_endian.h>

/* Out. */
__u64 cookie = 0;
__u64 null_cookie = 0;
__u64 egress = 0;
__u64 ingress = 0;
__u32 runs = 0;
__u32 ingress_runs = 0;

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, __u64);
} sockets SEC(".maps");

SEC("?cgroup/sock_create")
int in_sock_create(struct bpf_sock *socket)
{
	cookie = bpf_get_netns_cookie(socket);
	null_cookie = bpf_get_netns_cookie(0);
	runs++;
	return 1;
}

SEC("?cgroup/connect4")
int in_connect4(struct bpf_sock_addr *context)
{
	cookie = bpf_get_netns_cookie(context);
	null_cookie = bpf_get_netns_cookie(0);
	runs++;
	return 1;
}

SEC("?sockops")
int in_sock_ops(struct bpf_sock_ops *context)
{
	cookie = bpf_get_netns_cookie(context);
	null_cookie = bpf_get_netns_cookie(0);
	runs++;
	return 1;
}

SEC("?sk_msg")
int in_sk_msg(struct sk_msg_md *context)
{
	cookie = bpf_get_netns_cookie(context);
	null_cookie = bpf_get_netns_cookie(0);
	runs++;
	return SK_PASS;
}

SEC("?tc")
int in_tc(struct __sk_buff *skb)
{
	cookie = bpf_get_netns_cookie(skb);
	null_cookie = bpf_get_netns_cookie(0);
	runs++;
	return -1;
}

SEC("?tc")
int in_egress(struct __sk_buff *skb)
{
	egress = bpf_get_netns_cookie(skb);
	runs++;
	return -1;
}

SEC("?tc")
int in_ingress(struct __sk_buff *skb)
{
	ingress = bpf_get_netns_cookie(skb);
	ingress_runs++;
	return -1;
}

SEC("?cgroup_skb/egress")
int in_cgroup_skb(struct __sk_buff *skb)
{
	cookie = bpf_get_netns_cookie(skb);
	runs++;
	return 1;
}

/* Counts packets of a protocol that nobody else sends (local experimental, IEEE 802). */
SEC("?tc")
int count_marked(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(0x88b5))
		runs++;
	return -1;
}

char _license[] SEC("license") = "GPL";
