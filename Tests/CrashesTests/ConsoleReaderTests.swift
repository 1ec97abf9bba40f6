// SPDX-License-Identifier: Apache-2.0
import Crashes
import Foundation
import Testing

/// A console of Tests/Fixtures/consoles.
func console(_ name: String) throws -> [String] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let file = folder.appendingPathComponent("Fixtures/consoles/\(name).log")
    return try String(contentsOf: file, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false).map {
        String($0)
    }
}

func read(_ lines: [String], allowlist: SplatAllowlist? = nil) -> ConsoleReader {
    var reader = ConsoleReader(allowlist: allowlist)
    for line in lines { reader.read(line) }
    return reader
}

@Suite struct ConsoleReaderTests {
    private func complaints(_ lines: String...) -> [Complaint] {
        var reader = read(lines)
        return reader.take()
    }

    @Test(
        arguments: [
            ("[    1.234567] x", nil, "x"), ("[    3.1][  T61]  y", "T61", " y"), ("[   T1] z", "T1", "z"),
            ("[    1.2][    C0] ---", "C0", "---"), ("plain", nil, "plain"), ("[ BUG: x ]", nil, "[ BUG: x ]"),
            ("[    1.2] [ BUG: x ]", nil, "[ BUG: x ]"),
            ("[<ffffffff81000000>] f+0x1/0x2", nil, "[<ffffffff81000000>] f+0x1/0x2"),
            ("", nil, ""), ("[", nil, "["), ("[1.]", nil, "[1.]"), ("[    1.0]", nil, ""),
        ] as [(String, String?, String)])
    func linesLoseWhatPrintkPutsInFront(_ line: String, _ caller: String?, _ text: String) {
        let parsed = ConsoleLine(line)
        #expect(parsed.caller == caller)
        #expect(parsed.text == text)
    }

    /// First lines as kernels print them, with the time stamps of two configurations.
    @Test(
        arguments: [
            ("[    3.862691] WARNING: CPU: 0 PID: 61 at kernel/bpf/verifier.c:2100 check_reg_arg+0x12/0x30", .warning),
            ("[    3.8] WARNING: kernel/bpf/verifier.c:2100 at check_reg_arg+0x12/0x30, CPU#0: agent/61", .warning),
            ("[    3.8] WARNING: at check_reg_arg+0x12/0x30, CPU#0: agent/61", .warning),
            ("[    3.1][  T61] BUG: KASAN: slab-use-after-free in bpf_task_release+0x1c/0x30", .kasan),
            ("[    3.1] BUG: KFENCE: use-after-free read in bpf_task_release+0x1c/0x30", .kfence),
            ("[    3.1] BUG: KCSAN: data-race in a+0x1/0x2 / b+0x1/0x2", .kcsan),
            ("[    3.1] BUG: KMSAN: uninit-value in a+0x1/0x2", .kmsan),
            ("[   12.0] BUG: kernel NULL pointer dereference, address: 0000000000000008", .oops),
            ("[   12.0] Oops: Oops: 0002 [#1] PREEMPT SMP NOPTI", .oops),
            (
                "[   12.0] general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1]",
                .oops
            ),
            (
                "[   12.0] Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1]",
                .oops
            ),
            ("[   12.0] traps: PANIC: double fault, error_code: 0x0", .oops),
            ("[   12.0] kernel BUG at net/core/dev.c:1234!", .bug),
            ("[   12.0] BUG: sleeping function called from invalid context at mm/slab.h:300", .bug),
            ("[   12.0] UBSAN: array-index-out-of-bounds in mprog.c:10:3", .ubsan),
            ("[   12.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", .rcuStall),
            ("[   12.0] rcu: INFO: rcu_sched self-detected stall on CPU", .rcuStall),
            (
                "[   12.0] rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 0-... } 5 jiffies s: 1",
                .rcuStall
            ),
            ("[   12.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [agent:61]", .softLockup),
            ("[   12.0] NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", .hardLockup),
            ("[   12.0] watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", .hardLockup),
            ("[   12.0] INFO: task agent:61 blocked for more than 122 seconds.", .hungTask),
            ("[   12.0] INFO: task agent:61 blocked in I/O wait for more than 122 seconds.", .hungTask),
            ("[   12.0] WARNING: possible circular locking dependency detected", .lockdep),
            ("[   12.0] WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected", .lockdep),
            ("[   12.0] [ BUG: Invalid wait context ]", .lockdep),
            ("[   12.0] WARNING: agent/61 still has locks held!", .lockdep),
            ("[   12.0] WARNING: suspicious RCU usage", .rcuUsage),
            ("[   12.0] refcount_t: underflow; use-after-free.", .refcount),
            ("[   12.0] unregister_netdevice: waiting for veth0 to become free. Usage count = 2", .unregisterNetdevice),
            ("[   12.0] unreferenced object 0xffff888003a1c500 (size 64):", .kmemleak),
            ("[   12.0] agent invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0", .oomKill),
            ("[   12.0] Kernel panic - not syncing: sysrq triggered crash", .panic),
        ] as [(String, Complaint.Kind)])
    func findsComplaints(_ line: String, _ kind: Complaint.Kind) {
        let found = complaints(line, "[   12.1]  Call Trace:")
        #expect(found.map(\.kind) == [kind])
        #expect(found.first?.title.contains("12.0") == false)
    }

    @Test(arguments: [
        "[    1.2] amd_pstate: the _CPC object is not present in SBIOS or ACPI disabled",
        "[    1.2] x86/cpu: SGX disabled or unsupported by BIOS.", "[    0.1] Spectre V2 : Mitigation: Retpolines",
        "[    2.0] bpftest-init: module x does not load", "", "[    2.0] INFO: lockdep is turned off.",
        "[    2.0] traps: agent[61] general protection fault ip:0 sp:0 error:0",
        "[    2.0] agent[61]: segfault at 0 ip 0",
        "[    2.0] bpftest: case s/WARNING: at ", "[    2.0] INFO: rcu_tasks holds", "[    2.0] ==================",
        "[    2.0] ------------[ cut here ]------------",
    ])
    func leavesTheRestAlone(_ line: String) {
        #expect(complaints(line, "the next one").isEmpty)
    }

    @Test func aPanicBehindAnOopsIsTheSameTrouble() throws {
        var reader = read(try console("oops-6.12"))
        let found = reader.take()
        #expect(found.map(\.title) == ["bad page fault in bpf_cpumask_set_cpu"])
        #expect(found.first?.hasPanicked == true)
        #expect(found.first?.lines.last == "---[ end Kernel panic - not syncing: Fatal exception ]---")
        #expect(found.first?.lines.count == 42)
    }

    @Test func whatIsSaidAfterCutHereBelongsToIt() throws {
        var reader = read(try console("refcount-6.12") + ["[   17.0] behind it"])
        let found = reader.take()
        #expect(found.map(\.kind) == [.refcount])
        #expect(found.map(\.title) == ["refcount bug in bpf_prog_share_and_drop"])
        #expect(found.first?.lines.first == "------------[ cut here ]------------")
        #expect(found.first?.firstLine == "refcount_t: underflow; use-after-free.")
        #expect(found.first?.lines.last == "---[ end trace 0000000000000000 ]---")
        #expect(found.first?.during == "kptr.local/P-042")
    }

    @Test func twoTroublesAreTwoComplaints() throws {
        let one = try console("warning-6.12")
        var reader = read(one + one)
        #expect(reader.take().map(\.title) == ["WARNING in bpf_dynptr_read", "WARNING in bpf_dynptr_read"])
    }

    @Test func linesOfTwoProcessorsAreToldApart() throws {
        var reader = read(try console("two-processors"))
        let found = reader.take()
        #expect(
            found.map(\.title) == [
                "WARNING in bpf_task_release", "KASAN: slab-use-after-free Read in bpf_crypto_crypt",
            ])
        #expect(found.map(\.during) == ["kfuncs.task/K-001", "kfuncs.task/K-001"])
        #expect(found.first?.lines.contains { $0.contains("KASAN") || $0.contains("encrypt") } == false)
        #expect(found.last?.lines.last?.hasPrefix("=====") == true)
        #expect(found.last?.lines.contains { $0.contains("encrypt_in_tc") } == true)
    }

    @Test func aWarningWithinAPanicIsItsOwn() throws {
        var reader = read(try console("warning-in-panic"))
        let found = reader.take()
        #expect(found.map(\.title) == ["kernel panic: sysrq triggered crash", "WARNING in native_smp_send_reschedule"])
        #expect(found.last?.lines.count == 6)
        #expect(found.first?.lines.last?.hasPrefix("---[ end Kernel panic") == true)
        #expect(found.first?.lines.contains { $0.contains("try_to_wake_up") } == false)
    }

    /// The agent may have gone on to the next case before its output of the last one is read.
    @Test func aComplaintBelongsToTheCaseThatTheConsoleAnnounced() {
        var reader = read([
            "bpftest: case s/1", "[ 1.0] bpftest: case s/2", "WARNING: CPU: 0 PID: 1 at x", "Call Trace:",
        ])
        #expect(reader.take { $0 == "s/1" }.isEmpty)
        #expect(reader.take { $0 == "s/2" }.map(\.lines.count) == [2])
        #expect(reader.take().isEmpty)
    }

    @Test func aComplaintHasItsPlaceInAProgramsOutput() {
        var reader = read([
            "bpftest: output 10", "refcount_t: x", "---[ end trace 0 ]---", "[ 1.0] bpftest: output 20", "BUG: y",
        ])
        #expect(reader.take(beforeOutput: 10).isEmpty)
        #expect(reader.take(beforeOutput: 20).map(\.firstLine) == ["refcount_t: x"])
        #expect(reader.take(beforeOutput: 21).map(\.firstLine) == ["BUG: y"])
    }

    @Test func theSameDeviceThatIsWaitedForIsOneComplaint() {
        let line = "unregister_netdevice: waiting for veth0 to become free. Usage count = 2"
        let found = complaints(line, line, line)
        #expect(found.count == 1)
        #expect(found.first?.repeats == 2)
        #expect(found.first?.text.hasSuffix("and 2 more times") == true)
    }

    @Test func whatIsKeptIsBounded() {
        var reader = ConsoleReader()
        reader.read("BUG: x")
        for index in 0..<10_000 { reader.read("line \(index)") }
        for index in 0..<1000 { reader.read("[ 1.0][ T\(index)] WARNING: CPU: 0 PID: 1 at x") }
        let found = reader.take()
        #expect(found.count == 32)
        #expect(found.first?.lines.count == 300)
        #expect(found.first?.linesLeftOut == 10_001 - 300)
    }

    /// Whatever comes, nothing breaks: each prefix of each line, in any order.
    @Test func brokenLinesDoNoHarm() throws {
        for name in ["oops-6.12", "refcount-6.12", "two-processors", "warning-in-panic"] {
            var reader = ConsoleReader()
            for line in try console(name).reversed() {
                for length in 0...line.count { reader.read(String(line.prefix(length))) }
            }
            _ = reader.take().map { ($0.title, $0.text, ResolvedTrace($0, programs: reader.programs)) }
        }
    }
}
