// SPDX-License-Identifier: Apache-2.0
#include <sys/types.h>
#include <sha2.h>
#include <zstd.h>
