// SPDX-License-Identifier: GPL-2.0-only
/* A map that outlives its programs, by a file in the bpffs. */
#include "kptr.h"

int found = 0;
int users = 0;
__u64 found_key = 0;
__u64 key_wanted = 0;

struct kept_pinned {
	__u64 key;
	struct task_struct __referenced *task;
};

struct slot {
	struct task_struct __referenced *task;
	struct kept_pinned __referenced *object;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct slot);
} kptr_pinned SEC(".maps");

static __always_inline struct slot *slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&kptr_pinned, &key);
}

SEC("?tc")
int put(struct __sk_buff *skb)
{
	struct slot *at = slot();
	struct task_struct *task;
	struct kept_pinned *object;

	if (!at)
		return 10;
	task = bpf_task_from_pid(pid_wanted);
	if (!task)
		return 11;
	task = bpf_kptr_xchg(&at->task, task);
	if (task) {
		bpf_task_release(task);
		return 2;
	}
	object = object_new(struct kept_pinned);
	if (!object)
		return 12;
	object->key = key_wanted;
	task = bpf_task_from_pid(pid_wanted);
	if (task) {
		task = bpf_kptr_xchg(&object->task, task);
		if (task)
			bpf_task_release(task);
	}
	object = bpf_kptr_xchg(&at->object, object);
	if (object) {
		object_drop(object);
		return 3;
	}
	return 1;
}

SEC("?tc")
int take(struct __sk_buff *skb)
{
	struct slot *at = slot();
	struct task_struct *task;
	struct kept_pinned *object;

	if (!at)
		return 10;
	task = bpf_kptr_xchg(&at->task, 0);
	if (!task)
		return 0;
	found = task->pid;
	users = task->rcu_users.refs.counter;
	bpf_task_release(task);
	object = bpf_kptr_xchg(&at->object, 0);
	if (!object)
		return 2;
	found_key = object->key;
	object_drop(object);
	return 1;
}

char _license[] SEC("license") = "GPL";
