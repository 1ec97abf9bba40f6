// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local objects in fields of map values, in programs that the verifier must refuse: as lists_fail.bpf.c. Apart from it, as
 * stash.bpf.c is from lists.bpf.c.
 */
#include "lists.h"

int sink = 0;

struct stash {
	struct kept_node __referenced *node;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct stash);
} stashes SEC(".maps");

SEC("?tc")
__failure __msg("Possibly NULL pointer passed to")
int share_of_stashed_untested(struct __sk_buff *skb)
{
	struct stash *at;
	struct kept_node *node;
	int key = 0;

	at = bpf_map_lookup_elem(&stashes, &key);
	if (!at)
		return 0;
	node = at->node;
	if (!node)
		return 0;
	node = object_share(node);
	object_drop(node);
	return 0;
}

/* The same members, another name. */
struct kept_namesake {
	struct bpf_list_node list;
	struct bpf_rb_node tree;
	struct bpf_refcount shares;
	__u64 key;
	struct task_struct __referenced *task;
};

SEC("?tc")
__failure __msg("invalid kptr access, R2 type=ptr_kept_namesake expected=ptr_kept_node")
int stash_namesake(struct __sk_buff *skb)
{
	struct kept_namesake *other;
	struct stash *at;
	int key = 0;

	at = bpf_map_lookup_elem(&stashes, &key);
	if (!at)
		return 0;
	other = object_new(struct kept_namesake);
	if (!other)
		return 0;
	sink = bpf_kptr_xchg(&at->node, other) != 0;
	return 0;
}

/* An object is not the struct that it begins with. */
struct kept_beginning {
	__u64 key;
};

struct kept_longer {
	struct kept_beginning begins;
	__u64 more;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct {
		struct kept_beginning __referenced *kept;
	});
} beginnings SEC(".maps");

SEC("?tc")
__failure __msg("invalid kptr access, R2 type=ptr_kept_longer expected=ptr_kept_beginning")
int put_first_member(struct __sk_buff *skb)
{
	struct kept_beginning *__tagged("kptr") *at;
	struct kept_longer *longer;
	int key = 0;

	at = bpf_map_lookup_elem(&beginnings, &key);
	if (!at)
		return 0;
	longer = object_new(struct kept_longer);
	if (!longer)
		return 0;
	sink = bpf_kptr_xchg(at, &longer->begins) != 0;
	return 0;
}

char _license[] SEC("license") = "GPL";
