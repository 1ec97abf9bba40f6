/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel functions that make dynptrs and work on them. Offsets and sizes are 64 bits wide from 6.19 on and 32 bits
 * before: a kernel that takes 32 looks at the lower half of what is declared here.
 */
#pragma once

#include "kfuncs.h"

int bpf_dynptr_from_skb(struct __sk_buff *s, __u64 flags, struct bpf_dynptr *ptr__uninit) __ksym_weak;
int bpf_dynptr_from_skb_meta(struct __sk_buff *s, __u64 flags, struct bpf_dynptr *ptr__uninit) __ksym_weak;
int bpf_dynptr_from_xdp(struct xdp_md *x, __u64 flags, struct bpf_dynptr *ptr__uninit) __ksym_weak;
int bpf_dynptr_from_file(struct file *file, __u32 flags, struct bpf_dynptr *ptr__uninit) __ksym_weak;
int bpf_dynptr_file_discard(struct bpf_dynptr *dynptr) __ksym_weak;
void *bpf_dynptr_slice(const struct bpf_dynptr *p, __u64 offset, void *buffer__opt, __u64 buffer__szk) __ksym_weak;
void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *p, __u64 offset, void *buffer__opt,
			    __u64 buffer__szk) __ksym_weak;
int bpf_dynptr_adjust(const struct bpf_dynptr *p, __u64 start, __u64 end) __ksym_weak;
_Bool bpf_dynptr_is_null(const struct bpf_dynptr *p) __ksym_weak;
_Bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *p) __ksym_weak;
__u64 bpf_dynptr_size(const struct bpf_dynptr *p) __ksym_weak;
int bpf_dynptr_clone(const struct bpf_dynptr *p, struct bpf_dynptr *clone__uninit) __ksym_weak;
int bpf_dynptr_copy(struct bpf_dynptr *dst_ptr, __u64 dst_off, struct bpf_dynptr *src_ptr, __u64 src_off,
		    __u64 size) __ksym_weak;
int bpf_dynptr_memset(struct bpf_dynptr *p, __u64 offset, __u64 size, __u8 val) __ksym_weak;
