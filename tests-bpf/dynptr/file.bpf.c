// SPDX-License-Identifier: GPL-2.0-only
/* The content of an open file as a dynptr, in a program that may sleep. */
#include "dynptr_ops.h"

__u32 pid = 0;
/* Which ioctl(2) is meant for the program. */
__u32 command = 0;

SEC("lsm.s/file_ioctl")
int BPF_PROG(asked, struct file *file, unsigned int cmd)
{
	struct bpf_dynptr ptr;

	if (bpf_get_current_pid_tgid() >> 32 != pid || cmd != command)
		return 0;
	made = bpf_dynptr_from_file(file, make_flags, &ptr);
	operate(&ptr, 0);
	bpf_dynptr_file_discard(&ptr);
	return 0;
}

char _license[] SEC("license") = "GPL";
