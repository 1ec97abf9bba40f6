// SPDX-License-Identifier: GPL-2.0-only
/* A program that says of itself that it is not under the GPL: it must not get at the kernel's functions. */
#include "kfuncs.h"

SEC("?syscall")
__failure __msg("cannot call kernel function from non-GPL compatible program")
int not_gpl(void *context)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

char _license[] SEC("license") = "Proprietary";
