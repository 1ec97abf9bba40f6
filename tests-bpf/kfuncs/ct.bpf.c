// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries of the connection table, from tc and from XDP programs. What a program is to do is set in globals, what it
 * saw is left in globals.
 */
#include "netkfuncs.h"

#define CONFIRMED 8
#define WRONG_ERROR 77

/* In. */
__u16 port = 0;
int netns_id = -1;
__u32 timeout_ms = 0;
__u32 status_wanted = 0;
__u32 mark_wanted = 0;
/* Set before loading: what is not to write marks must load where the verifier lets nobody write them, too. */
const volatile __u8 writes_marks SEC(".rodata.marks") = 0;
__u16 zone_wanted = 0;
__u32 reserved = 0;
int reply_direction = 0;
__u32 nat_address = 0;
int nat_port = 0;
int nat_kind = 0;
int changes_timeout = 0;
int changes_status = 0;

/* Out: 0 for nothing, -1 for a reference count that was not read. */
int error = 0;
int direction = -1;
int use_allocated = -1;
int use_inserted = -1;
int use_found = -1;
int use_found_again = -1;
int use_left = -1;
__u32 timeout_allocated = 0;
__u32 timeout_set = 0;
int timeout_in_time = -1;
int timeout_changed_in_time = -1;
int status_result = 0;
int nat_result = 0;
int change_timeout_result = 0;
int change_status_result = 0;
__u64 status_allocated = 0;
__u64 status_seen = 0;
__u32 mark_seen = 0;
__u32 reply_address = 0;
__u16 reply_port = 0;
int zones = -1;
int errors[12] = {};

static __always_inline void fill(struct bpf_sock_tuple *tuple, struct ct_opts *opts)
{
	__u32 here = bpf_htonl(0x0a000001), there = bpf_htonl(0x0a000002);
	__u16 ours = bpf_htons(port), theirs = bpf_htons(80);

	/* In reverse a connection's second tuple is looked for. */
	tuple->ipv4.saddr = reply_direction ? there : here;
	tuple->ipv4.daddr = reply_direction ? here : there;
	tuple->ipv4.sport = reply_direction ? theirs : ours;
	tuple->ipv4.dport = reply_direction ? ours : theirs;
	opts->netns_id = netns_id;
	opts->error = WRONG_ERROR;
	opts->l4proto = 6;
	opts->zone = zone_wanted;
	opts->reserved[0] = reserved;
	opts->reserved[1] = reserved >> 8;
	opts->reserved[2] = reserved >> 16;
}

static __always_inline int use_of(struct nf_conn *entry)
{
	return entry->ct_general.use.refs.counter;
}

/* Whether a time of expiry lies `ticks` after a moment between the two. */
static __always_inline int in_time(__u32 expiry, __u32 ticks, __u32 before, __u32 after)
{
	return expiry - ticks - before <= after - before;
}

#define INSERT(name, section, context_type, alloc, SIZE)                                                             \
	SEC(section)                                                                                                 \
	int name(context_type *context)                                                                              \
	{                                                                                                            \
		struct bpf_sock_tuple tuple = {};                                                                    \
		struct ct_opts opts = {};                                                                            \
		struct nf_conn *fresh, *entry;                                                                       \
		__u32 before, after, ticks;                                                                          \
                                                                                                                     \
		fill(&tuple, &opts);                                                                                 \
		fresh = alloc(context, &tuple, sizeof(tuple.ipv4), &opts, SIZE);                                     \
		error = opts.error;                                                                                  \
		if (!fresh)                                                                                          \
			return 0;                                                                                    \
		use_allocated = use_of(fresh);                                                                       \
		status_allocated = fresh->status;                                                                    \
		timeout_allocated = fresh->timeout;                                                                  \
		if (timeout_ms)                                                                                      \
			bpf_ct_set_timeout(fresh, timeout_ms);                                                       \
		ticks = timeout_set = fresh->timeout;                                                                \
		if (status_wanted)                                                                                   \
			status_result = bpf_ct_set_status(fresh, status_wanted);                                     \
		if (writes_marks && mark_wanted)                                                                     \
			fresh->mark = mark_wanted;                                                                   \
		before = bpf_jiffies64();                                                                            \
		entry = bpf_ct_insert_entry(fresh);                                                                  \
		after = bpf_jiffies64();                                                                             \
		if (!entry)                                                                                          \
			return 2;                                                                                    \
		use_inserted = use_of(entry);                                                                        \
		status_seen = entry->status;                                                                         \
		timeout_in_time = in_time(entry->timeout, ticks, before, after);                                     \
		bpf_ct_release(entry);                                                                               \
		return 1;                                                                                            \
	}

INSERT(tc_insert, "tc", struct __sk_buff, bpf_skb_ct_alloc, CT_OPTS_SIZE)
INSERT(xdp_insert, "xdp", struct xdp_md, bpf_xdp_ct_alloc, CT_OPTS_SIZE)
INSERT(tc_insert_zone, "tc", struct __sk_buff, bpf_skb_ct_alloc, CT_OPTS_SIZE_WITH_ZONE)
INSERT(xdp_insert_zone, "xdp", struct xdp_md, bpf_xdp_ct_alloc, CT_OPTS_SIZE_WITH_ZONE)

#define FIND(name, section, context_type, lookup, SIZE)                                                              \
	SEC(section)                                                                                                 \
	int name(context_type *context)                                                                              \
	{                                                                                                            \
		struct bpf_sock_tuple tuple = {};                                                                    \
		struct ct_opts opts = {};                                                                            \
		struct nf_conn *entry, *again;                                                                       \
		__u32 before, after;                                                                                 \
                                                                                                                     \
		fill(&tuple, &opts);                                                                                 \
		entry = lookup(context, &tuple, sizeof(tuple.ipv4), &opts, SIZE);                                    \
		error = opts.error;                                                                                  \
		if (!entry)                                                                                          \
			return 0;                                                                                    \
		direction = opts.dir;                                                                                \
		use_found = use_of(entry);                                                                           \
		status_seen = entry->status;                                                                         \
		mark_seen = entry->mark;                                                                             \
		reply_address = entry->tuplehash[1].tuple.src.u3.ip;                                                 \
		zones = bpf_core_field_exists(entry->zone);                                                          \
		again = lookup(context, &tuple, sizeof(tuple.ipv4), &opts, SIZE);                                    \
		if (again) {                                                                                         \
			use_found_again = use_of(again);                                                             \
			bpf_ct_release(again);                                                                       \
		}                                                                                                    \
		use_left = use_of(entry);                                                                            \
		if (writes_marks && mark_wanted)                                                                     \
			entry->mark = mark_wanted;                                                                   \
		if (changes_status)                                                                                  \
			change_status_result = bpf_ct_change_status(entry, status_wanted);                           \
		if (changes_timeout) {                                                                               \
			before = bpf_jiffies64();                                                                    \
			change_timeout_result = bpf_ct_change_timeout(entry, timeout_ms);                            \
			after = bpf_jiffies64();                                                                     \
			/* The unit of `timeout_set`: what this many milliseconds are in ticks. */                   \
			timeout_changed_in_time = in_time(entry->timeout, timeout_set, before, after);               \
		}                                                                                                    \
		bpf_ct_release(entry);                                                                               \
		return 1;                                                                                            \
	}

FIND(tc_find, "tc", struct __sk_buff, bpf_skb_ct_lookup, CT_OPTS_SIZE)
FIND(xdp_find, "xdp", struct xdp_md, bpf_xdp_ct_lookup, CT_OPTS_SIZE)
FIND(tc_find_zone, "tc", struct __sk_buff, bpf_skb_ct_lookup, CT_OPTS_SIZE_WITH_ZONE)
FIND(xdp_find_zone, "xdp", struct xdp_md, bpf_xdp_ct_lookup, CT_OPTS_SIZE_WITH_ZONE)

/*
 * One wrong argument at a time: the error that is left for each. The last two are options that have no room for the
 * error, which must stay as it was, and options with room for the error alone.
 */
#define ERRORS(name, section, context_type, call, give_back)                                                         \
	static __always_inline int name##_one(context_type *context, struct bpf_sock_tuple *tuple, __u32 tuple_size, \
					      struct ct_opts *opts, __u32 opts_size)                                 \
	{                                                                                                            \
		struct nf_conn *entry;                                                                               \
                                                                                                                     \
		opts->error = WRONG_ERROR;                                                                           \
		entry = call(context, tuple, tuple_size, opts, opts_size);                                           \
		if (!entry)                                                                                          \
			return opts->error;                                                                          \
		entry = give_back(entry);                                                                            \
		if (entry)                                                                                           \
			bpf_ct_release(entry);                                                                       \
		return 1;                                                                                            \
	}                                                                                                            \
                                                                                                                     \
	SEC(section)                                                                                                 \
	int name(context_type *context)                                                                              \
	{                                                                                                            \
		struct bpf_sock_tuple tuple = {};                                                                    \
		struct ct_opts opts = {};                                                                            \
                                                                                                                     \
		fill(&tuple, &opts);                                                                                 \
		opts.zone = 1;                                                                                       \
		errors[0] = name##_one(context, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);                    \
		fill(&tuple, &opts);                                                                                 \
		opts.l4proto = 1;                                                                                    \
		errors[1] = name##_one(context, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);                    \
		fill(&tuple, &opts);                                                                                 \
		errors[2] = name##_one(context, &tuple, 5, &opts, CT_OPTS_SIZE);                                     \
		fill(&tuple, &opts);                                                                                 \
		opts.netns_id = -2;                                                                                  \
		errors[3] = name##_one(context, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);                    \
		opts.netns_id = 9999;                                                                                \
		errors[4] = name##_one(context, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);                    \
		fill(&tuple, &opts);                                                                                 \
		errors[5] = name##_one(context, &tuple, sizeof(tuple.ipv4), &opts, 11);                              \
		errors[6] = name##_one(context, &tuple, sizeof(tuple.ipv4), &opts, 4);                               \
		errors[7] = name##_one(context, &tuple, sizeof(tuple.ipv4), &opts, 8);                               \
		return 1;                                                                                            \
	}

#define NOTHING(entry) entry
ERRORS(tc_lookup_errors, "tc", struct __sk_buff, bpf_skb_ct_lookup, NOTHING)
ERRORS(xdp_lookup_errors, "xdp", struct xdp_md, bpf_xdp_ct_lookup, NOTHING)
ERRORS(tc_alloc_errors, "tc", struct __sk_buff, bpf_skb_ct_alloc, bpf_ct_insert_entry)
ERRORS(xdp_alloc_errors, "xdp", struct xdp_md, bpf_xdp_ct_alloc, bpf_ct_insert_entry)

/* A new entry whose replies come from, or go to, another address. */
SEC("tc")
int tc_insert_nat(struct __sk_buff *context)
{
	union nf_inet_addr_local {
		__u32 all[4];
	} address = { .all = { nat_address } };
	struct bpf_sock_tuple tuple = {};
	struct ct_opts opts = {};
	struct nf_conn *fresh, *entry;

	fill(&tuple, &opts);
	fresh = bpf_skb_ct_alloc(context, &tuple, sizeof(tuple.ipv4), &opts, CT_OPTS_SIZE);
	if (!fresh)
		return 0;
	bpf_ct_set_timeout(fresh, 3600000);
	nat_result = bpf_ct_set_nat_info(fresh, (void *)&address, nat_port, nat_kind);
	entry = bpf_ct_insert_entry(fresh);
	if (!entry)
		return 2;
	status_seen = entry->status;
	reply_address = nat_kind ? entry->tuplehash[1].tuple.src.u3.ip : entry->tuplehash[1].tuple.dst.u3.ip;
	reply_port = entry->tuplehash[1].tuple.dst.u.tcp.port;
	bpf_ct_release(entry);
	return 1;
}

int namespace_references = -1;

SEC("syscall")
int namespace(void *context)
{
	namespace_references = count_namespace();
	return 1;
}

char _license[] SEC("license") = "GPL";
