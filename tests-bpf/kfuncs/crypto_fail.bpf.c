// SPDX-License-Identifier: GPL-2.0-only
/* Programs with ciphers that the verifier must refuse, in the words of Linux 6.12. */
#include "netkfuncs.h"

struct kept {
	struct bpf_crypto_ctx __kptr_referenced *cipher;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} keep SEC(".maps");

struct bpf_crypto_params params = {};
int error = 0;
int sink = 0;
__u8 bytes[16] = {};

static __always_inline struct kept *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&keep, &key);
}

SEC("?syscall")
__failure __msg("Unreleased reference")
int leak_created(void *context)
{
	sink = bpf_crypto_ctx_create(&params, sizeof(params), &error) != 0;
	return 0;
}

SEC("?syscall")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int acquire_unchecked(void *context)
{
	struct bpf_crypto_ctx *cipher = bpf_crypto_ctx_create(&params, sizeof(params), &error);

	cipher = bpf_crypto_ctx_acquire(cipher);
	if (cipher)
		bpf_crypto_ctx_release(cipher);
	return 0;
}

SEC("?syscall")
__failure __msg("invalid access to map value")
int params_too_long(void *context)
{
	struct bpf_crypto_ctx *cipher = bpf_crypto_ctx_create(&params, sizeof(params) + 4096, &error);

	if (cipher)
		bpf_crypto_ctx_release(cipher);
	return 0;
}

SEC("?tc")
__failure __msg("calling kernel function bpf_crypto_ctx_create is not allowed")
int create_in_tc(struct __sk_buff *skb)
{
	struct bpf_crypto_ctx *cipher = bpf_crypto_ctx_create(&params, sizeof(params), &error);

	sink = cipher != 0;
	return 0;
}

SEC("?syscall")
__failure __msg("calling kernel function bpf_crypto_encrypt is not allowed")
int encrypt_in_syscall(void *context)
{
	struct bpf_crypto_ctx *cipher = bpf_crypto_ctx_create(&params, sizeof(params), &error);
	struct bpf_dynptr data;

	if (!cipher)
		return 0;
	bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &data);
	sink = bpf_crypto_encrypt(cipher, &data, &data, 0);
	bpf_crypto_ctx_release(cipher);
	return 0;
}

SEC("?tc")
__failure __msg("Possibly NULL pointer passed to trusted arg0")
int encrypt_unchecked(struct __sk_buff *skb)
{
	struct kept *value = slot();
	struct bpf_dynptr data;

	if (!value)
		return 0;
	bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &data);
	bpf_rcu_read_lock();
	sink = bpf_crypto_encrypt(value->cipher, &data, &data, 0);
	bpf_rcu_read_unlock();
	return 0;
}

char _license[] SEC("license") = "GPL";
