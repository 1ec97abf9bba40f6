// SPDX-License-Identifier: GPL-2.0-only
/* A queue for one packet, which is the program's own until it hands it on; or for none. */
#include "qdisc.h"

int drops_all = 0;

int enqueued = 0;
int dequeued = 0;
int dropped = 0;
int bytes = 0;

SEC("struct_ops")
int BPF_PROG(put, struct sk_buff *skb, struct Qdisc *sch, struct bpf_sk_buff_ptr *to_free)
{
	struct waiting *value = slot();
	struct sk_buff *old;

	if (drops_all || !value) {
		dropped++;
		bpf_qdisc_skb_drop(skb, to_free);
		return NET_XMIT_DROP;
	}
	enqueued++;
	bytes = skb->len;
	old = bpf_kptr_xchg(&value->skb, skb);
	if (old) {
		dropped++;
		bpf_qdisc_skb_drop(old, to_free);
		return NET_XMIT_SUCCESS;
	}
	sch->q.qlen++;
	return NET_XMIT_SUCCESS;
}

SEC("struct_ops")
struct sk_buff *BPF_PROG(get, struct Qdisc *sch)
{
	struct waiting *value = slot();
	struct sk_buff *skb;

	if (!value)
		return 0;
	skb = bpf_kptr_xchg(&value->skb, 0);
	if (!skb)
		return 0;
	dequeued++;
	sch->q.qlen--;
	return skb;
}

SEC("struct_ops")
void BPF_PROG(empty, struct Qdisc *sch)
{
	struct waiting *value = slot();
	struct sk_buff *skb;

	if (!value)
		return;
	skb = bpf_kptr_xchg(&value->skb, 0);
	if (skb)
		bpf_kfree_skb(skb);
}

QDISC_DO_NOTHING

SEC(".struct_ops")
struct Qdisc_ops one = {
	.id = "bpftest_one",
	.enqueue = (void *)put,
	.dequeue = (void *)get,
	.init = (void *)begin,
	.reset = (void *)empty,
	.destroy = (void *)end,
};

char _license[] SEC("license") = "GPL";
