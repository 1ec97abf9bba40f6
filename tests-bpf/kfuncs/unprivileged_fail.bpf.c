// SPDX-License-Identifier: GPL-2.0-only
/* A program that is loaded without CAP_BPF: no maps, no globals, nothing that would be refused before it. */
#include "netkfuncs.h"

SEC("?socket")
__failure __msg("loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN")
int without_capability(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?socket")
int without_function(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
