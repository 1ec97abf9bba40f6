// SPDX-License-Identifier: GPL-2.0-only
/* XDP programs that leave their mark in a test's frame, in front of the tcx programs', and return what they are told. */
#include "drivers.h"

/* In the trace; no program of chain.bpf.c has it. */
#define MARK 100

__u32 run;
__u32 verdict;
__u32 redirect_to;
/* Frames of the case that came by, and the length of the last one. */
__u32 count;
__u32 length;

static __always_inline int mark(struct xdp_md *context, __u32 whole)
{
	void *end = (void *)(long)context->data_end;
	void *data = (void *)(long)context->data;
	struct frame *frame = data + FRAME_OFFSET;

	if (data + FRAME_OFFSET + sizeof *frame > end || frame->magic != FRAME_MAGIC || frame->run != run)
		return XDP_PASS;
	/* Nothing comes before XDP. */
	if (!frame->length) {
		frame->trace[0] = MARK;
		frame->length = 1;
	}
	__sync_fetch_and_add(&count, 1);
	length = whole;
	return verdict == XDP_REDIRECT ? bpf_redirect(redirect_to, 0) : verdict;
}

SEC("xdp")
int one_buffer(struct xdp_md *context)
{
	return mark(context, context->data_end - context->data);
}

/* Frames of several buffers, of which the first is at hand. */
SEC("xdp.frags")
int many_buffers(struct xdp_md *context)
{
	return mark(context, bpf_xdp_get_buff_len(context));
}

char _license[] SEC("license") = "GPL";
