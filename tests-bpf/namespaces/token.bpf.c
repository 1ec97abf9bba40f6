// SPDX-License-Identifier: GPL-2.0-only
/* Security hooks of BPF tokens (Linux 6.9) that say no to one process. */
#include "kfuncs.h"

struct bpf_token;
union bpf_attr;

/* In: the process that is refused. */
__u64 wanted = 0;

/* Out. */
__u32 runs = 0;

static __always_inline int deny(int answer)
{
	if (bpf_get_current_pid_tgid() >> 32 != wanted)
		return 0;
	runs++;
	return answer;
}

SEC("?lsm/bpf_token_create")
int BPF_PROG(deny_create, struct bpf_token *token, union bpf_attr *attr, struct path *path)
{
	return deny(-13 /* EACCES */);
}

SEC("?lsm/bpf_token_cmd")
int BPF_PROG(deny_command, struct bpf_token *token, int command)
{
	return deny(-1 /* EPERM */);
}

SEC("?lsm/bpf_token_capable")
int BPF_PROG(deny_capability, struct bpf_token *token, int capability)
{
	return deny(-1 /* EPERM */);
}

char _license[] SEC("license") = "GPL";
