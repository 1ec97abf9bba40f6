// SPDX-License-Identifier: GPL-2.0-only
/* Ciphers in BPF: contexts are made by syscall programs and used by packet programs, from a map. */
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

/* In: the parameters, and how many bytes of each operand are used. */
struct bpf_crypto_params params = {};
int keeps = 0;
int source_size = 0;
int target_size = 0;
int vector_size = 0;
__u8 source[64] = {};
__u8 vector[16] = {};

/* Out. */
__u8 target[64] = {};
int error = 1;
int result = 1;
int usage_created = -1;
int usage_acquired = -1;
int usage_left = -1;
int vector_wanted = -1;

static __always_inline struct kept *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&keep, &key);
}

static __always_inline int use_created(struct bpf_crypto_ctx *cipher)
{
	struct bpf_crypto_ctx *again, *old;
	struct kept *value = slot();

	if (!cipher)
		return 0;
	usage_created = cipher->usage.refs.counter;
	vector_wanted = cipher->siv_len;
	again = bpf_crypto_ctx_acquire(cipher);
	if (again) {
		usage_acquired = cipher->usage.refs.counter;
		bpf_crypto_ctx_release(again);
	}
	usage_left = cipher->usage.refs.counter;
	if (!keeps || !value) {
		bpf_crypto_ctx_release(cipher);
		return 1;
	}
	old = bpf_kptr_xchg(&value->cipher, cipher);
	if (old)
		bpf_crypto_ctx_release(old);
	return 1;
}

SEC("syscall")
int create(void *context)
{
	return use_created(bpf_crypto_ctx_create(&params, sizeof(params), &error));
}

SEC("syscall")
int create_with_short_params(void *context)
{
	return use_created(bpf_crypto_ctx_create(&params, sizeof(params) - 1, &error));
}

/* What a context in the map is used by: 1, the map itself, when nobody else holds it. */
SEC("syscall")
int count_kept(void *context)
{
	struct bpf_crypto_ctx *cipher;
	struct kept *value = slot();
	int there = 0;

	if (!value)
		return 0;
	bpf_rcu_read_lock();
	cipher = value->cipher;
	if (cipher) {
		there = 1;
		usage_left = cipher->usage.refs.counter;
	}
	bpf_rcu_read_unlock();
	return there;
}

static __always_inline int use_kept(int encrypts)
{
	struct bpf_dynptr from, to, iv;
	struct bpf_crypto_ctx *cipher;
	struct kept *value = slot();

	if (!value)
		return 0;
	bpf_dynptr_from_mem(source, sizeof(source), 0, &from);
	bpf_dynptr_from_mem(target, sizeof(target), 0, &to);
	bpf_dynptr_from_mem(vector, sizeof(vector), 0, &iv);
	if (bpf_dynptr_adjust(&from, 0, source_size) || bpf_dynptr_adjust(&to, 0, target_size) ||
	    bpf_dynptr_adjust(&iv, 0, vector_size))
		return 0;
	bpf_rcu_read_lock();
	cipher = value->cipher;
	if (!cipher) {
		bpf_rcu_read_unlock();
		return 0;
	}
	result = encrypts ? bpf_crypto_encrypt(cipher, &from, &to, &iv) : bpf_crypto_decrypt(cipher, &from, &to, &iv);
	bpf_rcu_read_unlock();
	return 1;
}

SEC("tc")
int encrypt_in_tc(struct __sk_buff *skb)
{
	return use_kept(1);
}

SEC("tc")
int decrypt_in_tc(struct __sk_buff *skb)
{
	return use_kept(0);
}

SEC("action")
int encrypt_in_action(struct __sk_buff *skb)
{
	return use_kept(1);
}

SEC("xdp")
int encrypt_in_xdp(struct xdp_md *context)
{
	return use_kept(1);
}

/* A cipher without an initialisation vector takes none. */
SEC("tc")
int encrypt_without_vector(struct __sk_buff *skb)
{
	struct bpf_dynptr from, to;
	struct bpf_crypto_ctx *cipher;
	struct kept *value = slot();

	if (!value)
		return 0;
	bpf_dynptr_from_mem(source, sizeof(source), 0, &from);
	bpf_dynptr_from_mem(target, sizeof(target), 0, &to);
	if (bpf_dynptr_adjust(&from, 0, source_size))
		return 0;
	bpf_rcu_read_lock();
	cipher = value->cipher;
	if (cipher)
		result = bpf_crypto_encrypt(cipher, &from, &to, 0);
	bpf_rcu_read_unlock();
	return cipher != 0;
}

char _license[] SEC("license") = "GPL";
