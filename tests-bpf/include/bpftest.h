/* SPDX-License-Identifier: GPL-2.0-only */
/* What bpftest's BPF objects share. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Annotations in the form of the kernel's own selftests from Linux 6.12 on (docs/semantics/upstream-map.md). */
#define BPFTEST_STR2(x) #x
#define BPFTEST_STR(x) BPFTEST_STR2(x)
#define __success __attribute__((btf_decl_tag("comment:test_expect_success")))
#define __failure __attribute__((btf_decl_tag("comment:test_expect_failure")))
#define __msg(text) __attribute__((btf_decl_tag("comment:test_expect_msg=" BPFTEST_STR(__COUNTER__) "=" text)))
