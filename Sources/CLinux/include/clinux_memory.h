// SPDX-License-Identifier: Apache-2.0
// Memory of a process that forks often.
#pragma once

// Gives memory that free(3) has back to the kernel, and has the contents of every anonymous private mapping of 256 KiB
// or more, but for stacks, in a file in memory, mapped privately at the same place. fork(2) copies no page tables of a
// mapping of a file until the process writes to it, and then those of pages that it has touched since.
//
// For processes of one thread. -1 and errno on error: the memory is then as it was, or partly in the file.
int clinux_settle_memory(void);
