// SPDX-License-Identifier: GPL-2.0-only
/* Programs with IPsec states that the verifier must refuse, in the words of Linux 6.12. */
#include "netkfuncs.h"

int sink = 0;

SEC("?xdp")
__failure __msg("Unreleased reference")
int leak(struct xdp_md *context)
{
	struct xfrm_opts opts = { .netns_id = -1 };

	sink = bpf_xdp_get_xfrm_state(context, &opts, sizeof(opts)) != 0;
	return 0;
}

SEC("?xdp")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int release_unchecked(struct xdp_md *context)
{
	struct xfrm_opts opts = { .netns_id = -1 };

	bpf_xdp_xfrm_state_release(bpf_xdp_get_xfrm_state(context, &opts, sizeof(opts)));
	return 0;
}

SEC("?tc")
__failure __msg("calling kernel function bpf_xdp_get_xfrm_state is not allowed")
int get_in_tc(struct __sk_buff *skb)
{
	struct xfrm_opts opts = { .netns_id = -1 };

	sink = bpf_xdp_get_xfrm_state((void *)skb, &opts, sizeof(opts)) != 0;
	return 0;
}

char _license[] SEC("license") = "GPL";
