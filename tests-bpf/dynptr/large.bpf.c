// SPDX-License-Identifier: GPL-2.0-only
/* A dynptr as large as dynptrs can be, and one byte larger. */
#include "bpftest.h"

#define LIMIT (1 << 24)

__u32 size = 0;
__u32 offset = 0;

__s64 made = 0;
__s64 wrote = 0;
__s64 got = 0;
__s64 nothing = 0;
__u8 byte = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, LIMIT);
} large SEC(".maps");

SEC("syscall")
int local(void *context)
{
	struct bpf_dynptr ptr;
	__u32 count = size;
	__u8 value = 0x5a;
	int key = 0;
	__u8 *memory = bpf_map_lookup_elem(&large, &key);

	if (!memory || count > LIMIT)
		return 0;
	made = bpf_dynptr_from_mem(memory, count, 0, &ptr);
	nothing = bpf_dynptr_read(&byte, 0, &ptr, 0, 0);
	wrote = bpf_dynptr_write(&ptr, offset, &value, 1, 0);
	got = bpf_dynptr_read(&byte, 1, &ptr, offset, 0);
	return 1;
}

char _license[] SEC("license") = "GPL";
