// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that leave a trace: each appends its number to one list and returns the verdict set for it. Which of them
 * ran on a packet, and in which order, is then read from the list.
 */
#include "bpftest.h"

#define MAX_PROGRAMS 65
#define MAX_TRACE 256

/* The whole of .bss, so that its layout is this declaration's: Sources/Agents/Mprog/Programs.swift reads it. */
struct {
	__u32 length;
	__u32 trace[MAX_TRACE];
	/* TCX_NEXT is -1: set by the agent before a packet is sent. */
	__s32 verdict[MAX_PROGRAMS];
} state;

static __always_inline int ran(__u32 number)
{
	__u32 at = __sync_fetch_and_add(&state.length, 1);

	if (at < MAX_TRACE)
		state.trace[at] = number;
	return state.verdict[number];
}

#define PROGRAM(n)                          \
	SEC("tc")                           \
	int p##n(struct __sk_buff *skb)     \
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

/* A program of another type, for anchors that must be refused. */
SEC("xdp")
int other_type(struct xdp_md *context)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
