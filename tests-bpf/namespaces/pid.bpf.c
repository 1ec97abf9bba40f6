// SPDX-License-Identifier: GPL-2.0-only
/* What bpf_get_ns_current_pid_tgid and bpf_get_current_pid_tgid say, in programs of several types. */
#include "bpftest.h"

/* In: the namespace asked about, and the process whose events count. */
__u64 device = 0;
__u64 inode = 0;
__u64 wanted = 0;

/* Out. */
__s64 result = 0;
__u32 pid = 0;
__u32 tgid = 0;
__u64 initial = 0;
__u32 runs = 0;

static __always_inline void look(void)
{
	/* Not zero: on errors the kernel has to clear it. */
	struct bpf_pidns_info info = { 0xffffffff, 0xffffffff };

	result = bpf_get_ns_current_pid_tgid(device, inode, &info, sizeof(info));
	pid = info.pid;
	tgid = info.tgid;
	runs++;
}

static __always_inline int is_wanted(void)
{
	initial = bpf_get_current_pid_tgid();
	return initial >> 32 == wanted;
}

SEC("raw_tp/sys_enter")
int in_raw_tp(void *context)
{
	initial = bpf_get_current_pid_tgid();
	look();
	return 0;
}

/* The same, with room for 4 and 16 bytes. */
SEC("raw_tp/sys_enter")
int size_4(void *context)
{
	struct bpf_pidns_info info = { 0xffffffff, 0xffffffff };

	result = bpf_get_ns_current_pid_tgid(device, inode, &info, 4);
	pid = info.pid;
	tgid = info.tgid;
	runs++;
	return 0;
}

SEC("raw_tp/sys_enter")
int size_16(void *context)
{
	struct bpf_pidns_info info[2] = { { 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff } };

	result = bpf_get_ns_current_pid_tgid(device, inode, info, sizeof(info));
	/* All sixteen bytes are to be cleared. */
	pid = info[0].pid | info[1].pid;
	tgid = info[0].tgid | info[1].tgid;
	runs++;
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int in_tracepoint(void *context)
{
	if (is_wanted())
		look();
	return 0;
}

SEC("ksyscall/getpgid")
int in_kprobe(void *context)
{
	if (is_wanted())
		look();
	return 0;
}

char _license[] SEC("license") = "GPL";
