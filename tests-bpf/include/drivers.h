/* SPDX-License-Identifier: GPL-2.0-only */
/* The frames of Sources/Agents/Drivers/TestFrame.swift: each carries the trace of the programs that it has run. */
#pragma once

#include "bpftest.h"

#define MAX_TRACE 64
#define FRAME_OFFSET 14
#define FRAME_MAGIC 0x74667062 /* "bpft" */

/* Behind the Ethernet header, little endian. */
struct frame {
	__u32 magic;
	__u32 run;
	__u32 number;
	__u8 length;
	__u8 padding[3];
	__u8 trace[MAX_TRACE];
};

#define TRACE_OFFSET (FRAME_OFFSET + __builtin_offsetof(struct frame, trace))
#define LENGTH_OFFSET (FRAME_OFFSET + __builtin_offsetof(struct frame, length))
