// SPDX-License-Identifier: GPL-2.0-only
/* Programs that must not destroy sockets, in the words of Linux 6.12. */
#include "netkfuncs.h"

struct bpf_iter__tcp {
	struct sock_common *sk_common;
} CO_RE;

SEC("?tp_btf/tcp_destroy_sock")
__failure __msg("calling kernel function bpf_sock_destroy is not allowed")
int BPF_PROG(destroy_in_tracepoint, struct sock *sock)
{
	bpf_sock_destroy((struct sock_common *)sock);
	return 0;
}

SEC("?tc")
__failure __msg("calling kernel function bpf_sock_destroy is not allowed")
int destroy_in_tc(struct __sk_buff *skb)
{
	bpf_sock_destroy(0);
	return 0;
}

SEC("?iter/tcp")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int destroy_unchecked(struct bpf_iter__tcp *context)
{
	bpf_sock_destroy(context->sk_common);
	return 0;
}

struct unix_sock;
struct bpf_iter__unix {
	struct unix_sock *unix_sk;
} CO_RE;

SEC("?iter/unix")
__failure __msg("R1 must be referenced or trusted")
int destroy_unix(struct bpf_iter__unix *context)
{
	struct sock_common *sock = (struct sock_common *)context->unix_sk;

	if (sock)
		bpf_sock_destroy(sock);
	return 0;
}

char _license[] SEC("license") = "GPL";
