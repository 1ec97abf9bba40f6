// SPDX-License-Identifier: GPL-2.0-only
/* LSM programs for a cgroup: each appends a digit to what has run. */
#include "bpftest.h"

__u32 ran;

static __always_inline int append(__u32 digit)
{
	ran = ran * 10 + digit;
	return 1;
}

SEC("lsm_cgroup/socket_bind")
int bind_one(void *context)
{
	return append(1);
}

SEC("lsm_cgroup/socket_bind")
int bind_two(void *context)
{
	return append(2);
}

SEC("lsm_cgroup/socket_listen")
int listen_three(void *context)
{
	return append(3);
}

char _license[] SEC("license") = "GPL";
