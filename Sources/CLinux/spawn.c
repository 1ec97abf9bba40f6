// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/clinux_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct failure {
	int step;
	int error;
};

static void fail(int report, int step)
{
	struct failure f = { step, errno };
	ssize_t n = write(report, &f, sizeof f);
	(void)n; // the parent sees an end of file instead and reports the exit
	_exit(127);
}

// Runs between fork and exec: async-signal-safe calls only.
static void child(const struct clinux_spawn *r, int report, pid_t parent)
{
	// Ignored signals and the mask would be inherited by the program.
	sigset_t none;
	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);

	// libdispatch gives its threads priorities of their own where it may (root): the program gets the one that the user
	// gave this process, which is its first thread's.
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, (id_t)parent);
	if (!errno)
		setpriority(PRIO_PROCESS, 0, nice);

	if (r->new_session && setsid() < 0)
		fail(report, CLINUX_SPAWN_SESSION);
	if (r->death_signal) {
		if (prctl(PR_SET_PDEATHSIG, r->death_signal) < 0)
			fail(report, CLINUX_SPAWN_SESSION);
		if (getppid() != parent) // the parent ended before the call above
			_exit(127);
	}
	if (r->cwd && chdir(r->cwd) < 0)
		fail(report, CLINUX_SPAWN_CHDIR);
	for (size_t i = 0; i < r->n_rlimits; i++) {
		struct rlimit l = { r->rlimits[i].soft, r->rlimits[i].hard };
		if (setrlimit(r->rlimits[i].resource, &l) < 0)
			fail(report, CLINUX_SPAWN_RLIMIT);
	}

	// First lift every source above all targets, so that no dup2 overwrites a source still needed.
	int top = report;
	for (size_t i = 0; i < r->n_fds; i++)
		if (r->fds[i].to > top)
			top = r->fds[i].to;
	report = fcntl(report, F_DUPFD_CLOEXEC, top + 1);
	if (report < 0)
		_exit(127);
	int lifted[64];
	if (r->n_fds > 64) {
		errno = EINVAL;
		fail(report, CLINUX_SPAWN_FDS);
	}
	for (size_t i = 0; i < r->n_fds; i++) {
		lifted[i] = fcntl(r->fds[i].from, F_DUPFD_CLOEXEC, top + 1);
		if (lifted[i] < 0)
			fail(report, CLINUX_SPAWN_FDS);
	}
	int highest = -1;
	for (size_t i = 0; i < r->n_fds; i++) {
		if (dup2(lifted[i], r->fds[i].to) < 0)
			fail(report, CLINUX_SPAWN_FDS);
		if (r->fds[i].to > highest)
			highest = r->fds[i].to;
	}
	// Close everything else at exec. Gaps between the targets first, then the rest.
	for (int fd = 0; fd < highest; fd++) {
		int wanted = 0;
		for (size_t i = 0; i < r->n_fds; i++)
			wanted |= r->fds[i].to == fd;
		if (!wanted)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	// close_range(CLOSE_RANGE_CLOEXEC) is Linux 5.11; before, /proc-less loop over the limit.
	if (syscall(SYS_close_range, (unsigned)(highest + 1), ~0u, 4u) < 0) {
		struct rlimit l;
		int end = getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < 65536 ? (int)l.rlim_cur : 65536;
		for (int fd = highest + 1; fd < end; fd++)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	execve(r->path, r->argv, r->envp);
	fail(report, CLINUX_SPAWN_EXEC);
}

int clinux_spawn(const struct clinux_spawn *request, pid_t *pid, int *step)
{
	int report[2];
	*step = CLINUX_SPAWN_FORK;
	if (pipe2(report, O_CLOEXEC) < 0)
		return errno;

	// No signal handler of ours may run in the child before it resets them.
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t parent = getpid();
	pid_t p = fork();
	if (p == 0) {
		close(report[0]);
		child(request, report[1], parent);
	}
	int error = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(report[1]);
	if (p < 0) {
		close(report[0]);
		return error;
	}

	struct failure f;
	ssize_t n;
	do
		n = read(report[0], &f, sizeof f);
	while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == sizeof f) {
		while (waitpid(p, NULL, 0) < 0 && errno == EINTR)
			;
		*step = f.step;
		return f.error;
	}
	*pid = p;
	return 0;
}
