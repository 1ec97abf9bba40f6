/* SPDX-License-Identifier: GPL-2.0-only */
/* Types and functions of the network, of crypto and of keys, as kfuncs.h has them for tasks and files. */
#pragma once

#include "kfuncs.h"
#include <bpf/bpf_endian.h>

#ifndef EINVAL
#define EINVAL 22
#endif

/* A namespace's references: `count` until 6.18, `__ns_ref` since. */
struct ns_common {
	refcount_t count;
} CO_RE;

struct ns_common___renamed {
	refcount_t __ns_ref;
} CO_RE;

struct net {
	struct ns_common ns;
} CO_RE;

struct nsproxy {
	struct net *net_ns;
} CO_RE;

struct task_struct___namespaces {
	struct nsproxy *nsproxy;
} CO_RE;

/* References to the network namespace of the current task. */
static __always_inline int count_namespace(void)
{
	struct task_struct___namespaces *task = (void *)bpf_get_current_task_btf();
	struct ns_common *common = &task->nsproxy->net_ns->ns;

	if (bpf_core_field_exists(common->count))
		return common->count.refs.counter;
	return ((struct ns_common___renamed *)common)->__ns_ref.refs.counter;
}

/* net/netfilter/nf_conntrack_bpf.c */
struct nf_conntrack {
	refcount_t use;
} CO_RE;

struct nf_conntrack_zone {
	__u16 id;
} CO_RE;

union nf_inet_addr {
	__u32 ip;
	__u32 ip6[4];
} CO_RE;

struct nf_conntrack_man {
	union nf_inet_addr u3;
} CO_RE;

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			struct {
				__u16 port;
			} tcp;
		} u;
	} dst;
} CO_RE;

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} CO_RE;

struct nf_conn {
	struct nf_conntrack ct_general;
	__u32 timeout;
	struct nf_conntrack_zone zone;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	__u32 mark;
} CO_RE;

/*
 * Prototypes must be as the kernel's as far as libbpf looks: kinds of types, not their names; a struct that is only
 * declared is none.
 *
 * The kernel's own has the last four bytes since 6.11; before, `zone` was the reserved one. What is passed is memory
 * and its length: the name of the type does not matter, and it must not be relocated.
 */
struct ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u16 zone;
	__u8 zone_dir;
	__u8 reserved[3];
};
#define CT_OPTS_SIZE 12
#define CT_OPTS_SIZE_WITH_ZONE 16

struct nf_conn *bpf_skb_ct_alloc(struct __sk_buff *skb_ctx, struct bpf_sock_tuple *bpf_tuple, __u32 tuple__sz,
				 struct ct_opts *opts, __u32 opts__sz) __ksym_weak;
struct nf_conn *bpf_xdp_ct_alloc(struct xdp_md *xdp_ctx, struct bpf_sock_tuple *bpf_tuple, __u32 tuple__sz,
				 struct ct_opts *opts, __u32 opts__sz) __ksym_weak;
struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb_ctx, struct bpf_sock_tuple *bpf_tuple, __u32 tuple__sz,
				  struct ct_opts *opts, __u32 opts__sz) __ksym_weak;
struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *xdp_ctx, struct bpf_sock_tuple *bpf_tuple, __u32 tuple__sz,
				  struct ct_opts *opts, __u32 opts__sz) __ksym_weak;
struct nf_conn *bpf_ct_insert_entry(struct nf_conn *nfct_i) __ksym_weak;
void bpf_ct_release(struct nf_conn *nfct) __ksym_weak;
void bpf_ct_set_timeout(struct nf_conn *nfct, __u32 timeout) __ksym_weak;
int bpf_ct_change_timeout(struct nf_conn *nfct, __u32 timeout) __ksym_weak;
int bpf_ct_set_status(struct nf_conn *nfct, __u32 status) __ksym_weak;
int bpf_ct_change_status(struct nf_conn *nfct, __u32 status) __ksym_weak;
enum nf_nat_manip_type {
	NF_NAT_MANIP_SRC,
	NF_NAT_MANIP_DST,
};
int bpf_ct_set_nat_info(struct nf_conn *nfct, union nf_inet_addr *addr, int port, enum nf_nat_manip_type manip)
	__ksym_weak;

/* net/xfrm/xfrm_state_bpf.c, xfrm_interface_bpf.c */
struct xfrm_id {
	__u32 daddr[4];
	__u32 spi;
	__u8 proto;
};

struct xfrm_state {
	refcount_t refcnt;
	struct xfrm_id id;
} CO_RE;

struct xfrm_opts {
	__s32 error;
	__s32 netns_id;
	__u32 mark;
	__u32 daddr[4];
	__u32 spi;
	__u8 proto;
	__u16 family;
};

struct xfrm_info {
	__u32 if_id;
	int link;
};

struct xfrm_state *bpf_xdp_get_xfrm_state(struct xdp_md *ctx, struct xfrm_opts *opts, __u32 opts__sz) __ksym_weak;
void bpf_xdp_xfrm_state_release(struct xfrm_state *x) __ksym_weak;
int bpf_skb_get_xfrm_info(struct __sk_buff *skb_ctx, struct xfrm_info *to) __ksym_weak;
int bpf_skb_set_xfrm_info(struct __sk_buff *skb_ctx, const struct xfrm_info *from) __ksym_weak;

/* kernel/bpf/crypto.c */
struct bpf_crypto_params {
	char type[14];
	__u8 reserved[2];
	char algo[128];
	__u8 key[256];
	__u32 key_len;
	__u32 authsize;
};

struct bpf_crypto_ctx {
	__u32 siv_len;
	refcount_t usage;
} CO_RE;

struct bpf_crypto_ctx *bpf_crypto_ctx_create(const struct bpf_crypto_params *params, __u32 params__sz, int *err)
	__ksym_weak;
struct bpf_crypto_ctx *bpf_crypto_ctx_acquire(struct bpf_crypto_ctx *ctx) __ksym_weak;
void bpf_crypto_ctx_release(struct bpf_crypto_ctx *ctx) __ksym_weak;
int bpf_crypto_encrypt(struct bpf_crypto_ctx *ctx, const struct bpf_dynptr *src, const struct bpf_dynptr *dst,
		       const struct bpf_dynptr *siv__nullable) __ksym_weak;
int bpf_crypto_decrypt(struct bpf_crypto_ctx *ctx, const struct bpf_dynptr *src, const struct bpf_dynptr *dst,
		       const struct bpf_dynptr *siv__nullable) __ksym_weak;
int bpf_dynptr_adjust(const struct bpf_dynptr *p, __u32 start, __u32 end) __ksym_weak;

/* kernel/trace/bpf_trace.c */
struct key {
	refcount_t usage;
	int serial;
} CO_RE;

struct bpf_key {
	struct key *key;
	_Bool has_ref;
} CO_RE;

struct bpf_key *bpf_lookup_user_key(__s32 serial, __u64 flags) __ksym_weak;
struct bpf_key *bpf_lookup_system_key(__u64 id) __ksym_weak;
void bpf_key_put(struct bpf_key *bkey) __ksym_weak;
int bpf_verify_pkcs7_signature(struct bpf_dynptr *data_p, struct bpf_dynptr *sig_p, struct bpf_key *trusted_keyring)
	__ksym_weak;

/* net/core/bpf_ksock.c */
struct ksock_opts {
	__u8 family;
	__u8 type;
	__u8 protocol;
	__u8 reserved;
};

/* As long as struct sockaddr_in6. */
union ksock_address {
	struct {
		__u16 family;
		__u16 port;
		__u32 rest[6];
	};
};

struct bpf_ksock {
	refcount_t usage;
} CO_RE;

struct bpf_ksock *bpf_ksock_create(const struct ksock_opts *opts, __u32 opts__sz, int *err__uninit) __ksym_weak;
int bpf_ksock_connect(struct bpf_ksock *ks, const union ksock_address *addr, __u32 addr__sz) __ksym_weak;
struct bpf_ksock *bpf_ksock_acquire(struct bpf_ksock *ks) __ksym_weak;
void bpf_ksock_release(struct bpf_ksock *ks) __ksym_weak;
int bpf_ksock_send(struct bpf_ksock *ks, const void *data, __u32 data__sz) __ksym_weak;

/* net/core/filter.c */
struct sock_common {
	unsigned short skc_family;
	unsigned short skc_num;
	volatile unsigned char skc_state;
} CO_RE;

struct sock {
	struct sock_common __sk_common;
} CO_RE;

int bpf_sock_destroy(struct sock_common *sock) __ksym_weak;

/* kernel/bpf/helpers.c */
void bpf_local_irq_save(unsigned long *flags__irq_flag) __ksym_weak;
void bpf_local_irq_restore(unsigned long *flags__irq_flag) __ksym_weak;
void *bpf_rdonly_cast(const void *obj__ign, __u32 btf_id__k) __ksym_weak;
