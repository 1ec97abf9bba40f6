// SPDX-License-Identifier: GPL-2.0-only
/* Annotated programs of which none does what it says. */
#include "bpftest.h"

#define __retval(value) __attribute__((btf_decl_tag("comment:test_retval=" #value)))
#define __miracle __attribute__((btf_decl_tag("comment:test_expect_miracle")))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} numbers SEC(".maps");

SEC("tc")
__success __retval(8)
int wrong_value(struct __sk_buff *skb)
{
	return 7;
}

SEC("tc")
__failure
int loads_after_all(struct __sk_buff *skb)
{
	return 0;
}

SEC("?tc")
__success
int is_refused(struct __sk_buff *skb)
{
	int key = 0;
	int *number = bpf_map_lookup_elem(&numbers, &key);

	return *number;
}

SEC("?tc")
__failure __msg("invalid mem access") __msg("words that no verifier says")
int other_words(struct __sk_buff *skb)
{
	int key = 0;
	int *number = bpf_map_lookup_elem(&numbers, &key);

	return *number;
}

SEC("tc")
__miracle
int unknown_annotation(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
