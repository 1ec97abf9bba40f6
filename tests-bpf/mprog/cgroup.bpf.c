// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs for sockets made in a cgroup, that leave a trace: each appends its number to one list and returns the
 * verdict set for it. Which of them ran for a socket, and in which order, is then read from the list.
 */
#include "bpftest.h"

#define MAX_PROGRAMS 67
#define MAX_TRACE 256

/* The whole of .bss, so that its layout is this declaration's: Sources/Agents/Mprog/CgroupPrograms.swift reads it. */
struct {
	__u32 length;
	__u32 trace[MAX_TRACE];
	/* 1 lets the socket be made: set by the agent. */
	__s32 verdict[MAX_PROGRAMS];
} state;

/* One task makes sockets at a time. Kernels before 5.12 have no atomic addition that tells what was there. */
static __always_inline int ran(__u32 number)
{
	__u32 at = state.length++;

	if (at < MAX_TRACE)
		state.trace[at] = number;
	return state.verdict[number] & 1;
}

#define PROGRAM(n)                          \
	SEC("cgroup/sock_create")           \
	int c##n(struct bpf_sock *sk)       \
	{                                   \
		return ran(n);              \
	}
#define EIGHT(a, b, c, d, e, f, g, h) \
	PROGRAM(a) PROGRAM(b) PROGRAM(c) PROGRAM(d) PROGRAM(e) PROGRAM(f) PROGRAM(g) PROGRAM(h)

EIGHT(1, 2, 3, 4, 5, 6, 7, 8)
EIGHT(9, 10, 11, 12, 13, 14, 15, 16)
EIGHT(17, 18, 19, 20, 21, 22, 23, 24)
EIGHT(25, 26, 27, 28, 29, 30, 31, 32)
EIGHT(33, 34, 35, 36, 37, 38, 39, 40)
EIGHT(41, 42, 43, 44, 45, 46, 47, 48)
EIGHT(49, 50, 51, 52, 53, 54, 55, 56)
EIGHT(57, 58, 59, 60, 61, 62, 63, 64)
PROGRAM(65)
PROGRAM(66)

/* A program of another type, for anchors and links that must be refused. */
SEC("cgroup_skb/egress")
int other_type(struct __sk_buff *skb)
{
	return 1;
}

char _license[] SEC("license") = "GPL";
