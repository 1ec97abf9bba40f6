// SPDX-License-Identifier: GPL-2.0-only
/* Loops over the kernel's own objects: what came, in its order, is left in an array. */
#include "iters.h"

#define MOST 2048

/* In. */
__u32 flags = 0;
__u32 stop_after = 0;
__u32 pid_wanted = 0;
__u64 id_wanted = 0;
__u64 address = 0;

/* Out. */
__s64 made = 0;
__s64 made2 = 0;
__u32 count = 0;
__u32 count2 = 0;
/* What next gives after the end. */
__u64 after_end = 0;
__u64 first[MOST] = {};
__u64 second[MOST] = {};

static __always_inline void keep(__u64 one, __u64 other)
{
	__u32 place = count;

	if (place < MOST) {
		first[place] = one;
		second[place] = other;
	}
	count = place + 1;
}

static __always_inline int full(void)
{
	return stop_after && count >= stop_after;
}

SEC("syscall")
int tasks(void *context)
{
	struct bpf_iter_task it;
	struct task_struct *task;

	bpf_rcu_read_lock();
	made = bpf_iter_task_new(&it, 0, flags);
	while ((task = bpf_iter_task_next(&it))) {
		keep(task->pid, task->tgid);
		if (full())
			break;
	}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 1;
}

SEC("syscall")
int tasks_beyond(void *context)
{
	struct bpf_iter_task it;
	struct task_struct *task;

	bpf_rcu_read_lock();
	made = bpf_iter_task_new(&it, 0, flags);
	while ((task = bpf_iter_task_next(&it)))
		keep(task->pid, task->tgid);
	after_end = (unsigned long)bpf_iter_task_next(&it);
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return 1;
}

/* From a task: the threads of its process. */
SEC("syscall")
int tasks_of(void *context)
{
	struct bpf_iter_task it;
	struct task_struct *task, *start = bpf_task_from_pid(pid_wanted);

	if (!start)
		return 0;
	bpf_rcu_read_lock();
	made = bpf_iter_task_new(&it, start, flags);
	while ((task = bpf_iter_task_next(&it))) {
		keep(task->pid, task->tgid);
		if (full())
			break;
	}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	bpf_task_release(start);
	return 1;
}

/* The threads of each process, loop in loop. */
SEC("syscall")
int tasks_nested(void *context)
{
	struct bpf_iter_task processes, threads;
	struct task_struct *process, *thread, *held;

	bpf_rcu_read_lock();
	made = bpf_iter_task_new(&processes, 0, 0);
	while ((process = bpf_iter_task_next(&processes))) {
		held = bpf_task_acquire(process);
		if (!held)
			continue;
		count2++;
		bpf_iter_task_new(&threads, held, 2);
		while ((thread = bpf_iter_task_next(&threads)))
			keep(thread->pid, thread->tgid);
		bpf_iter_task_destroy(&threads);
		bpf_task_release(held);
	}
	bpf_iter_task_destroy(&processes);
	bpf_rcu_read_unlock();
	return 1;
}

SEC("syscall")
int cgroups(void *context)
{
	struct cgroup_subsys_state *css;
	struct bpf_iter_css it;
	struct cgroup *start = bpf_cgroup_from_id(id_wanted);

	if (!start)
		return 0;
	bpf_rcu_read_lock();
	made = bpf_iter_css_new(&it, &start->self, flags);
	while ((css = bpf_iter_css_next(&it))) {
		keep(css->cgroup->kn->id, 0);
		if (full())
			break;
	}
	bpf_iter_css_destroy(&it);
	bpf_rcu_read_unlock();
	bpf_cgroup_release(start);
	return 1;
}

SEC("syscall")
int cgroup_tasks(void *context)
{
	struct bpf_iter_css_task it;
	struct task_struct *task;
	struct cgroup *start = bpf_cgroup_from_id(id_wanted);

	if (!start)
		return 0;
	made = bpf_iter_css_task_new(&it, &start->self, flags);
	while ((task = bpf_iter_css_task_next(&it))) {
		keep(task->pid, task->tgid);
		if (full())
			break;
	}
	bpf_iter_css_task_destroy(&it);
	bpf_cgroup_release(start);
	return 1;
}

SEC("?lsm/file_open")
int BPF_PROG(cgroup_tasks_in_lsm, struct file *file)
{
	struct bpf_iter_css_task it;
	struct task_struct *task;
	struct cgroup *start;

	if (bpf_get_current_pid_tgid() >> 32 != pid_wanted)
		return 0;
	start = bpf_cgroup_from_id(id_wanted);
	if (!start)
		return 0;
	made = bpf_iter_css_task_new(&it, &start->self, flags);
	while ((task = bpf_iter_css_task_next(&it)))
		keep(task->pid, task->tgid);
	bpf_iter_css_task_destroy(&it);
	bpf_cgroup_release(start);
	return 0;
}

SEC("syscall")
int vmas(void *context)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;

	made = bpf_iter_task_vma_new(&it, bpf_get_current_task_btf(), address);
	while ((vma = bpf_iter_task_vma_next(&it))) {
		keep(vma->vm_start, vma->vm_end);
		if (full())
			break;
	}
	bpf_iter_task_vma_destroy(&it);
	return 1;
}

/* References of the task whose mappings are looked at, the program's own among them. */
int task_usage = 0;

SEC("syscall")
int vmas_of(void *context)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;
	struct task_struct *task = bpf_task_from_pid(pid_wanted);

	if (!task)
		return 0;
	task_usage = task->usage.refs.counter;
	made = bpf_iter_task_vma_new(&it, task, 0);
	while ((vma = bpf_iter_task_vma_next(&it))) {
		keep(vma->vm_start, vma->vm_end);
		if (full())
			break;
	}
	bpf_iter_task_vma_destroy(&it);
	bpf_task_release(task);
	return 1;
}

/* A second loop inside the first, over the same process. */
SEC("syscall")
int vmas_twice(void *context)
{
	struct bpf_iter_task_vma it, other;
	struct vm_area_struct *vma;

	made = bpf_iter_task_vma_new(&it, bpf_get_current_task_btf(), 0);
	vma = bpf_iter_task_vma_next(&it);
	if (vma)
		keep(vma->vm_start, vma->vm_end);
	made2 = bpf_iter_task_vma_new(&other, bpf_get_current_task_btf(), 0);
	while (bpf_iter_task_vma_next(&other))
		count2++;
	bpf_iter_task_vma_destroy(&other);
	while ((vma = bpf_iter_task_vma_next(&it)))
		keep(vma->vm_start, vma->vm_end);
	bpf_iter_task_vma_destroy(&it);
	return 1;
}

__u64 mask[512] = {};
__u32 words = 0;
/* In: look at this address and not at the mask. */
__u32 elsewhere = 0;

SEC("syscall")
int bits(void *context)
{
	struct bpf_iter_bits it;
	int *bit;

	if (elsewhere)
		made = bpf_iter_bits_new(&it, (const __u64 *)address, words);
	else
		made = bpf_iter_bits_new(&it, mask, words);
	while ((bit = bpf_iter_bits_next(&it))) {
		keep(*bit, 0);
		if (full())
			break;
	}
	bpf_iter_bits_destroy(&it);
	return 1;
}

/* What next gives at the end and after it; the mask is changed meanwhile, the iterator has a copy. */
SEC("syscall")
int bits_beyond(void *context)
{
	struct bpf_iter_bits it;
	int *bit;

	made = bpf_iter_bits_new(&it, mask, words);
	mask[0] = ~0ULL;
	while ((bit = bpf_iter_bits_next(&it)))
		keep(*bit, 0);
	after_end = (unsigned long)bpf_iter_bits_next(&it);
	bpf_iter_bits_destroy(&it);
	return 1;
}

#define NAME 32
#define NAMES 512
char names[NAMES * NAME] = {};

SEC("?syscall")
int caches(void *context)
{
	struct bpf_iter_kmem_cache it;
	struct kmem_cache *cache;

	made = bpf_iter_kmem_cache_new(&it);
	while ((cache = bpf_iter_kmem_cache_next(&it))) {
		__u32 place = count;

		if (place < NAMES)
			bpf_probe_read_kernel_str(&names[place * NAME], NAME, cache->name);
		keep(cache->size, 0);
		if (full())
			break;
	}
	bpf_iter_kmem_cache_destroy(&it);
	return 1;
}

SEC("?syscall")
int buffers(void *context)
{
	struct bpf_iter_dmabuf it;
	struct dma_buf *buffer;

	made = bpf_iter_dmabuf_new(&it);
	while ((buffer = bpf_iter_dmabuf_next(&it))) {
		__u32 place = count;

		if (place < NAMES)
			bpf_probe_read_kernel_str(&names[place * NAME], NAME, buffer->name);
		keep(buffer->size, 0);
		if (full())
			break;
	}
	bpf_iter_dmabuf_destroy(&it);
	return 1;
}

char _license[] SEC("license") = "GPL";
