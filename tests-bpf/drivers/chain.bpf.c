// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that leave a trace in the frame itself and in a record by the frame's number, and return the verdict set
 * for them. The frame tells which programs it has run wherever it arrives; the record tells it of a frame that does
 * not arrive.
 */
#include "drivers.h"

#define MAX_PROGRAMS 65
#define RECORDS 1024

/* The whole of .bss, so that its layout is this declaration's: Sources/Agents/Drivers/Chain.swift reads it. */
struct {
	/* TCX_NEXT is -1: set by the agent. */
	__s32 verdict[MAX_PROGRAMS];
	/* Where bpf_redirect() of a program with that verdict sends frames, and its flags. */
	__u32 redirect_to;
	__u32 redirect_flags;
	/* Frames of other cases are left alone. */
	__u32 run;
	struct {
		__u32 length;
		__u8 trace[MAX_TRACE];
	} record[RECORDS];
} state;

static __noinline int ran(struct __sk_buff *skb, __u32 program)
{
	struct frame frame;
	__u8 number = program;
	__u32 slot, at;

	if (bpf_skb_load_bytes(skb, FRAME_OFFSET, &frame, __builtin_offsetof(struct frame, trace)))
		return -1;
	if (frame.magic != FRAME_MAGIC || frame.run != state.run)
		return -1;
	if (frame.length < MAX_TRACE) {
		bpf_skb_store_bytes(skb, TRACE_OFFSET + frame.length, &number, 1, 0);
		frame.length++;
		bpf_skb_store_bytes(skb, LENGTH_OFFSET, &frame.length, 1, 0);
	}
	slot = frame.number % RECORDS;
	at = __sync_fetch_and_add(&state.record[slot].length, 1);
	if (at < MAX_TRACE)
		state.record[slot].trace[at] = number;
	if (program >= MAX_PROGRAMS)
		return -1;
	if (state.verdict[program] == 100) /* Chain.dropOdd */
		return frame.number & 1 ? 2 : -1;
	if (state.verdict[program] == 7) /* TC_ACT_REDIRECT */
		return bpf_redirect(state.redirect_to, state.redirect_flags);
	return state.verdict[program];
}

#define PROGRAM(n)                          \
	SEC("tc")                           \
	int p##n(struct __sk_buff *skb)     \
	{                                   \
		return ran(skb, n);         \
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

char _license[] SEC("license") = "GPL";
