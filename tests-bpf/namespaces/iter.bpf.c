// SPDX-License-Identifier: GPL-2.0-only
/* What iterators show to those who read them, one line for each element. */
#include "kfuncs.h"

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} CO_RE;

struct in_common {
	__be32 skc_daddr;
} CO_RE;

struct sock_common {
	unsigned short skc_family;
	unsigned short skc_num;
	unsigned char skc_state;
} CO_RE;

struct udp_sock;

struct kernfs_node {
	__u64 id;
} CO_RE;

struct cgroup {
	struct kernfs_node *kn;
} CO_RE;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	__u32 uid;
} CO_RE;

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
	__u32 uid;
	int bucket;
} CO_RE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CO_RE;

struct bpf_iter__cgroup {
	struct bpf_iter_meta *meta;
	struct cgroup *cgroup;
} CO_RE;

#define LINE(seq, format, ...)                                                        \
	({                                                                            \
		static const char text[] = format;                                    \
		__u64 values[] = { __VA_ARGS__ };                                     \
		bpf_seq_printf(seq, text, sizeof(text), values, sizeof(values));      \
	})

SEC("?iter/tcp")
int tcp(struct bpf_iter__tcp *context)
{
	struct sock_common *socket = context->sk_common;

	if (socket)
		LINE(context->meta->seq, "%d\n", socket->skc_num);
	return 0;
}

SEC("?iter/udp")
int udp(struct bpf_iter__udp *context)
{
	struct sock_common *socket = (struct sock_common *)context->udp_sk;
	unsigned short number = 0;

	if (!socket)
		return 0;
	bpf_probe_read_kernel(&number, sizeof(number), &socket->skc_num);
	LINE(context->meta->seq, "%d\n", number);
	return 0;
}

SEC("?iter/task")
int task(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;

	if (task)
		LINE(context->meta->seq, "%d\n", task->pid);
	return 0;
}

SEC("?iter/cgroup")
int cgroup(struct bpf_iter__cgroup *context)
{
	struct cgroup *group = context->cgroup;

	if (group)
		LINE(context->meta->seq, "%llu\n", BPF_CORE_READ(group, kn, id));
	return 0;
}

char _license[] SEC("license") = "GPL";
