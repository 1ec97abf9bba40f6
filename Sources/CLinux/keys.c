// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/clinux_keys.h"

#include <sys/syscall.h>
#include <unistd.h>

int32_t clinux_add_key(const char *type, const char *description, const void *payload, size_t size, int32_t ring)
{
	return (int32_t)syscall(SYS_add_key, type, description, payload, size, ring);
}

long clinux_keyctl(int operation, unsigned long second, unsigned long third)
{
	return syscall(SYS_keyctl, operation, second, third, 0ul, 0ul);
}
