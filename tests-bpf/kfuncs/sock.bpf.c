// SPDX-License-Identifier: GPL-2.0-only
/* Iterators over sockets that destroy the one with a certain port. */
#include "netkfuncs.h"

struct bpf_iter__tcp {
	struct sock_common *sk_common;
} CO_RE;

struct udp_sock;
struct bpf_iter__udp {
	struct udp_sock *udp_sk;
} CO_RE;

/* In. */
int port = 0;
int state = 0;

/* Out. */
int calls = 0;
int result = 1;

static __always_inline int is_wanted(struct sock_common *sock)
{
	return sock->skc_num == port && (!state || sock->skc_state == state);
}

SEC("iter/tcp")
int destroy_tcp(struct bpf_iter__tcp *context)
{
	struct sock_common *sock = context->sk_common;

	if (!sock || !is_wanted(sock))
		return 0;
	result = bpf_sock_destroy(sock);
	calls++;
	return 0;
}

SEC("iter/udp")
int destroy_udp(struct bpf_iter__udp *context)
{
	struct sock_common *sock = (struct sock_common *)context->udp_sk;

	if (!sock || !is_wanted(sock))
		return 0;
	result = bpf_sock_destroy(sock);
	calls++;
	return 0;
}

char _license[] SEC("license") = "GPL";
