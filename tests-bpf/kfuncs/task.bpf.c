// SPDX-License-Identifier: GPL-2.0-only
/* Task kfuncs in programs that the verifier must accept; what they saw is left in globals. */
#include "kfuncs.h"

/* In. */
int pid_wanted = 0;
int repeat = 0;

/* Out. */
int runs = 0;
int found = 0;
int found_pid = 0;
int found_tgid = 0;
int users = 0;
int users_held = 0;
int users_after = 0;

/* Becomes readable for user space when something is written to it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

static __always_inline int acquire_and_release(struct task_struct *task)
{
	struct task_struct *acquired = bpf_task_acquire(task);

	if (!acquired)
		return 0;
	bpf_task_release(acquired);
	return 1;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(newtask, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired;

	if ((bpf_get_current_pid_tgid() >> 32) != pid_wanted)
		return 0;
	users = task->rcu_users.refs.counter;
	acquired = bpf_task_acquire(task);
	if (acquired) {
		found++;
		users_held = acquired->rcu_users.refs.counter;
		bpf_task_release(acquired);
	}
	users_after = task->rcu_users.refs.counter;
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

/* A task on its way out, when the last of those who count as its users is gone. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(freed, struct task_struct *task)
{
	struct task_struct *acquired;

	if (task->pid != pid_wanted)
		return 0;
	users = task->rcu_users.refs.counter;
	acquired = bpf_task_acquire(task);
	if (acquired) {
		found++;
		bpf_task_release(acquired);
	}
	runs++;
	bpf_ringbuf_output(&events, &runs, sizeof(runs), 0);
	return 0;
}

SEC("syscall")
int in_syscall(void *context)
{
	return acquire_and_release(bpf_get_current_task_btf());
}

SEC("tracepoint/sched/sched_switch")
int in_tracepoint(void *context)
{
	if ((bpf_get_current_pid_tgid() >> 32) != pid_wanted)
		return 0;
	__sync_fetch_and_add(&found, acquire_and_release(bpf_get_current_task_btf()));
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

SEC("perf_event")
int in_perf_event(void *context)
{
	__sync_fetch_and_add(&found, acquire_and_release(bpf_get_current_task_btf()));
	__sync_fetch_and_add(&runs, 1);
	return 0;
}

SEC("tc")
int in_tc(struct __sk_buff *skb)
{
	return acquire_and_release(bpf_get_current_task_btf());
}

SEC("xdp")
int in_xdp(struct xdp_md *context)
{
	return acquire_and_release(bpf_get_current_task_btf());
}

SEC("cgroup_skb/egress")
int in_cgroup_skb(struct __sk_buff *skb)
{
	return acquire_and_release(bpf_get_current_task_btf());
}

SEC("syscall")
int from_pid(void *context)
{
	struct task_struct *task = bpf_task_from_pid(pid_wanted);

	found = task != 0;
	if (!task)
		return 0;
	found_pid = task->pid;
	found_tgid = task->tgid;
	bpf_task_release(task);
	return 1;
}

/* Numbers of the caller's own pid namespace. */
struct task_struct *bpf_task_from_vpid(__s32 vpid) __ksym_weak;

SEC("syscall")
int from_vpid(void *context)
{
	struct task_struct *task = bpf_task_from_vpid(pid_wanted);

	found = task != 0;
	if (!task)
		return 0;
	found_pid = task->pid;
	found_tgid = task->tgid;
	bpf_task_release(task);
	return 1;
}

/* Reads the reference count that bpf_task_acquire raises. */
SEC("syscall")
int count_users(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();

	users = task->rcu_users.refs.counter;
	return 1;
}

SEC("syscall")
int churn(void *context)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, repeat);
	while (bpf_iter_num_next(&it))
		runs += acquire_and_release(task);
	bpf_iter_num_destroy(&it);
	return 1;
}

struct kept {
	struct task_struct __kptr_referenced *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct kept);
} keep SEC(".maps");

/* Leaves one reference behind, in a map. */
SEC("syscall")
int keep_current(void *context)
{
	struct task_struct *task, *old;
	int key = 0;
	struct kept *slot = bpf_map_lookup_elem(&keep, &key);

	if (!slot)
		return 0;
	task = bpf_task_acquire(bpf_get_current_task_btf());
	if (!task)
		return 0;
	old = bpf_kptr_xchg(&slot->task, task);
	if (old)
		bpf_task_release(old);
	return 1;
}

/* Leaves a reference to each process that one process starts: the last one stays in the map. */
SEC("tp_btf/task_newtask")
int BPF_PROG(keep_newtask, struct task_struct *task, __u64 clone_flags)
{
	struct task_struct *acquired, *old;
	int key = 0;
	struct kept *slot;

	if ((bpf_get_current_pid_tgid() >> 32) != pid_wanted)
		return 0;
	slot = bpf_map_lookup_elem(&keep, &key);
	if (!slot)
		return 0;
	acquired = bpf_task_acquire(task);
	if (!acquired)
		return 0;
	old = bpf_kptr_xchg(&slot->task, acquired);
	if (old)
		bpf_task_release(old);
	runs++;
	return 0;
}

/* Looks at it where it is: 1 when there is one. */
SEC("syscall")
int read_kept(void *context)
{
	struct task_struct *task;
	int key = 0, there = 0;
	struct kept *slot = bpf_map_lookup_elem(&keep, &key);

	if (!slot)
		return 0;
	bpf_rcu_read_lock();
	task = slot->task;
	if (task) {
		there = 1;
		found_pid = task->pid;
		users = task->rcu_users.refs.counter;
		found = acquire_and_release(task);
	}
	bpf_rcu_read_unlock();
	return there;
}

/* Takes it out again. */
SEC("syscall")
int drop_kept(void *context)
{
	struct task_struct *old;
	int key = 0;
	struct kept *slot = bpf_map_lookup_elem(&keep, &key);

	if (!slot)
		return 0;
	old = bpf_kptr_xchg(&slot->task, 0);
	if (!old)
		return 0;
	bpf_task_release(old);
	return 1;
}

static __noinline struct task_struct *acquire_in_subprogram(void)
{
	return bpf_task_from_pid(1);
}

SEC("tc")
int release_in_caller(struct __sk_buff *skb)
{
	struct task_struct *task = acquire_in_subprogram();

	if (!task)
		return 0;
	bpf_task_release(task);
	return 1;
}

int bpf_kfunc_that_no_kernel_has(void) __ksym_weak;

SEC("syscall")
int weak_absent(void *context)
{
	if (bpf_kfunc_that_no_kernel_has) {
		found = bpf_kfunc_that_no_kernel_has();
		return 2;
	}
	return 1;
}

char _license[] SEC("license") = "GPL";
