// SPDX-License-Identifier: Apache-2.0
#include "include/CBtfCache.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The linker's names for what is wrapped; absent in an executable that does not ask for it.
struct btf *__real_btf__load_vmlinux_btf(void) __attribute__((weak));
void __real_btf__free(struct btf *btf) __attribute__((weak));
int32_t __real_btf__find_by_name_kind(const struct btf *btf, const char *name, uint32_t kind) __attribute__((weak));

static struct btf *kernel;
// Open addressing; 0: free. Types of equal name and kind are met in the order of their numbers, as libbpf meets them.
static uint32_t *slots;
static uint32_t mask;

static uint32_t hash(const char *name, uint32_t kind)
{
	uint32_t h = 2166136261u ^ kind;

	while (*name)
		h = (h ^ (unsigned char)*name++) * 16777619u;
	return h;
}

int cbtfcache_fill(void)
{
	uint32_t count, size = 1;

	if (kernel)
		return 0;
	if (!__real_btf__load_vmlinux_btf || !__real_btf__free || !__real_btf__find_by_name_kind)
		return ENOSYS;
	struct btf *btf = __real_btf__load_vmlinux_btf();
	if (!btf)
		return errno;
	count = btf__type_cnt(btf);
	while (size < 2 * count)
		size *= 2;
	slots = calloc(size, sizeof *slots);
	if (!slots) {
		__real_btf__free(btf);
		return ENOMEM;
	}
	mask = size - 1;
	for (uint32_t id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf__name_by_offset(btf, type->name_off);
		if (!name || !*name)
			continue;
		uint32_t at = hash(name, btf_kind(type)) & mask;
		while (slots[at])
			at = (at + 1) & mask;
		slots[at] = id;
	}
	kernel = btf;
	return 0;
}

struct btf *__wrap_btf__load_vmlinux_btf(void)
{
	return kernel ? kernel : __real_btf__load_vmlinux_btf();
}

void __wrap_btf__free(struct btf *btf)
{
	if (!btf || btf != kernel)
		__real_btf__free(btf);
}

int32_t __wrap_btf__find_by_name_kind(const struct btf *btf, const char *name, uint32_t kind)
{
	if (btf != kernel || !kernel || kind == BTF_KIND_UNKN)
		return __real_btf__find_by_name_kind(btf, name, kind);
	for (uint32_t at = hash(name, kind) & mask; slots[at]; at = (at + 1) & mask) {
		const struct btf_type *type = btf__type_by_id(kernel, slots[at]);
		if (btf_kind(type) == kind && !strcmp(btf__name_by_offset(kernel, type->name_off), name))
			return (int32_t)slots[at];
	}
	errno = ENOENT;
	return -ENOENT;
}
