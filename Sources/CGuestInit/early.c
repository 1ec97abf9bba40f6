// SPDX-License-Identifier: Apache-2.0
// Mounts /proc before the Swift runtime starts: it reads /proc/self/exe in a constructor of its own and
// aborts ("Unable to obtain Swift runtime path") where that is missing.
#include "include/CGuestInit.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int error;

__attribute__((constructor(101))) static void mount_proc(void)
{
	// The first sign of life, before anything can go wrong. The kernel has opened the console for its init.
	static const char sign[] = "bpftest-init: started\n";
	ssize_t written = write(1, sign, sizeof sign - 1);
	(void)written; // without a console there is nobody to tell

	mkdir("/proc", 0555);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0) < 0 && errno != EBUSY)
		error = errno;
}

int guestinit_early_error(void)
{
	return error;
}
