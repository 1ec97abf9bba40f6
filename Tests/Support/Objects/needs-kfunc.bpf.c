// SPDX-License-Identifier: GPL-2.0-only
/* libbpf resolves the functions of an object for each of its programs: what one lacks, all lack. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

void bpf_nowhere_to_be_found(void) __ksym;

SEC("syscall")
int lacks_kfunc(void *ctx)
{
	bpf_nowhere_to_be_found();
	return 0;
}

char _license[] SEC("license") = "GPL";
