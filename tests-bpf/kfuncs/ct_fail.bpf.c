// SPDX-License-Identifier: GPL-2.0-only
/* Programs on the connection table that the verifier must refuse, in the words of Linux 6.12. */
#include "netkfuncs.h"

int sink = 0;

#define PREPARE                                \
	struct bpf_sock_tuple tuple = {};      \
	struct ct_opts opts = { .netns_id = -1, .l4proto = 6 }; \
	struct nf_conn *entry

#define ALLOC bpf_skb_ct_alloc(skb, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE)
#define LOOKUP bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE)

SEC("?tc")
__failure __msg("kernel function bpf_ct_release args#0 expected pointer to STRUCT nf_conn but")
int release_of_allocated(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("kernel function bpf_ct_insert_entry args#0 expected pointer to STRUCT nf_conn___init but")
int insert_twice(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	entry = bpf_ct_insert_entry(entry);
	if (!entry)
		return 0;
	entry = bpf_ct_insert_entry(entry);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("kernel function bpf_ct_insert_entry args#0 expected pointer to STRUCT nf_conn___init but")
int insert_of_found(struct __sk_buff *skb)
{
	PREPARE;

	entry = LOOKUP;
	if (!entry)
		return 0;
	entry = bpf_ct_insert_entry(entry);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("kernel function bpf_ct_set_timeout args#0 expected pointer to STRUCT nf_conn___init but")
int set_timeout_after_insert(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	entry = bpf_ct_insert_entry(entry);
	if (!entry)
		return 0;
	bpf_ct_set_timeout(entry, 1000);
	bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("kernel function bpf_ct_set_status args#0 expected pointer to STRUCT nf_conn___init but")
int set_status_after_insert(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	entry = bpf_ct_insert_entry(entry);
	if (!entry)
		return 0;
	bpf_ct_set_status(entry, 2);
	bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("kernel function bpf_ct_change_timeout args#0 expected pointer to STRUCT nf_conn but")
int change_timeout_before_insert(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	bpf_ct_change_timeout(entry, 1000);
	entry = bpf_ct_insert_entry(entry);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("kernel function bpf_ct_change_status args#0 expected pointer to STRUCT nf_conn but")
int change_status_before_insert(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	bpf_ct_change_status(entry, 2);
	entry = bpf_ct_insert_entry(entry);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("kernel function bpf_ct_set_nat_info args#0 expected pointer to STRUCT nf_conn___init but")
int nat_after_insert(struct __sk_buff *skb)
{
	__u32 address[4] = {};
	PREPARE;

	entry = LOOKUP;
	if (!entry)
		return 0;
	bpf_ct_set_nat_info(entry, (void *)address, 80, 0);
	bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("no write support to nf_conn at off")
int write_status(struct __sk_buff *skb)
{
	PREPARE;

	entry = LOOKUP;
	if (!entry)
		return 0;
	entry->status = 2;
	bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("no write support to nf_conn at off")
int write_timeout_of_allocated(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	entry->timeout = 2;
	entry = bpf_ct_insert_entry(entry);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("beyond the member of nf_conn ended at")
int write_beyond_mark(struct __sk_buff *skb)
{
	PREPARE;

	entry = LOOKUP;
	if (!entry)
		return 0;
	*(volatile __u64 *)&entry->mark = 2;
	bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int leak_found(struct __sk_buff *skb)
{
	PREPARE;

	entry = LOOKUP;
	sink = entry != 0;
	return 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int leak_allocated(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	sink = entry != 0;
	return 0;
}

SEC("?tc")
__failure __msg("Unreleased reference")
int leak_inserted(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	entry = bpf_ct_insert_entry(entry);
	sink = entry != 0;
	return 0;
}

SEC("?tc")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int release_unchecked(struct __sk_buff *skb)
{
	PREPARE;

	entry = LOOKUP;
	bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("arg#0 expected pointer to ctx, but got")
int no_context(struct __sk_buff *skb)
{
	PREPARE;

	entry = bpf_skb_ct_lookup((void *)&tuple, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("arg#3 arg#4 memory, len pair leads to invalid memory access")
int options_too_long(struct __sk_buff *skb)
{
	PREPARE;

	entry = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts) + 600);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?tc")
__failure __msg("R2 is not a scalar")
int timeout_is_pointer(struct __sk_buff *skb)
{
	PREPARE;

	entry = ALLOC;
	if (!entry)
		return 0;
	/* Written by hand: the compiler would cut a pointer down to 32 bits first. */
	asm volatile("r1 = %[entry]; r2 = %[skb]; call %[function]"
		     :
		     : [entry] "r"(entry), [skb] "r"(skb), [function] "i"(bpf_ct_set_timeout)
		     : "r0", "r1", "r2", "r3", "r4", "r5");
	entry = bpf_ct_insert_entry(entry);
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

SEC("?socket")
__failure __msg("calling kernel function bpf_skb_ct_lookup is not allowed")
int lookup_in_socket_filter(struct __sk_buff *skb)
{
	PREPARE;

	entry = LOOKUP;
	if (entry)
		bpf_ct_release(entry);
	return 0;
}

char _license[] SEC("license") = "GPL";
