/* SPDX-License-Identifier: GPL-2.0-only */
/* Queueing disciplines as struct_ops: net/sched/bpf_qdisc.c, since Linux 6.16. */
#pragma once

#include "netkfuncs.h"

struct sk_buff {
	unsigned int len;
} CO_RE;

struct qdisc_skb_head {
	__u32 qlen;
} CO_RE;

struct Qdisc {
	struct qdisc_skb_head q;
} CO_RE;

struct bpf_sk_buff_ptr {
	struct sk_buff *skb;
};
struct nlattr;
struct netlink_ext_ack;

/* Those members that programs are for; found by their names in the kernel's. */
struct Qdisc_ops {
	char id[16];
	int (*enqueue)(struct sk_buff *skb, struct Qdisc *sch, struct sk_buff **to_free);
	struct sk_buff *(*dequeue)(struct Qdisc *sch);
	int (*init)(struct Qdisc *sch, struct nlattr *arg, struct netlink_ext_ack *extack);
	void (*reset)(struct Qdisc *sch);
	void (*destroy)(struct Qdisc *sch);
};

void bpf_kfree_skb(struct sk_buff *skb) __ksym_weak;
void bpf_qdisc_skb_drop(struct sk_buff *skb, struct bpf_sk_buff_ptr *to_free_list) __ksym_weak;

#define NET_XMIT_SUCCESS 0
#define NET_XMIT_DROP 1

#define QDISC_DO_NOTHING                                                                     \
	SEC("struct_ops")                                                                    \
	int BPF_PROG(begin, struct Qdisc *sch, struct nlattr *arg, struct netlink_ext_ack *extack) \
	{                                                                                    \
		return 0;                                                                    \
	}                                                                                    \
                                                                                             \
	SEC("struct_ops")                                                                    \
	void BPF_PROG(end, struct Qdisc *sch)                                                \
	{                                                                                    \
	}

struct waiting {
	struct sk_buff __kptr_referenced *skb;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct waiting);
} queue SEC(".maps");

static __always_inline struct waiting *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&queue, &key);
}
