// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/clinux_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// Below this, copying page tables costs less than the faults that come instead.
#define LEAST (256 << 10)

struct region {
	uintptr_t start, end;
};

// A number in hexadecimal; *at is left at what follows it.
static uintptr_t number(const char **at)
{
	uintptr_t value = 0;

	for (;; ++*at) {
		char c = **at;
		if (c >= '0' && c <= '9')
			value = value << 4 | (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uintptr_t)(c - 'a' + 10);
		else
			return value;
	}
}

// The mappings to move, of a line of /proc/self/maps each. Returns 0 for a line that is none.
static int wanted(const char *line, struct region *found)
{
	found->start = number(&line);
	line++;
	found->end = number(&line);
	if (strncmp(line, " rw-p 00000000 00:00 0", 22) || found->end - found->start < LEAST)
		return 0;
	// The stack of a thread that is not the process's first has no name.
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	if (found->start <= here && here < found->end)
		return 0;
	line += 22;
	line += strspn(line, " ");
	return !*line || !strcmp(line, "[heap]");
}

static int move(int file, off_t *offset, struct region r)
{
	uintptr_t at = r.start;

	// Nothing may write to the mapping meanwhile: this function has nothing but the stack.
	while (at < r.end) {
		ssize_t n = pwrite(file, (const void *)at, r.end - at, *offset + (off_t)(at - r.start));
		if (n < 0)
			return -1;
		at += (uintptr_t)n;
	}
	if (mmap((void *)r.start, r.end - r.start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, *offset)
	    == MAP_FAILED)
		return -1;
	*offset += (off_t)(r.end - r.start);
	return 0;
}

int clinux_settle_memory(void)
{
	// Not on the heap, which is what is moved.
	static char text[64 << 10];
	static struct region regions[64];
	size_t length = 0, count = 0;
	off_t offset = 0;
	int result = 0;

	malloc_trim(0);
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (maps < 0)
		return -1;
	for (;;) {
		ssize_t n = read(maps, text + length, sizeof text - 1 - length);
		if (n <= 0) {
			result = (int)n;
			break;
		}
		length += (size_t)n;
	}
	close(maps);
	if (result < 0)
		return -1;
	text[length] = 0;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (count < sizeof regions / sizeof *regions && wanted(line, &regions[count]))
			count++;
	}
	int file = memfd_create("settled", MFD_CLOEXEC);
	if (file < 0)
		return -1;
	for (size_t i = 0; i < count && !result; i++)
		result = move(file, &offset, regions[i]);
	int reason = errno;
	close(file);
	errno = reason;
	return result;
}
