// SPDX-License-Identifier: GPL-2.0-only
/*
 * lists.bpf.c, and objects in fields of map values: on their own, for up to 7.2 the kernel looks for the type of each such
 * field through all of its types, and whatever is loaded from an object with them waits for that.
 */
#define WITH_FIELDS
#include "lists.bpf.c"
