// SPDX-License-Identifier: GPL-2.0-only
/* Programs with sockets of the kernel's own that the verifier must refuse, in the words of Linux 7.3. */
#include "netkfuncs.h"

struct kept {
	struct bpf_ksock __kptr_referenced *socket;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} keep SEC(".maps");

struct ksock_opts opts = {};
int error = 0;
int sink = 0;

static __always_inline struct kept *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&keep, &key);
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak(void *context)
{
	sink = bpf_ksock_create(&opts, sizeof(opts), &error) != 0;
	return 0;
}

SEC("?syscall")
__failure __msg("Possibly NULL pointer passed to trusted R1")
int release_unchecked(void *context)
{
	bpf_ksock_release(bpf_ksock_create(&opts, sizeof(opts), &error));
	return 0;
}

SEC("?syscall")
__failure __msg("R1 must be a rcu pointer")
int acquire_outside_rcu(void *context)
{
	struct kept *value = slot();
	struct bpf_ksock *socket;

	if (!value)
		return 0;
	socket = value->socket;
	if (!socket)
		return 0;
	socket = bpf_ksock_acquire(socket);
	if (socket)
		bpf_ksock_release(socket);
	return 0;
}

SEC("?lsm.s/socket_sendmsg")
__failure __msg("calling kernel function bpf_ksock_acquire is not allowed")
int BPF_PROG(send_in_sendmsg, void *socket, void *message, int size)
{
	struct kept *value = slot();
	struct bpf_ksock *kept;

	if (!value)
		return 0;
	bpf_rcu_read_lock();
	kept = value->socket;
	if (kept)
		kept = bpf_ksock_acquire(kept);
	bpf_rcu_read_unlock();
	if (kept)
		bpf_ksock_release(kept);
	return 0;
}

SEC("?lsm.s/socket_bind")
__failure __msg("calling kernel function bpf_ksock_create is not allowed")
int BPF_PROG(create_in_lsm, void *socket, void *address, int length)
{
	struct bpf_ksock *made = bpf_ksock_create(&opts, sizeof(opts), &error);

	if (made)
		bpf_ksock_release(made);
	return 0;
}

char _license[] SEC("license") = "GPL";
