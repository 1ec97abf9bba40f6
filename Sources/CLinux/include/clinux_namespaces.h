// SPDX-License-Identifier: Apache-2.0
// Mounts made step by step, descriptors passed between processes, and what tells a task's namespaces apart.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// fsopen(2) and its relatives (5.2): -1 and errno on error.
int clinux_fsopen(const char *type);
// FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE.
int clinux_fsconfig_string(int context, const char *key, const char *value);
int clinux_fsconfig_create(int context);
int clinux_fsmount(int context);
// Attaches a mount that fsmount(2) made.
int clinux_move_mount(int mount, const char *path);
int clinux_openat(int directory, const char *path, int flags);

// One message of a Unix socket with up to 8 descriptors (SCM_RIGHTS). Returns the bytes moved, -1 and errno on error.
ssize_t clinux_send(int socket, const void *bytes, size_t size, const int *descriptors, size_t count);
// `descriptors` has room for 8; they are closed on exec.
ssize_t clinux_receive(int socket, void *bytes, size_t size, int *descriptors, size_t *count);
// A pair of SOCK_SEQPACKET sockets, closed on exec.
int clinux_socketpair(int ends[2]);

int clinux_gettid(void);
int clinux_getpgid(void);
// SO_NETNS_COOKIE (5.14): the cookie of the socket's network namespace.
int clinux_netns_cookie(int socket, uint64_t *cookie);
// The calling thread runs on the processor that it is on now, and stays there.
int clinux_stay_on_cpu(void);
// SO_ATTACH_BPF.
int clinux_attach_filter(int socket, int program);
