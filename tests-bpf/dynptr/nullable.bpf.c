// SPDX-License-Identifier: GPL-2.0-only
/* A kernel function one of whose dynptrs may be NULL, and which the others may not. */
#include "dynptrs.h"

struct bpf_crypto_params {
	char type[14];
	__u8 reserved[2];
	char algo[128];
	__u8 key[256];
	__u32 key_len;
	__u32 authsize;
};

struct bpf_crypto_ctx {
	int unused;
} CO_RE;

struct bpf_crypto_ctx *bpf_crypto_ctx_create(const struct bpf_crypto_params *params, __u32 params__sz,
					     int *err) __ksym_weak;
void bpf_crypto_ctx_release(struct bpf_crypto_ctx *ctx) __ksym_weak;
int bpf_crypto_encrypt(struct bpf_crypto_ctx *ctx, const struct bpf_dynptr *src, const struct bpf_dynptr *dst,
		       const struct bpf_dynptr *siv__nullable) __ksym_weak;
int bpf_crypto_decrypt(struct bpf_crypto_ctx *ctx, const struct bpf_dynptr *src, const struct bpf_dynptr *dst,
		       const struct bpf_dynptr *siv__nullable) __ksym_weak;

struct kept {
	struct bpf_crypto_ctx __kptr_referenced *ctx;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kept);
} keep SEC(".maps");

struct bpf_crypto_params params = {
	.type = "skcipher",
	.algo = "ecb(aes)",
	.key = "0123456789abcdef",
	.key_len = 16,
};

int made = 0;
int encrypted = 0;
int decrypted = 0;
__u8 plain[16] = {};
__u8 secret[16] = {};
__u8 again[16] = {};

SEC("?syscall")
int create(void *context)
{
	struct bpf_crypto_ctx *ctx, *old;
	__u32 key = 0;
	struct kept *slot = bpf_map_lookup_elem(&keep, &key);

	if (!slot)
		return 0;
	ctx = bpf_crypto_ctx_create(&params, sizeof(params), &made);
	if (!ctx)
		return 1;
	old = bpf_kptr_xchg(&slot->ctx, ctx);
	if (old)
		bpf_crypto_ctx_release(old);
	return 2;
}

SEC("?tc")
int without_iv(struct __sk_buff *skb)
{
	struct bpf_dynptr from, to, back;
	struct bpf_crypto_ctx *ctx;
	__u32 key = 0;
	struct kept *slot = bpf_map_lookup_elem(&keep, &key);

	if (!slot)
		return 0;
	bpf_dynptr_from_mem(plain, sizeof(plain), 0, &from);
	bpf_dynptr_from_mem(secret, sizeof(secret), 0, &to);
	bpf_dynptr_from_mem(again, sizeof(again), 0, &back);
	bpf_rcu_read_lock();
	ctx = slot->ctx;
	if (ctx) {
		encrypted = bpf_crypto_encrypt(ctx, &from, &to, 0);
		decrypted = bpf_crypto_decrypt(ctx, &to, &back, 0);
	}
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?tc")
__failure __msg("Possibly NULL pointer passed to trusted arg1")
int without_source(struct __sk_buff *skb)
{
	struct bpf_crypto_ctx *ctx;
	struct bpf_dynptr to;
	__u32 key = 0;
	struct kept *slot = bpf_map_lookup_elem(&keep, &key);

	if (!slot)
		return 0;
	bpf_dynptr_from_mem(secret, sizeof(secret), 0, &to);
	bpf_rcu_read_lock();
	ctx = slot->ctx;
	if (ctx)
		encrypted = bpf_crypto_encrypt(ctx, 0, &to, 0);
	bpf_rcu_read_unlock();
	return 0;
}

char _license[] SEC("license") = "GPL";
