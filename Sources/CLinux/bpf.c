// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/clinux_bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int clinux_bpf(int command, void *attr, unsigned size)
{
	return (int)syscall(SYS_bpf, command, attr, size);
}

pid_t clinux_fork(void)
{
	return fork();
}

int clinux_adopt_orphans(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int clinux_end_group(pid_t leader, int *status)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t)leader, &info, WEXITED | WNOWAIT) < 0)
		if (errno != EINTR)
			return -1;
	// The leader is not reaped yet: its number, which is the group's, cannot have been given to others.
	kill(-leader, SIGKILL);
	while (waitpid(leader, status, 0) < 0)
		if (errno != EINTR)
			return -1;
	while (waitpid(-leader, NULL, 0) > 0 || errno == EINTR)
		;
	return 0;
}

int clinux_unshare(int flags)
{
	return unshare(flags);
}

int clinux_setns(int fd, int type)
{
	return setns(fd, type);
}

int clinux_drop_capability(int capability)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	data[capability / 32].effective &= ~(1u << capability % 32);
	data[capability / 32].permitted &= ~(1u << capability % 32);
	return (int)syscall(SYS_capset, &header, data);
}

int clinux_pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof set, &set);
}

int clinux_software_event(unsigned long long event, pid_t pid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = event, .sample_period = 1
	};
	return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

const void *clinux_find(const void *memory, size_t length, const void *wanted, size_t wanted_length)
{
	return memmem(memory, length, wanted, wanted_length);
}

static char messages[16384];
static size_t messages_length;

void clinux_libbpf_capture(void)
{
	messages[0] = 0;
	messages_length = 0;
}

int clinux_libbpf_print(const char *format, va_list arguments)
{
	// Room for a long line: what is oldest goes.
	const size_t half = sizeof messages / 2;
	if (messages_length > half + half / 2) {
		messages_length -= half;
		memmove(messages, messages + half, messages_length);
	}
	int n = vsnprintf(messages + messages_length, sizeof messages - messages_length, format, arguments);
	if (n > 0)
		messages_length += (size_t)n;
	if (messages_length > sizeof messages - 1)
		messages_length = sizeof messages - 1;
	return n;
}

const char *clinux_libbpf_messages(void)
{
	return messages;
}

// The headers at hand may end before the last helper; there will be no further ones (211 since Linux 6.2).
#ifdef ___BPF_FUNC_MAPPER
#define NAME_OF_HELPER(x, ...) "bpf_" #x,
#else // headers before 6.2 have the commas themselves
#define NAME_OF_HELPER(x) "bpf_" #x
#endif
static const char *const helper_names[] = { __BPF_FUNC_MAPPER(NAME_OF_HELPER) };
static const char *const later_helper_names[] = { "bpf_cgrp_storage_get", "bpf_cgrp_storage_delete" };

const char *clinux_helper_name(int32_t number)
{
	const int32_t known = sizeof helper_names / sizeof *helper_names;

	if (number >= 0 && number < known)
		return helper_names[number];
	if (number >= 210 && number <= 211)
		return later_helper_names[number - 210];
	return NULL;
}

int clinux_effective_capabilities(uint64_t *set)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	*set = data[0].effective | (uint64_t)data[1].effective << 32;
	return 0;
}

int clinux_set_effective_capabilities(uint64_t set)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	data[0].effective = (uint32_t)set;
	data[1].effective = (uint32_t)(set >> 32);
	return (int)syscall(SYS_capset, &header, data);
}
