// SPDX-License-Identifier: Apache-2.0
// System calls that glibc has no wrapper for, or that Swift cannot call because they are variadic or macros.
#pragma once

#include <linux/netlink.h>
#include <sched.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>

// -1 and errno on error, as the system calls themselves.
int clinux_finit_module(int fd, const char *parameters, int flags);
int clinux_pidfd_open(pid_t pid);
int clinux_pidfd_send_signal(int pidfd, int signal);
int clinux_memfd_create(const char *name, unsigned flags);
// Credits the kernel's random number generator with `size` bytes (RNDADDENTROPY) and makes it use them at once
// (RNDRESEEDCRNG). `fd`: /dev/urandom.
int clinux_add_entropy(int fd, const void *bytes, size_t size);
// Waits until every processor has passed a grace period of RCU: membarrier(2), MEMBARRIER_CMD_GLOBAL.
int clinux_wait_for_rcu(void);
// Makes the caller run before everything else (SCHED_FIFO, not inherited by what it starts), or puts it back.
int clinux_go_first(int yes);
// reboot(2): never returns on success. `restart` 0: power off, 1: restart.
int clinux_reboot(int restart);
// flock(2) for writing, without waiting. Swift takes the function's name for the struct's.
int clinux_try_lock(int fd);
// A wait status taken apart (the W* macros).
int clinux_exited(int status);
int clinux_exit_status(int status);
int clinux_term_signal(int status);

// Sets both the soft and the hard limit. The RLIMIT_ names are not imported: glibc makes them macros of an enum.
enum { CLINUX_RLIMIT_MEMLOCK = RLIMIT_MEMLOCK, CLINUX_RLIMIT_NOFILE = RLIMIT_NOFILE };
int clinux_set_rlimit(int resource, unsigned long value);
// Two descriptors, closed on exec.
int clinux_pipe(int ends[2]);
// "EBUSY", "SEGV"; NULL for a number without a name.
const char *clinux_errno_name(int error);
const char *clinux_signal_name(int signal);
