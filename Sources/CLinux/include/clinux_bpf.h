// SPDX-License-Identifier: Apache-2.0
// bpf(2), and what else agents need of the kernel's interface.
#pragma once

#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/xattr.h>

// -1 and errno on error; a descriptor or 0 otherwise.
int clinux_bpf(int command, void *attr, unsigned size);
pid_t clinux_fork(void);
// PR_SET_CHILD_SUBREAPER: what descendants leave behind becomes a child of the caller.
int clinux_adopt_orphans(void);
// Waits for the leader of a process group, kills the rest of the group and waits for those that are the caller's.
int clinux_end_group(pid_t leader, int *status);
int clinux_unshare(int flags);
int clinux_setns(int fd, int type);
// Takes a capability out of the effective and permitted sets of the calling thread.
int clinux_drop_capability(int capability);
// The calling thread runs on one processor alone: sched_setaffinity(2).
int clinux_pin(int cpu);
// perf_event_open(2): one of the kernel's own events (enum perf_sw_ids) in a process, sampled each time it comes.
int clinux_software_event(unsigned long long event, pid_t pid);
// memmem(3), which glibc declares for _GNU_SOURCE alone.
const void *clinux_find(const void *memory, size_t length, const void *wanted, size_t wanted_length);

// Messages of libbpf, the latest 4 to 16 KiB of them: a printf-like callback cannot be written in Swift.
#include <stdarg.h>
void clinux_libbpf_capture(void);
int clinux_libbpf_print(const char *format, va_list arguments);
const char *clinux_libbpf_messages(void);

// The name of a helper, such as "bpf_map_lookup_elem"; NULL for a number that none has.
const char *clinux_helper_name(int32_t number);
// The effective capabilities of the calling thread, a bit for each number; -1 and errno on error.
int clinux_effective_capabilities(uint64_t *set);
// Makes some of the permitted capabilities the effective ones.
int clinux_set_effective_capabilities(uint64_t set);
