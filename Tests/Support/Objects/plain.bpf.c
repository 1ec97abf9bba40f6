// SPDX-License-Identifier: GPL-2.0-only
/* A program without annotations. */
#include "bpftest.h"

SEC("tc")
int plain(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
