// SPDX-License-Identifier: Apache-2.0
// keyctl(2) and add_key(2), which glibc has no wrapper for.
#pragma once

#include <linux/keyctl.h>
#include <stddef.h>
#include <stdint.h>

// -1 and errno on error; the serial number of the key, or what the operation returns, otherwise.
int32_t clinux_add_key(const char *type, const char *description, const void *payload, size_t size, int32_t ring);
long clinux_keyctl(int operation, unsigned long second, unsigned long third);
