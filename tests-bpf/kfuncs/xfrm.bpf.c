// SPDX-License-Identifier: GPL-2.0-only
/* IPsec states from XDP programs, and metadata of IPsec interfaces from tc programs. */
#include "netkfuncs.h"

#define WRONG_ERROR 77
#define ESP 50
#define IPV4 2

/* In. */
__u32 address = 0;
__u32 spi = 0;
__u32 mark = 0;
__u8 protocol = ESP;
int netns_id = -1;
__u32 if_id = 0;
int link = 0;

/* Out. */
int error = 0;
int references = -1;
int references_twice = -1;
int references_left = -1;
__u32 spi_seen = 0;
int errors[8] = {};
int get_before = 1;
int set_first = 1;
int set_second = 1;
int get_after = 1;
__u32 if_id_seen = 0;
int link_seen = 0;

static __always_inline void fill(struct xfrm_opts *opts)
{
	opts->error = WRONG_ERROR;
	opts->netns_id = netns_id;
	opts->mark = mark;
	opts->daddr[0] = address;
	opts->spi = spi;
	opts->proto = protocol;
	opts->family = IPV4;
}

SEC("xdp")
int find_state(struct xdp_md *context)
{
	struct xfrm_opts opts = {};
	struct xfrm_state *state, *again;

	fill(&opts);
	state = bpf_xdp_get_xfrm_state(context, &opts, sizeof(opts));
	error = opts.error;
	if (!state)
		return 0;
	spi_seen = BPF_CORE_READ(state, id.spi);
	references = state->refcnt.refs.counter;
	again = bpf_xdp_get_xfrm_state(context, &opts, sizeof(opts));
	if (again) {
		references_twice = state->refcnt.refs.counter;
		bpf_xdp_xfrm_state_release(again);
	}
	references_left = state->refcnt.refs.counter;
	bpf_xdp_xfrm_state_release(state);
	return 1;
}

static __always_inline int error_of(struct xdp_md *context, struct xfrm_opts *opts, __u32 size)
{
	struct xfrm_state *state = bpf_xdp_get_xfrm_state(context, opts, size);

	if (!state)
		return opts->error;
	bpf_xdp_xfrm_state_release(state);
	return 1;
}

/* One wrong argument at a time; the last option has no room for the error. */
SEC("xdp")
int state_errors(struct xdp_md *context)
{
	struct xfrm_opts opts = {};

	fill(&opts);
	errors[0] = error_of(context, &opts, sizeof(opts) - 1);
	fill(&opts);
	opts.netns_id = -2;
	errors[1] = error_of(context, &opts, sizeof(opts));
	fill(&opts);
	opts.netns_id = 9999;
	errors[2] = error_of(context, &opts, sizeof(opts));
	fill(&opts);
	opts.spi += 1;
	errors[3] = error_of(context, &opts, sizeof(opts));
	fill(&opts);
	opts.proto = 51;
	errors[4] = error_of(context, &opts, sizeof(opts));
	fill(&opts);
	errors[5] = error_of(context, &opts, 3);
	return 1;
}

SEC("tc")
int interface_info(struct __sk_buff *skb)
{
	struct xfrm_info info = { if_id, link }, seen = {};

	get_before = bpf_skb_get_xfrm_info(skb, &seen);
	set_first = bpf_skb_set_xfrm_info(skb, &info);
	info.if_id++;
	set_second = bpf_skb_set_xfrm_info(skb, &info);
	get_after = bpf_skb_get_xfrm_info(skb, &seen);
	if_id_seen = seen.if_id;
	link_seen = seen.link;
	return 1;
}

int namespace_references = -1;

SEC("syscall")
int namespace(void *context)
{
	namespace_references = count_namespace();
	return 1;
}

char _license[] SEC("license") = "GPL";
