// SPDX-License-Identifier: GPL-2.0-only
/* Sockets found for packets: by programs that choose them, and by programs that ask for them by namespace. */
#include "bpftest.h"
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, __u64);
} sockets SEC(".maps");

/* In. */
__u32 port = 0;
__u64 netns = 0;

/* Out. */
__u32 runs = 0;
__s64 assigned = 0;
__u32 trace[80] = {};
__u32 length = 0;
__u32 found = 0;
__u32 found_port = 0;

SEC("?sk_lookup")
int choose(struct bpf_sk_lookup *context)
{
	struct bpf_sock *socket;
	int key = 0;

	if (context->local_port != port)
		return SK_PASS;
	runs++;
	socket = bpf_map_lookup_elem(&sockets, &key);
	if (!socket)
		return SK_PASS;
	assigned = bpf_sk_assign(context, socket, 0);
	bpf_sk_release(socket);
	return SK_PASS;
}

SEC("?sk_lookup")
int drop(struct bpf_sk_lookup *context)
{
	if (context->local_port != port)
		return SK_PASS;
	runs++;
	return SK_DROP;
}

static __always_inline int leave(struct bpf_sk_lookup *context, __u32 mark)
{
	__u32 at = length;

	if (context->local_port != port)
		return SK_PASS;
	if (at < 80)
		trace[at] = mark;
	length = at + 1;
	return SK_PASS;
}

SEC("?sk_lookup")
int first(struct bpf_sk_lookup *context)
{
	return leave(context, 1);
}

SEC("?sk_lookup")
int second(struct bpf_sk_lookup *context)
{
	return leave(context, 2);
}

SEC("?sk_lookup")
int third(struct bpf_sk_lookup *context)
{
	return leave(context, 3);
}

SEC("?tc")
int ask(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *socket;

	found = 0;
	found_port = 0;
	tuple.ipv4.daddr = bpf_htonl(0x7f000001);
	tuple.ipv4.dport = bpf_htons(port);
	tuple.ipv4.saddr = bpf_htonl(0x7f000001);
	tuple.ipv4.sport = bpf_htons(9);
	socket = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), netns, 0);
	if (!socket)
		return 0;
	found = 1;
	found_port = socket->src_port;
	bpf_sk_release(socket);
	return 1;
}

SEC("?flow_dissector")
int dissect(struct __sk_buff *skb)
{
	runs++;
	return BPF_DROP;
}

char _license[] SEC("license") = "GPL";
