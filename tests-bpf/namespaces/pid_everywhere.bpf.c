// SPDX-License-Identifier: GPL-2.0-only
/* bpf_get_ns_current_pid_tgid in types of programs that have it from Linux 6.10 on. */
#include "bpftest.h"

__u64 device = 0;
__u64 inode = 0;

__s64 result = 0;
__u32 pid = 0;
__u32 tgid = 0;
__u32 runs = 0;

static __always_inline void look(void)
{
	struct bpf_pidns_info info = { 0xffffffff, 0xffffffff };

	result = bpf_get_ns_current_pid_tgid(device, inode, &info, sizeof(info));
	pid = info.pid;
	tgid = info.tgid;
	runs++;
}

SEC("?cgroup/connect4")
int in_connect4(struct bpf_sock_addr *context)
{
	look();
	return 1;
}

SEC("?tc")
int in_tc(struct __sk_buff *skb)
{
	look();
	return 0;
}

SEC("?xdp")
int in_xdp(struct xdp_md *context)
{
	look();
	return XDP_PASS;
}

SEC("?socket")
int in_socket(struct __sk_buff *skb)
{
	look();
	return 0;
}

char _license[] SEC("license") = "GPL";
