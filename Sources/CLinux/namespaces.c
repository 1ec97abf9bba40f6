// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/clinux_namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// x86-64 and the generic table have the same numbers from 424 on.
enum { MOVE_MOUNT = 429, FSOPEN = 430, FSCONFIG = 431, FSMOUNT = 432 };
enum { FSCONFIG_STRING = 1, FSCONFIG_CREATE = 6, MOVE_MOUNT_FROM_EMPTY = 4 };
enum { NETNS_COOKIE = 71, ATTACH_BPF = 50, MOST_DESCRIPTORS = 8 };

int clinux_fsopen(const char *type)
{
	return (int)syscall(FSOPEN, type, 1 /* FSOPEN_CLOEXEC */);
}

int clinux_fsconfig_string(int context, const char *key, const char *value)
{
	return (int)syscall(FSCONFIG, context, FSCONFIG_STRING, key, value, 0);
}

int clinux_fsconfig_create(int context)
{
	return (int)syscall(FSCONFIG, context, FSCONFIG_CREATE, NULL, NULL, 0);
}

int clinux_fsmount(int context)
{
	return (int)syscall(FSMOUNT, context, 1 /* FSMOUNT_CLOEXEC */, 0);
}

int clinux_move_mount(int mount, const char *path)
{
	return (int)syscall(MOVE_MOUNT, mount, "", AT_FDCWD, path, MOVE_MOUNT_FROM_EMPTY);
}

int clinux_openat(int directory, const char *path, int flags)
{
	return openat(directory, path, flags | O_CLOEXEC);
}

ssize_t clinux_send(int socket, const void *bytes, size_t size, const int *descriptors, size_t count)
{
	union {
		char space[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
		struct cmsghdr alignment;
	} control;
	struct iovec part = { (void *)bytes, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t sent;

	if (count > MOST_DESCRIPTORS) {
		errno = EINVAL;
		return -1;
	}
	if (count) {
		memset(&control, 0, sizeof control);
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent;
}

ssize_t clinux_receive(int socket, void *bytes, size_t size, int *descriptors, size_t *count)
{
	union {
		char space[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
		struct cmsghdr alignment;
	} control;
	struct iovec part = { bytes, size };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof control.space,
	};
	ssize_t received;

	*count = 0;
	do
		received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -1;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		*count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(descriptors, CMSG_DATA(header), *count * sizeof(int));
	}
	return received;
}

int clinux_socketpair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

int clinux_gettid(void)
{
	return (int)syscall(SYS_gettid);
}

int clinux_getpgid(void)
{
	return (int)syscall(SYS_getpgid, 0);
}

int clinux_netns_cookie(int socket, uint64_t *cookie)
{
	socklen_t size = sizeof *cookie;

	return getsockopt(socket, SOL_SOCKET, NETNS_COOKIE, cookie, &size);
}

int clinux_stay_on_cpu(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	if (cpu < 0)
		return -1;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof set, &set);
}

int clinux_attach_filter(int socket, int program)
{
	return setsockopt(socket, SOL_SOCKET, ATTACH_BPF, &program, sizeof program);
}
