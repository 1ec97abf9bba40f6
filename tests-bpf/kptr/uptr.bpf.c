// SPDX-License-Identifier: GPL-2.0-only
/* Fields that point to a page of user memory (6.13), in programs that the verifier must refuse. */
#include "kptr.h"

int sink = 0;

struct kept_shared {
	int a;
	int b;
};

struct slot {
	__u64 number;
	struct kept_shared __tagged("uptr") *shared;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct slot);
} storage SEC(".maps");

static __always_inline struct slot *slot(void)
{
	return bpf_task_storage_get(&storage, bpf_get_current_task_btf(), 0, 0);
}

SEC("?syscall")
int write_field(void *context)
{
	struct slot *at = slot();

	if (!at)
		return 0;
	*(struct kept_shared *volatile *)&at->shared = 0;
	return 0;
}

SEC("?syscall")
int read_untested(void *context)
{
	struct slot *at = slot();

	if (!at)
		return 0;
	sink = at->shared->a;
	return 0;
}

SEC("?syscall")
int exchange(void *context)
{
	struct slot *at = slot();
	struct kept_shared *old;

	if (!at)
		return 0;
	old = bpf_kptr_xchg(&at->shared, 0);
	if (old)
		object_drop(old);
	return 0;
}

/* And one that it accepts. */
int found = 0;

SEC("?syscall")
int read_and_write(void *context)
{
	struct kept_shared *shared;
	struct slot *at = slot();

	if (!at)
		return 10;
	shared = at->shared;
	if (!shared)
		return 0;
	found = shared->a;
	shared->b = 77;
	return 1;
}

char _license[] SEC("license") = "GPL";
