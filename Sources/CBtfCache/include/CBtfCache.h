// SPDX-License-Identifier: Apache-2.0
// The kernel's BTF, read and indexed once for all that libbpf does in a process and in those forked from it.
//
// libbpf reads, checks and searches 5 MB for every object that it loads: 0.2 s under TCG, in a case of 0.3 s. An
// executable that is linked with `--wrap=btf__load_vmlinux_btf --wrap=btf__free --wrap=btf__find_by_name_kind` gets what
// was read in advance; in any other nothing of this is used. (libbpf 1.1 to 1.6 keep a cache only of their own objects'.)
#pragma once

// Reads and indexes the kernel's BTF. 0: done; else errno. ENOSYS: the executable was not linked for it.
int cbtfcache_fill(void);
