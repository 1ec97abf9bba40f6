// SPDX-License-Identifier: GPL-2.0-only
/* Annotated programs that every kernel judges as they say. */
#include "bpftest.h"

#define __retval(value) __attribute__((btf_decl_tag("comment:test_retval=" #value)))
#define __failure_unpriv __attribute__((btf_decl_tag("comment:test_expect_failure_unpriv")))
#define __msg_unpriv(text) \
	__attribute__((btf_decl_tag("comment:test_expect_msg_unpriv=" BPFTEST_STR(__COUNTER__) "=" text)))
#define __arch_arm64 __attribute__((btf_decl_tag("comment:test_arch=ARM64")))
#define __description(text) __attribute__((btf_decl_tag("comment:test_description=" text)))

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} numbers SEC(".maps");

SEC("tc")
__description("seven is returned")
__success __retval(7)
int returns_seven(struct __sk_buff *skb)
{
	return 7;
}

SEC("?tc")
__failure __msg("R0 invalid mem access '{{(map_value|map_value_or_null)}}'")
int reads_without_check(struct __sk_buff *skb)
{
	int key = 0;
	int *number = bpf_map_lookup_elem(&numbers, &key);

	return *number;
}

SEC("socket")
__success __failure_unpriv __msg_unpriv("{{R0 leaks addr|R1 partial copy of pointer}}")
int leaks_address(struct __sk_buff *skb)
{
	return (long)skb;
}

SEC("tc")
__success __arch_arm64
int elsewhere(struct __sk_buff *skb)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
