// SPDX-License-Identifier: GPL-2.0-only
/* Queueing disciplines that the verifier must refuse, in the words of Linux 6.18. */
#include "qdisc.h"

#define DISCIPLINE(name, enqueue_with, dequeue_with)        \
	SEC(".struct_ops")                                  \
	struct Qdisc_ops discipline_##name = {              \
		.id = #name,                                \
		.enqueue = (void *)enqueue_with,            \
		.dequeue = (void *)dequeue_with,            \
	};

SEC("?struct_ops")
__failure __msg("Unreleased reference")
int BPF_PROG(leak, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	return NET_XMIT_SUCCESS;
}

SEC("?struct_ops")
__failure __msg("arg#0 expected pointer to")
int BPF_PROG(drop_twice, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	bpf_qdisc_skb_drop(skb, to_free);
	bpf_qdisc_skb_drop(skb, to_free);
	return NET_XMIT_DROP;
}

SEC("?struct_ops")
__failure __msg("calling kernel function bpf_qdisc_skb_drop is not allowed")
struct sk_buff *BPF_PROG(drop_in_dequeue, struct Qdisc *sch)
{
	struct waiting *value = slot();
	struct sk_buff *skb;

	if (!value)
		return 0;
	skb = bpf_kptr_xchg(&value->skb, 0);
	if (skb)
		bpf_qdisc_skb_drop(skb, 0);
	return 0;
}

SEC("?struct_ops")
__failure __msg("Unreleased reference")
struct sk_buff *BPF_PROG(leak_in_dequeue, struct Qdisc *sch)
{
	struct waiting *value = slot();
	struct sk_buff *skb;

	if (!value)
		return 0;
	skb = bpf_kptr_xchg(&value->skb, 0);
	if (skb)
		sch->q.qlen--;
	return 0;
}

DISCIPLINE(leak, leak, 0)
DISCIPLINE(drop_twice, drop_twice, 0)
DISCIPLINE(drop_in_dequeue, 0, drop_in_dequeue)
DISCIPLINE(leak_in_dequeue, 0, leak_in_dequeue)

char _license[] SEC("license") = "GPL";
