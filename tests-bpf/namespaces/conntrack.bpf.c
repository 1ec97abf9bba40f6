// SPDX-License-Identifier: GPL-2.0-only
/* A connection of the connection tracker, added and looked up by network namespace. */
#include "kfuncs.h"
#include <bpf/bpf_endian.h>

struct nf_conn {
	unsigned long status;
} CO_RE;

struct bpf_ct_opts___names {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

struct nf_conn *bpf_skb_ct_alloc(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
				 struct bpf_ct_opts___names *opts, __u32 opts__sz) __ksym_weak;
struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple__sz,
				  struct bpf_ct_opts___names *opts, __u32 opts__sz) __ksym_weak;
struct nf_conn *bpf_ct_insert_entry(struct nf_conn *nfct) __ksym_weak;
void bpf_ct_set_timeout(struct nf_conn *nfct, __u32 timeout) __ksym_weak;
void bpf_ct_release(struct nf_conn *nfct) __ksym_weak;

/* In. */
__s32 netns = 0;

/* Out. */
__s32 error = 0;

static __always_inline void fill(struct bpf_sock_tuple *tuple, struct bpf_ct_opts___names *options)
{
	tuple->ipv4.saddr = bpf_htonl(0x0a000001);
	tuple->ipv4.daddr = bpf_htonl(0x0a000002);
	tuple->ipv4.sport = bpf_htons(1000);
	tuple->ipv4.dport = bpf_htons(2000);
	options->netns_id = netns;
	options->l4proto = 6;
}

SEC("?tc")
int add(struct __sk_buff *skb)
{
	struct bpf_ct_opts___names options = {};
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *connection;

	fill(&tuple, &options);
	connection = bpf_skb_ct_alloc(skb, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	error = options.error;
	if (!connection)
		return 0;
	bpf_ct_set_timeout(connection, 100000);
	connection = bpf_ct_insert_entry(connection);
	if (!connection)
		return 2;
	bpf_ct_release(connection);
	return 1;
}

SEC("?tc")
int look(struct __sk_buff *skb)
{
	struct bpf_ct_opts___names options = {};
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *connection;

	fill(&tuple, &options);
	connection = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	error = options.error;
	if (!connection)
		return 0;
	bpf_ct_release(connection);
	return 1;
}

char _license[] SEC("license") = "GPL";
