// SPDX-License-Identifier: Apache-2.0
// Starting a child process with exact control over its descriptors, limits and parent-death signal.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct clinux_fd_map {
	int from; // descriptor in this process
	int to;   // the number it gets in the child
};

struct clinux_rlimit {
	int resource;
	uint64_t soft, hard;
};

struct clinux_spawn {
	const char *path;         // looked up as it is, not in PATH
	char *const *argv;
	char *const *envp;
	const char *cwd;          // NULL: stay
	const struct clinux_fd_map *fds; // every other descriptor is closed in the child
	size_t n_fds;
	const struct clinux_rlimit *rlimits;
	size_t n_rlimits;
	int death_signal;         // sent to the child when the calling *thread* ends; 0: none
	int new_session;          // setsid(): terminal signals do not reach the child
};

// Where a failed clinux_spawn() stopped.
enum clinux_spawn_step {
	CLINUX_SPAWN_FORK = 1,
	CLINUX_SPAWN_SESSION,
	CLINUX_SPAWN_CHDIR,
	CLINUX_SPAWN_RLIMIT,
	CLINUX_SPAWN_FDS,
	CLINUX_SPAWN_EXEC,
};

// Returns 0 and sets *pid; or an errno and sets *step. The child runs the program when this returns 0.
int clinux_spawn(const struct clinux_spawn *request, pid_t *pid, int *step);
