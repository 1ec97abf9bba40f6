// SPDX-License-Identifier: GPL-2.0-only
/* As perfmon_fail.bpf.c, for a function that is older than those there. */
#include "netkfuncs.h"

int sink = 0;

SEC("?socket")
__failure __msg("bpf_rdonly_cast is allowed only to CAP_PERFMON and CAP_SYS_ADMIN")
int casts(struct __sk_buff *skb)
{
	sink = bpf_rdonly_cast(skb, bpf_core_type_id_kernel(struct task_struct)) != 0;
	return 0;
}

char _license[] SEC("license") = "GPL";
