// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fields with references, in programs that the verifier must refuse, one behaviour in each. The annotations carry the
 * message of Linux 6.12; those of other versions are in the suite.
 */
#include "kptr.h"

struct slot {
	__u64 number;
	OBJECT __referenced *ref;
	OBJECT __unreferenced *unref;
	OTHER __referenced *other;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} hash SEC(".maps");

/* Keeps the compiler from dropping what a program reads. */
int sink = 0;
__u64 number = 0;

static __always_inline struct slot *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&array, &key);
}

SEC("?tc")
__failure __msg("Unreleased reference")
int ignore_old(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object;

	if (!value)
		return 0;
	object = acquire();
	if (!object)
		return 0;
	sink = bpf_kptr_xchg(&value->ref, object) != 0;
	return 0;
}

SEC("?tc")
__failure __msg("Possibly NULL pointer passed to helper arg2")
int put_untested(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *old;

	if (!value)
		return 0;
	old = bpf_kptr_xchg(&value->ref, acquire());
	if (old)
		release(old);
	return 0;
}

SEC("?tc")
__failure __msg("off=16 kptr isn't referenced kptr")
int exchange_unreferenced(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *old;

	if (!value)
		return 0;
	old = bpf_kptr_xchg(&value->unref, 0);
	if (old)
		release(old);
	return 0;
}

SEC("?tc")
__failure __msg("off=0 doesn't point to kptr")
int exchange_number(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *old;

	if (!value)
		return 0;
	old = bpf_kptr_xchg(&value->number, 0);
	if (old)
		release(old);
	return 0;
}

/* The pointer read from the field belongs to the field. */
SEC("?tc")
__failure __msg("R2 must be referenced")
int put_what_was_read(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object, *old;

	if (!value)
		return 0;
	object = value->ref;
	if (!object)
		return 0;
	old = bpf_kptr_xchg(&value->ref, object);
	if (old)
		release(old);
	return 0;
}

/* A reference is given away once. */
SEC("?tc")
__failure __msg("R2 type=scalar expected=ptr_")
int put_twice(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object, *old;

	if (!value)
		return 0;
	object = acquire();
	if (!object)
		return 0;
	old = bpf_kptr_xchg(&value->ref, object);
	if (old)
		release(old);
	old = bpf_kptr_xchg(&value->ref, object);
	if (old)
		release(old);
	return 0;
}

SEC("?tc")
__failure __msg("invalid kptr access, R2 type=")
int put_other_type(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object;
	OTHER *old;

	if (!value)
		return 0;
	object = acquire();
	if (!object)
		return 0;
	old = bpf_kptr_xchg(&value->other, object);
	sink = old != 0;
	return 0;
}

SEC("?tc")
__failure __msg("store to referenced kptr disallowed")
int store_referenced(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object;

	if (!value)
		return 0;
	object = value->unref;
	*(OBJECT *volatile *)&value->ref = object;
	return 0;
}

/* Not even NULL: what was there would be lost. */
SEC("?tc")
__failure __msg("store to referenced kptr disallowed")
int store_null_referenced(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	*(OBJECT *volatile *)&value->ref = 0;
	return 0;
}

/* *(u64 *)(r1 + 16) = 1, which the compiler does not write for this instruction set. */
SEC("?tc")
__failure __msg("BPF_ST imm must be 0 when storing to kptr at off=16")
int store_immediate(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	asm volatile("r1 = %[value];"
		     ".8byte 0x000000010010017a;"
		     :
		     : [value] "r"(value)
		     : "r1", "memory");
	return 0;
}

SEC("?tc")
__failure __msg("type=scalar expected=ptr_")
int store_scalar(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	asm volatile("r1 = %[number];"
		     "*(u64 *)(%[value] + 16) = r1;"
		     :
		     : [value] "r"(value), [number] "r"(number)
		     : "r1", "memory");
	return 0;
}

/*
 * On one way to the store the register is 0, on the others it is a number: having seen the first must not have the
 * verifier take the others for the same. It keeps a state where two jumps and eight instructions have passed since the
 * last one: at the store, for three jumps come at once, and then none for long.
 */
SEC("?tc")
__failure __msg("type=scalar expected=ptr_")
int store_imprecise_scalar(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	asm volatile("r3 = %[number];"
		     "r2 = 0;"
		     "r2 += 1; r2 += 1; r2 += 1; r2 += 1;"
		     "r2 += 1; r2 += 1; r2 += 1; r2 += 1;"
		     "r1 = r3;"
		     "if r3 == 5 goto store_%=;"
		     "if r3 == 6 goto store_%=;"
		     "if r3 == 7 goto store_%=;"
		     "r1 = 0;"
		     "r2 += 1; r2 += 1; r2 += 1; r2 += 1; r2 += 1;"
		     "r2 += 1; r2 += 1; r2 += 1; r2 += 1; r2 += 1;"
		     "store_%=:"
		     "*(u64 *)(%[value] + 16) = r1;"
		     :
		     : [value] "r"(value), [number] "r"(number)
		     : "r1", "r2", "r3", "memory");
	return 0;
}

SEC("?tc")
__failure __msg("kptr access size must be BPF_DW")
int read_half(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	sink = *(volatile __u32 *)&value->ref;
	return 0;
}

SEC("?tc")
__failure __msg("kptr access misaligned expected=8 off=9")
int read_inside(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	asm volatile("r1 = *(u64 *)(%[value] + 9)" : : [value] "r"(value) : "r1");
	return 0;
}

SEC("?tc")
__failure __msg("kptr access misaligned expected=8 off=7")
int write_across(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	asm volatile("r1 = 0;"
		     "*(u64 *)(%[value] + 7) = r1"
		     :
		     : [value] "r"(value)
		     : "r1", "memory");
	return 0;
}

SEC("?tc")
__failure __msg("kptr access cannot have variable offset")
int read_somewhere(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	asm volatile("r1 = %[number];"
		     "r1 &= 8;"
		     "r2 = %[value];"
		     "r2 += r1;"
		     "r1 = *(u64 *)(r2 + 8)"
		     :
		     : [value] "r"(value), [number] "r"(number)
		     : "r1", "r2");
	return 0;
}

SEC("?tc")
__failure __msg("kptr cannot be accessed indirectly by helper")
int update_from_value(struct __sk_buff *skb)
{
	struct slot *value = slot();
	int key = 0;

	if (!value)
		return 0;
	sink = bpf_map_update_elem(&hash, &key, value, 0);
	return 0;
}

SEC("?tc")
__failure __msg("kptr cannot be accessed indirectly by helper")
int fill_by_helper(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	sink = bpf_skb_load_bytes(skb, 0, &value->number, 16);
	return 0;
}

SEC("?tc")
__failure __msg("R1 doesn't have constant offset. kptr has to be")
int exchange_somewhere(struct __sk_buff *skb)
{
	struct slot *value = slot();
	__u64 where = number;
	OBJECT *old;

	if (!value)
		return 0;
	if (where > 8)
		return 0;
	asm volatile("" : "+r"(where));
	old = bpf_kptr_xchg((void *)value + 8 + where, 0);
	if (old)
		release(old);
	return 0;
}

#ifdef KPTR_OLD
/* A struct inside another one is not that other one. */
SEC("?tc")
int put_member(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object;

	if (!value)
		return 0;
	object = acquire();
	if (!object)
		return 0;
	sink = bpf_kptr_xchg(&value->other, &object->memb) != 0;
	return 0;
}

/* KF_KPTR_GET */
SEC("?tc")
int get_from_stack(struct __sk_buff *skb)
{
	OBJECT *object, *nothing = 0;

	object = bpf_kfunc_call_test_kptr_get(&nothing, 0, 0);
	if (object)
		release(object);
	return 0;
}

SEC("?tc")
int get_somewhere(struct __sk_buff *skb)
{
	struct slot *value = slot();
	__u64 where = number;
	OBJECT *object;

	if (!value)
		return 0;
	if (where > 8)
		return 0;
	asm volatile("" : "+r"(where));
	object = bpf_kfunc_call_test_kptr_get((void *)value + 8 + where, 0, 0);
	if (object)
		release(object);
	return 0;
}

SEC("?tc")
int get_unreferenced(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object;

	if (!value)
		return 0;
	object = bpf_kfunc_call_test_kptr_get(&value->unref, 0, 0);
	if (object)
		release(object);
	return 0;
}

SEC("?tc")
int get_untested(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	release(bpf_kfunc_call_test_kptr_get(&value->ref, 0, 0));
	return 0;
}

SEC("?tc")
int get_leak(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	sink = bpf_kfunc_call_test_kptr_get(&value->ref, 0, 0) != 0;
	return 0;
}
#else
SEC("?tc")
__failure __msg("invalid mem access 'rcu_ptr_or_null_'")
int read_untested(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	sink = value->ref->pid;
	return 0;
}

/* A type whose objects are not freed by RCU. */
SEC("?tc")
__failure __msg("R1 type=untrusted_ptr_or_null_ expected=percpu_ptr_")
int load_not_rcu(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	sink = bpf_this_cpu_ptr(value->other) != 0;
	return 0;
}

/* One whose objects are. */
SEC("?tc")
__failure __msg("R1 type=rcu_ptr_or_null_ expected=percpu_ptr_")
int load_rcu(struct __sk_buff *skb)
{
	struct slot *value = slot();

	if (!value)
		return 0;
	sink = bpf_this_cpu_ptr(value->ref) != 0;
	return 0;
}

SEC("?tc")
__failure __msg("R1 must be a rcu pointer")
int acquire_unreferenced(struct __sk_buff *skb)
{
	struct slot *value = slot();
	OBJECT *object, *acquired;

	if (!value)
		return 0;
	object = value->unref;
	if (!object)
		return 0;
	acquired = bpf_task_acquire(object);
	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?syscall")
__failure __msg("R1 must be a rcu pointer")
int acquire_without_rcu(void *context)
{
	struct slot *value = slot();
	OBJECT *object, *acquired;

	if (!value)
		return 0;
	object = value->ref;
	if (!object)
		return 0;
	acquired = bpf_task_acquire(object);
	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

SEC("?syscall")
__failure __msg("R1 must be a rcu pointer")
int acquire_after_rcu(void *context)
{
	struct slot *value = slot();
	OBJECT *object, *acquired;

	if (!value)
		return 0;
	bpf_rcu_read_lock();
	object = value->ref;
	if (!object) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	acquired = bpf_task_acquire(object);
	if (acquired)
		bpf_task_release(acquired);
	return 0;
}

/* A function that no kernel from 6.4 on has. */
SEC("?tc")
__failure __msg("invalid kernel function call not eliminated in verifier pass")
int call_kptr_get(struct __sk_buff *skb)
{
	struct prog_test_ref_kfunc *nothing = 0;

	bpf_kfunc_call_test_kptr_get(&nothing, 0, 0);
	return 0;
}
#endif

char _license[] SEC("license") = "GPL";
