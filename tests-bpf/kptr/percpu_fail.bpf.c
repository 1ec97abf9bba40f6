// SPDX-License-Identifier: GPL-2.0-only
/* Per-cpu objects in programs that the verifier must refuse, one behaviour in each, annotated for Linux 6.12. */
#include "kptr.h"

int sink = 0;

struct kept_counter {
	__u64 count;
};

struct kept_other {
	__u64 count;
	__u64 more;
};

struct large {
	__u8 bytes[600];
};

struct special {
	struct bpf_spin_lock lock;
	__u64 count;
};

struct nested {
	__u64 count;
	struct {
		__u64 *pointer;
	} inside;
};

struct slot {
	__u64 number;
	struct kept_counter __tagged("percpu_kptr") *counter;
	struct kept_counter __referenced *plain;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} array SEC(".maps");

static __always_inline struct slot *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&array, &key);
}

#define NEW(name, type, text)                                                  \
	SEC("?tc")                                                             \
	__failure __msg(text)                                                  \
	int new_##name(struct __sk_buff *skb)                                  \
	{                                                                      \
		type __tagged("percpu_kptr") *object = percpu_new(type);       \
									       \
		if (object)                                                    \
			percpu_drop(object);                                   \
		return 0;                                                      \
	}

NEW(large, struct large, "bpf_percpu_obj_new type size (600) is greater than 512")
NEW(special, struct special, "bpf_percpu_obj_new type ID argument must not contain special fields")
NEW(nested, struct nested, "bpf_percpu_obj_new type ID argument must be of a struct of scalars")

SEC("?tc")
__failure __msg("Unreleased reference")
int leak(struct __sk_buff *skb)
{
	sink = percpu_new(struct kept_counter) != 0;
	return 0;
}

SEC("?tc")
__failure __msg("store to referenced kptr disallowed")
int store(struct __sk_buff *skb)
{
	struct slot *at = slot();

	if (!at)
		return 0;
	*(struct kept_counter *volatile *)&at->counter = 0;
	return 0;
}

SEC("?tc")
__failure __msg("invalid kptr access, R2 type=percpu_ptr_kept_other expected=ptr_kept_counter")
int put_other_type(struct __sk_buff *skb)
{
	struct kept_other __tagged("percpu_kptr") *other;
	struct slot *at = slot();

	if (!at)
		return 0;
	other = percpu_new(struct kept_other);
	if (!other)
		return 0;
	sink = bpf_kptr_xchg(&at->counter, other) != 0;
	return 0;
}

/* One that is not per cpu, into a field for those that are. */
SEC("?tc")
__failure __msg("invalid kptr access, R2 type=ptr_ expected=ptr_kept_counter")
int put_plain(struct __sk_buff *skb)
{
	struct kept_counter *plain;
	struct slot *at = slot();

	if (!at)
		return 0;
	plain = object_new(struct kept_counter);
	if (!plain)
		return 0;
	sink = bpf_kptr_xchg(&at->counter, plain) != 0;
	return 0;
}

/* And the other way round. */
SEC("?tc")
__failure __msg("invalid kptr access, R2 type=percpu_ptr_ expected=ptr_kept_counter")
int put_percpu(struct __sk_buff *skb)
{
	struct kept_counter __tagged("percpu_kptr") *counter;
	struct slot *at = slot();

	if (!at)
		return 0;
	counter = percpu_new(struct kept_counter);
	if (!counter)
		return 0;
	sink = bpf_kptr_xchg(&at->plain, counter) != 0;
	return 0;
}

SEC("?tc")
__failure __msg("expected=ptr_kept_counter")
int put_task(struct __sk_buff *skb)
{
	struct task_struct *task;
	struct slot *at = slot();

	if (!at)
		return 0;
	task = bpf_task_from_pid(1);
	if (!task)
		return 0;
	sink = bpf_kptr_xchg(&at->counter, task) != 0;
	return 0;
}

SEC("?tc")
__failure __msg("R1 type=scalar expected=percpu_ptr_")
int use_after_drop(struct __sk_buff *skb)
{
	struct kept_counter __tagged("percpu_kptr") *counter;
	struct kept_counter *mine;

	counter = percpu_new(struct kept_counter);
	if (!counter)
		return 0;
	percpu_drop(counter);
	mine = bpf_this_cpu_ptr(counter);
	sink = mine->count;
	return 0;
}

SEC("?tc")
__failure __msg("expected for bpf_obj_drop_impl()")
int drop_plain_as_percpu(struct __sk_buff *skb)
{
	struct kept_counter *plain = object_new(struct kept_counter);

	if (plain)
		percpu_drop(plain);
	return 0;
}

SEC("?tc")
__failure __msg("expected for bpf_percpu_obj_drop_impl()")
int drop_percpu_as_plain(struct __sk_buff *skb)
{
	struct kept_counter __tagged("percpu_kptr") *counter = percpu_new(struct kept_counter);

	if (counter)
		object_drop(counter);
	return 0;
}

char _license[] SEC("license") = "GPL";
