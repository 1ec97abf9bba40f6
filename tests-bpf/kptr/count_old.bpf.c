// SPDX-License-Identifier: GPL-2.0-only
/* The same for kernels up to 6.3: kptr.h. */
#define KPTR_OLD
#include "count.bpf.c"
