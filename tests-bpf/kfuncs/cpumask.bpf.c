// SPDX-License-Identifier: GPL-2.0-only
/* Cpumask kfuncs in programs that the verifier must accept; what they saw is left in globals. */
#include "cpumask.h"

/* As many processors as masks here are made of, at most. */
#define CPUS 4
/* Above every mask's last processor. */
#define PROBED 8

#define CONST(mask) ((const struct cpumask *)(mask))

/* In: masks as bits. */
__u64 in_a = 0;
__u64 in_b = 0;
int operation = 0;
__u32 cpu = 0;
int repeat = 0;
int pid_wanted = 0;

/* Out. */
int runs = 0;
__u64 bits = 0;
__u64 tested = 0;
__u32 first = 0;
__u32 first_zero = 0;
__u32 weight = 0;
__u32 empty = 0;
__u32 full = 0;
__u64 distributed = 0;
__u64 and_bits = 0;
__u32 and_any = 0;
__u64 or_bits = 0;
__u64 xor_bits = 0;
__u64 copy_bits = 0;
__u32 equal = 0;
__u32 intersects = 0;
__u32 subset = 0;
__u32 first_and = 0;
__u64 distributed_and = 0;
__s32 answer = 0;
__s32 usage = 0;
__s32 usage_held = 0;
__s32 usage_after = 0;
__u8 source[32] = {};

static __always_inline void fill(struct bpf_cpumask *mask, __u64 wanted)
{
#pragma unroll
	for (__u32 i = 0; i < CPUS; i++)
		if (wanted & 1ull << i)
			bpf_cpumask_set_cpu(i, mask);
}

/* What it holds, asked bit by bit. */
static __always_inline __u64 test_all(const struct cpumask *mask)
{
	__u64 all = 0;

#pragma unroll
	for (__u32 i = 0; i < PROBED; i++)
		all |= (__u64)bpf_cpumask_test_cpu(i, mask) << i;
	return all;
}

static __always_inline __u64 bit(__u32 number)
{
	return number < 64 ? 1ull << number : 0;
}

static __always_inline void describe(const struct cpumask *mask)
{
	bits = mask->bits[0];
	tested = test_all(mask);
	first = bpf_cpumask_first(mask);
	first_zero = bpf_cpumask_first_zero(mask);
	weight = bpf_cpumask_weight(mask);
	empty = bpf_cpumask_empty(mask);
	full = bpf_cpumask_full(mask);
	distributed = 0;
	for (int i = 0; i < 2 * CPUS; i++)
		distributed |= bit(bpf_cpumask_any_distribute(mask));
}

static __always_inline void compare(const struct cpumask *a, const struct cpumask *b)
{
	equal = bpf_cpumask_equal(a, b);
	intersects = bpf_cpumask_intersects(a, b);
	subset = bpf_cpumask_subset(a, b);
	first_and = bpf_cpumask_first_and(a, b);
	distributed_and = 0;
	for (int i = 0; i < 2 * CPUS; i++)
		distributed_and |= bit(bpf_cpumask_any_and_distribute(a, b));
}

/* The result's former bits must not matter. */
static __always_inline void combine(struct bpf_cpumask *result, const struct cpumask *a, const struct cpumask *b)
{
	bpf_cpumask_setall(result);
	and_any = bpf_cpumask_and(result, a, b);
	and_bits = CONST(result)->bits[0];
	bpf_cpumask_clear(result);
	bpf_cpumask_or(result, a, b);
	or_bits = CONST(result)->bits[0];
	bpf_cpumask_setall(result);
	bpf_cpumask_xor(result, a, b);
	xor_bits = CONST(result)->bits[0];
	bpf_cpumask_setall(result);
	bpf_cpumask_copy(result, a);
	copy_bits = CONST(result)->bits[0];
}

/* Every function that only reads, and those of two masks. */
SEC("?syscall")
int calculate(void *context)
{
	struct bpf_cpumask *a, *b, *result;
	int done = 0;

	a = bpf_cpumask_create();
	if (!a)
		return 0;
	b = bpf_cpumask_create();
	if (!b)
		goto out_a;
	result = bpf_cpumask_create();
	if (!result)
		goto out_b;
	fill(a, in_a);
	fill(b, in_b);
	describe(CONST(a));
	compare(CONST(a), CONST(b));
	combine(result, CONST(a), CONST(b));
	bpf_cpumask_release(result);
	done = 1;
out_b:
	bpf_cpumask_release(b);
out_a:
	bpf_cpumask_release(a);
	return done;
}

/* One change of one mask. */
SEC("?syscall")
int change(void *context)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	fill(mask, in_a);
	answer = -1;
	switch (operation) {
	case 0:
		bpf_cpumask_set_cpu(cpu, mask);
		break;
	case 1:
		bpf_cpumask_clear_cpu(cpu, mask);
		break;
	case 2:
		answer = bpf_cpumask_test_and_set_cpu(cpu, mask);
		break;
	case 3:
		answer = bpf_cpumask_test_and_clear_cpu(cpu, mask);
		break;
	case 4:
		answer = bpf_cpumask_test_cpu(cpu, CONST(mask));
		break;
	case 5:
		bpf_cpumask_setall(mask);
		break;
	case 6:
		bpf_cpumask_clear(mask);
		break;
	}
	describe(CONST(mask));
	bpf_cpumask_release(mask);
	return 1;
}

/* The first mask comes from bytes, in one of several lengths. */
SEC("?syscall")
int populate(void *context)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();
	__u8 copy[16];

	if (!mask)
		return 0;
	fill(mask, in_b);
	__builtin_memcpy(copy, source, sizeof(copy));
	switch (operation) {
	case 0:
		answer = bpf_cpumask_populate(mask, source, sizeof(source));
		break;
	case 1:
		answer = bpf_cpumask_populate(mask, copy, 8);
		break;
	case 2:
		answer = bpf_cpumask_populate(mask, source + 1, 8);
		break;
	case 3:
		answer = bpf_cpumask_populate(mask, source, 4);
		break;
	case 4:
		answer = bpf_cpumask_populate(mask, source, 0);
		break;
	}
	bits = CONST(mask)->bits[0];
	bpf_cpumask_release(mask);
	return 1;
}

/* References, counted in the object itself. */
SEC("?syscall")
int count_references(void *context)
{
	struct bpf_cpumask *mask = bpf_cpumask_create(), *more;
	struct bpf_iter_num it;

	if (!mask)
		return 0;
	usage = mask->usage.refs.counter;
	more = bpf_cpumask_acquire(mask);
	usage_held = mask->usage.refs.counter;
	bpf_cpumask_release(more);
	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it)) {
		more = bpf_cpumask_acquire(mask);
		runs += CONST(more) == CONST(mask);
		bpf_cpumask_release(more);
	}
	bpf_iter_num_destroy(&it);
	usage_after = mask->usage.refs.counter;
	bpf_cpumask_release(mask);
	return 1;
}

/* One mask, a reference to it in each of the maps. */
SEC("?syscall")
int keep_twice(void *context)
{
	struct kept_mask *slot = mask_slot(), *other = other_mask_slot();
	struct bpf_cpumask *mask, *more, *old;

	if (!slot || !other)
		return 0;
	mask = bpf_cpumask_create();
	if (!mask)
		return 0;
	fill(mask, in_a);
	more = bpf_cpumask_acquire(mask);
	old = bpf_kptr_xchg(&slot->mask, mask);
	if (old)
		bpf_cpumask_release(old);
	old = bpf_kptr_xchg(&other->mask, more);
	if (old)
		bpf_cpumask_release(old);
	return 1;
}

/* Looks at the second map's. */
SEC("?syscall")
int read_other(void *context)
{
	struct kept_mask *other = other_mask_slot();
	struct bpf_cpumask *mask;
	int there = 0;

	if (!other)
		return 0;
	bpf_rcu_read_lock();
	mask = other->mask;
	if (mask) {
		there = 1;
		usage = mask->usage.refs.counter;
		describe(CONST(mask));
	}
	bpf_rcu_read_unlock();
	return there;
}

SEC("?syscall")
int drop_other(void *context)
{
	struct kept_mask *other = other_mask_slot();
	struct bpf_cpumask *old;

	if (!other)
		return 0;
	old = bpf_kptr_xchg(&other->mask, 0);
	if (!old)
		return 0;
	usage = old->usage.refs.counter;
	bpf_cpumask_release(old);
	return 1;
}

/* Where the current task may run. */
SEC("?syscall")
int own_processors(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();

	bpf_rcu_read_lock();
	describe(((struct task_struct___cpus *)task)->cpus_ptr);
	bpf_rcu_read_unlock();
	return 1;
}

static __always_inline int create_and_release(void)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	bpf_cpumask_release(mask);
	return 1;
}

SEC("?tracepoint/sched/sched_switch")
int in_tracepoint(void *context)
{
	if ((bpf_get_current_pid_tgid() >> 32) != pid_wanted)
		return 0;
	__sync_fetch_and_add(&answer, create_and_release());
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

SEC("?perf_event")
int in_perf_event(void *context)
{
	__sync_fetch_and_add(&answer, create_and_release());
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
