// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/clinux_system.h"

#include <sys/file.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <linux/random.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int clinux_finit_module(int fd, const char *parameters, int flags)
{
	return (int)syscall(SYS_finit_module, fd, parameters, flags);
}

int clinux_go_first(int yes)
{
	struct sched_param parameters = { .sched_priority = yes ? 1 : 0 };

	return sched_setscheduler(0, (yes ? SCHED_FIFO : SCHED_OTHER) | SCHED_RESET_ON_FORK, &parameters);
}

int clinux_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int clinux_pidfd_send_signal(int pidfd, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int clinux_memfd_create(const char *name, unsigned flags)
{
	return memfd_create(name, flags);
}

int clinux_add_entropy(int fd, const void *bytes, size_t size)
{
	// struct rand_pool_info: two ints and the bytes.
	int pool[2 + 16];

	if (size > sizeof pool - 2 * sizeof *pool) {
		errno = EINVAL;
		return -1;
	}
	pool[0] = 8 * size;
	pool[1] = size;
	memcpy(&pool[2], bytes, size);
	if (ioctl(fd, RNDADDENTROPY, pool) < 0)
		return -1;
	return ioctl(fd, RNDRESEEDCRNG);
}

int clinux_wait_for_rcu(void)
{
	return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

int clinux_reboot(int restart)
{
	sync();
	return reboot(restart ? RB_AUTOBOOT : RB_POWER_OFF);
}

int clinux_exited(int status)
{
	return WIFEXITED(status);
}

int clinux_exit_status(int status)
{
	return WEXITSTATUS(status);
}

int clinux_term_signal(int status)
{
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

int clinux_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC);
}

const char *clinux_errno_name(int error)
{
	return strerrorname_np(error);
}

const char *clinux_signal_name(int signal)
{
	return sigabbrev_np(signal);
}

int clinux_set_rlimit(int resource, unsigned long value)
{
	struct rlimit limit = { value, value };
	return setrlimit(resource, &limit);
}

int clinux_try_lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB);
}
