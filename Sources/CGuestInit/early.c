// SPDX-License-Identifier: Apache-2.0
// Mounts /proc before the Swift runtime starts: it reads /proc/self/exe in a constructor of its own and
// aborts ("Unable to obtain Swift runtime path") where that is missing.
#include "include/CGuestInit.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int error;

__attribute__((constructor(101))) static void mount_proc(void)
{
	mkdir("/proc", 0555);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0) < 0 && errno != EBUSY)
		error = errno;
}

int guestinit_early_error(void)
{
	return error;
}
