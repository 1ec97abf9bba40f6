// SPDX-License-Identifier: GPL-2.0-only
/* Sockets of the kernel's own that programs make and send with. */
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

/* In. */
struct ksock_opts opts = {};
__u16 family = 2;
__u16 port = 0;
int pid_wanted = 0;

/* Out. */
int error = 1;
int connected = 1;
int sent = -1;
int usage_created = -1;
int usage_acquired = -1;
int usage_left = -1;
int runs = 0;

static __always_inline struct kept *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&keep, &key);
}

static __always_inline int connect_to(struct bpf_ksock *socket)
{
	union ksock_address address = { .family = family, .port = bpf_htons(port) };

	if (family == 2)
		address.rest[0] = bpf_htonl(0x7f000001);
	else
		address.rest[4] = bpf_htonl(1);
	return bpf_ksock_connect(socket, &address, sizeof(address));
}

static __always_inline int use(struct bpf_ksock *socket)
{
	struct bpf_ksock *again;
	char text[5] = "hello";

	if (!socket)
		return 0;
	usage_created = socket->usage.refs.counter;
	again = bpf_ksock_acquire(socket);
	if (again) {
		usage_acquired = socket->usage.refs.counter;
		bpf_ksock_release(again);
	}
	usage_left = socket->usage.refs.counter;
	connected = connect_to(socket);
	sent = bpf_ksock_send(socket, text, sizeof(text));
	bpf_ksock_release(socket);
	return 1;
}

SEC("syscall")
int create_and_send(void *context)
{
	return use(bpf_ksock_create(&opts, sizeof(opts), &error));
}

SEC("syscall")
int create_with_short_options(void *context)
{
	return use(bpf_ksock_create(&opts, sizeof(opts) - 1, &error));
}

SEC("syscall")
int create_and_keep(void *context)
{
	struct bpf_ksock *socket = bpf_ksock_create(&opts, sizeof(opts), &error), *old;
	struct kept *value = slot();

	if (!socket)
		return 0;
	connected = connect_to(socket);
	if (!value) {
		bpf_ksock_release(socket);
		return 0;
	}
	old = bpf_kptr_xchg(&value->socket, socket);
	if (old)
		bpf_ksock_release(old);
	return 1;
}

/* A context in a map is acquired in an RCU section and sends when it is over: sending may sleep. */
static __always_inline int send_kept(void)
{
	struct kept *value = slot();
	struct bpf_ksock *socket;
	char text[4] = "kept";

	if (!value)
		return 0;
	bpf_rcu_read_lock();
	socket = value->socket;
	if (socket)
		socket = bpf_ksock_acquire(socket);
	bpf_rcu_read_unlock();
	if (!socket)
		return 0;
	usage_acquired = socket->usage.refs.counter;
	sent = bpf_ksock_send(socket, text, sizeof(text));
	bpf_ksock_release(socket);
	return 1;
}

SEC("syscall")
int send_from_map(void *context)
{
	return send_kept();
}

SEC("lsm.s/socket_bind")
int BPF_PROG(send_from_lsm, void *socket, void *address, int length)
{
	if ((bpf_get_current_pid_tgid() >> 32) != pid_wanted)
		return 0;
	runs += send_kept();
	return 0;
}

SEC("syscall")
int drop(void *context)
{
	struct kept *value = slot();
	struct bpf_ksock *old;

	if (!value)
		return 0;
	old = bpf_kptr_xchg(&value->socket, 0);
	if (!old)
		return 0;
	usage_left = old->usage.refs.counter;
	bpf_ksock_release(old);
	return 1;
}

char _license[] SEC("license") = "GPL";
