// SPDX-License-Identifier: GPL-2.0-only
/* Fields in arrays and in structs inside the value (6.11), and in maps that are reached through another one. */
#include "kptr.h"

int found = 0;
int users = 0;

struct inside {
	__u32 number;
	OBJECT __referenced *ref;
};

struct slot {
	__u64 number;
	OBJECT __referenced *four[4];
	struct inside nested;
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

#define FIELD(name, field)                                                     \
	SEC("?tc")                                                             \
	int put_##name(struct __sk_buff *skb)                                  \
	{                                                                      \
		struct slot *at = slot();                                      \
		OBJECT *object;                                                \
									       \
		if (!at)                                                       \
			return 10;                                             \
		object = acquire();                                            \
		if (!object)                                                   \
			return 11;                                             \
		object = bpf_kptr_xchg(&at->field, object);                    \
		if (!object)                                                   \
			return 1;                                              \
		release(object);                                               \
		return 2;                                                      \
	}                                                                      \
	SEC("?tc")                                                             \
	int take_##name(struct __sk_buff *skb)                                 \
	{                                                                      \
		struct slot *at = slot();                                      \
		OBJECT *object;                                                \
									       \
		if (!at)                                                       \
			return 10;                                             \
		object = bpf_kptr_xchg(&at->field, 0);                         \
		if (!object)                                                   \
			return 0;                                              \
		found = IDENTITY(object);                                      \
		release(object);                                               \
		return 1;                                                      \
	}

FIELD(0, four[0])
FIELD(1, four[1])
FIELD(2, four[2])
FIELD(3, four[3])
FIELD(nested, nested.ref)

__u64 which = 0;

/* Not to be loaded: which of the four is not known. */
SEC("?tc")
__failure __msg("R1 doesn't have constant offset. kptr has to be")
int take_any(struct __sk_buff *skb)
{
	struct slot *at = slot();
	__u64 index = which;
	OBJECT *object;

	if (!at)
		return 10;
	if (index > 3)
		return 10;
	asm volatile("" : "+r"(index));
	object = bpf_kptr_xchg(&at->four[index], 0);
	if (!object)
		return 0;
	release(object);
	return 1;
}

char _license[] SEC("license") = "GPL";
