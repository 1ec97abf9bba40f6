// SPDX-License-Identifier: Apache-2.0
import Crashes
import Testing

@Suite struct TitleTests {
    private func title(_ lines: [String]) -> String? {
        var reader = read(lines)
        return reader.take().first?.title
    }

    @Test(
        arguments: [
            (
                [
                    "BUG: KASAN: slab-use-after-free in bpf_task_release+0x1c/0x30",
                    "Read of size 8 at addr ffff888003a1c508 by task a/61",
                ],
                "KASAN: slab-use-after-free Read in bpf_task_release"
            ),
            (
                [
                    "BUG: KASAN: slab-out-of-bounds in memcpy+0x1c/0x30",
                    "Write of size 8 at addr ffff888003a1c508 by task a/61",
                    "Call Trace:", " <TASK>", " dump_stack_lvl+0x1/0x2", " ? old+0x1/0x2", " kasan_report+0x1/0x2",
                    " bpf_map_update.isra.0+0x2/0x3", " </TASK>",
                ], "KASAN: slab-out-of-bounds Write in bpf_map_update"
            ),
            (
                ["BUG: KASAN: double-free in bpf_obj_free+0x1c/0x30", "Free of addr ffff888003a1c508 by task a/61"],
                "KASAN: double-free in bpf_obj_free"
            ),
            (
                [
                    "BUG: KASAN: vmalloc-out-of-bounds in bpf_prog_9d34bde5f5fa0cc2_share+0x13f/0x14b",
                    "Read of size 8 at addr 0 by task a/61",
                ],
                "KASAN: vmalloc-out-of-bounds Read in bpf_prog_share"
            ),
            (
                ["BUG: KFENCE: use-after-free read in bpf_task_release+0x1c/0x30"],
                "KFENCE: use-after-free read in bpf_task_release"
            ),
            (["BUG: KCSAN: data-race in bpf_a+0x1/0x2 / bpf_b+0x3/0x4"], "KCSAN: data-race in bpf_a / bpf_b"),
            (
                ["UBSAN: array-index-out-of-bounds in kernel/bpf/mprog.c:10:3", "index -1 is out of range"],
                "UBSAN: array-index-out-of-bounds in kernel/bpf/mprog.c"
            ),
            (
                [
                    "UBSAN: shift-out-of-bounds in ./include/linux/x.h:10:3", "Call Trace:", " <TASK>",
                    " dump_stack_lvl+0x5d/0x80",
                    " ubsan_epilogue+0x5/0x2b", " __ubsan_handle_shift_out_of_bounds+0x1/0x2",
                    " bpf_mprog_read+0x12/0x20",
                ],
                "UBSAN: shift-out-of-bounds in bpf_mprog_read"
            ),
            (
                [
                    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
                    "#PF: supervisor read access in kernel mode",
                    "Oops: 0000 [#1] SMP PTI", "RIP: 0010:bpf_task_from_pid+0x1c/0x30",
                ],
                "NULL pointer dereference in bpf_task_from_pid"
            ),
            (
                [
                    "general protection fault, probably for non-canonical address 0xdffffc0000000005: 0000 [#1] SMP KASAN",
                    "KASAN: null-ptr-deref in range [0x0000000000000028-0x000000000000002f]",
                    "RIP: 0010:bpf_x+0x1c/0x30",
                ],
                "KASAN: null-ptr-deref in bpf_x"
            ),
            (
                [
                    "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1]",
                    "RIP: 0010:bpf_x+0x1c/0x30",
                ],
                "general protection fault in bpf_x"
            ),
            (["Oops: Oops: 0002 [#1] SMP", "RIP: 0010:bpf_x+0x1c/0x30"], "oops in bpf_x"),
            // An allocator warns of what it is asked for: by whom is what it is called by, also where it is a module.
            (
                [
                    "WARNING: mm/slub.c:5023 at __kvmalloc_node_noprof+0x52a/0x640, CPU#0: agent/61", "Call Trace:",
                    " <TASK>", " nf_ct_alloc_hashtable+0x45/0x90 [nf_conntrack]", " </TASK>",
                ], "WARNING in nf_ct_alloc_hashtable"
            ),
            (["Oops: divide error: 0000 [#1] SMP", "RIP: 0010:bpf_x+0x1c/0x30"], "divide error in bpf_x"),
            (
                ["kernel BUG at net/core/dev.c:1234!", "Oops: invalid opcode: 0000 [#1]", "RIP: 0010:dev_x+0x1c/0x30"],
                "kernel BUG in dev_x"
            ),
            (
                [
                    "BUG: scheduling while atomic: agent/61/0x00000002", "Call Trace:", " dump_stack+0x1/0x2",
                    " __schedule_bug+0x1/0x2", " bpf_y+0x1/0x2",
                ], "BUG: scheduling while atomic in bpf_y"
            ),
            (
                [
                    "WARNING: possible recursive locking detected", "6.12.117 #3 Not tainted",
                    "agent/61 is trying to acquire lock:",
                    "ffff888003a1c508 (&l->lock){....}-{2:2}, at: htab_lock_bucket+0x1c/0x30",
                ], "possible deadlock in htab_lock_bucket"
            ),
            (
                ["WARNING: lock held when returning to user space!", "6.12.117 #3 Not tainted"],
                "lock held when returning to user space"
            ),
            (
                [
                    "WARNING: suspicious RCU usage",
                    "kernel/bpf/hashtab.c:600 suspicious rcu_dereference_check() usage!", "stack backtrace:",
                    "Call Trace:",
                    " dump_stack_lvl+0x1/0x2", " lockdep_rcu_suspicious+0x1/0x2", " __htab_map_lookup_elem+0x1/0x2",
                ], "suspicious RCU usage in __htab_map_lookup_elem"
            ),
            (
                [
                    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [agent:61]",
                    "RIP: 0010:bpf_iter_num_next+0x1c/0x30",
                ], "soft lockup in bpf_iter_num_next"
            ),
            (
                [
                    "INFO: task agent:61 blocked for more than 122 seconds.", "Call Trace:", " <TASK>",
                    " __schedule+0x1/0x2", " schedule+0x1/0x2",
                    " netdev_run_todo+0x1/0x2",
                ], "task hung in netdev_run_todo"
            ),
            (
                [
                    "unreferenced object 0xffff888003a1c500 (size 64):", "  comm \"agent\", pid 61, jiffies 4294",
                    "  backtrace (crc 1):",
                    "    __kmalloc_cache_noprof+0x1/0x2", "    bpf_crypto_ctx_create+0x1/0x2",
                ], "memory leak in bpf_crypto_ctx_create"
            ),
            (
                ["Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"],
                "kernel panic: Attempted to kill init! exitcode=N"
            ),
            (["BUG: Bad page state in process agent  pfn:0a1b2"], "BUG: Bad page state in process agent pfn:0a1b2"),
        ] as [([String], String)])
    func titles(_ lines: [String], _ expected: String) {
        #expect(title(lines) == expected)
    }

    /// The same with other addresses, processes, processors and offsets.
    @Test func titlesAreStable() {
        func lines(_ cpu: Int, _ address: String, _ offset: String) -> [String] {
            [
                "[   \(cpu).5] BUG: KASAN: slab-use-after-free in f+\(offset)/0x30",
                "[   \(cpu).5] Read of size 8 at addr \(address) by task agent/\(cpu)",
            ]
        }
        #expect(title(lines(1, "ffff888003a1c508", "0x1c")) == title(lines(3, "ffff88800aaaaaa8", "0x20")))
        #expect(
            title(["BUG: key ffff888003a1c508 has not been registered!"])
                == title(["BUG: key ffff888003aaaaaa has not been registered!"]))
    }
}

@Suite struct StackFrameTests {
    @Test(
        arguments: [
            (" bpf_task_release+0x1c/0x30", "bpf_task_release", 0x1c, nil, false, false),
            (" ? tcx_link_release+0x1c/0x30 [tcx]", "tcx_link_release", 0x1c, "tcx", true, false),
            ("RIP: 0010:check.isra.0+0x2/0x30", "check.isra.0", 2, nil, false, true),
            ("    [<ffffffff81000000>] f+0x1/0x2", "f", 1, nil, false, false),
            (" f+0x1/0x2 [veth 9fa6c2e8d1b0]", "f", 1, "veth", false, false),
        ] as [(String, String, UInt64, String?, Bool, Bool)])
    func parses(
        _ text: String, _ symbol: String, _ offset: UInt64, _ module: String?, _ guess: Bool, _ exact: Bool
    ) throws {
        let frame = try #require(StackFrame(text))
        #expect(frame.symbol == symbol)
        #expect(frame.offset == offset)
        #expect(frame.module == module)
        #expect(frame.isGuess == guess)
        #expect(frame.isExact == exact)
    }

    @Test(arguments: [
        "", "+", "RIP: 0033:0xa376f9", "0x12+0x1/0x2", "f+0x1", "f+1/2", "f g+0x1/0x2", "f+0x1/", "RIP: ", "[<",
    ])
    func refuses(_ text: String) {
        #expect(StackFrame(text) == nil)
    }

    @Test func programsHaveTagsAndNames() throws {
        let frame = try #require(StackFrame("bpf_prog_9d34bde5f5fa0cc2_share_and_drop+0x13f/0x14b"))
        #expect(frame.program?.tag == "9d34bde5f5fa0cc2")
        #expect(frame.program?.name == "share_and_drop")
        #expect(StackFrame("bpf_prog_test_run_syscall+0x1/0x2")?.program == nil)
        #expect(StackFrame("bpf_prog_9d34bde5f5fa0cc2+0x1/0x2")?.program?.name == "")
    }
}
