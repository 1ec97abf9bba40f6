// SPDX-License-Identifier: Apache-2.0

/// The beginnings of lines by which a complaint is known.
///
/// - Source: kernel/panic.c, lib/bug.c, arch/x86/kernel/{traps,dumpstack}.c, arch/x86/mm/fault.c, mm/kasan/report.c,
///   mm/kfence/report.c, mm/kmsan/report.c, kernel/kcsan/report.c, lib/ubsan.c, lib/refcount.c, mm/kmemleak.c,
///   mm/oom_kill.c, kernel/{watchdog,hung_task}.c, kernel/rcu/tree_stall.h, kernel/locking/lockdep.c, net/core/dev.c;
///   from 5.10 to 7.3.
enum Trigger {
    static let beginnings: [(text: String, kind: Complaint.Kind)] = [
        ("Kernel panic - not syncing", .panic),
        ("BUG: KASAN: ", .kasan),
        ("BUG: KFENCE: ", .kfence),
        ("BUG: KMSAN: ", .kmsan),
        ("BUG: KCSAN: ", .kcsan),
        ("UBSAN: ", .ubsan),
        ("BUG: soft lockup", .softLockup),
        ("Watchdog detected hard LOCKUP", .hardLockup),
        ("BUG: kernel NULL pointer dereference", .oops),
        ("BUG: unable to handle ", .oops),
        ("BUG: stack guard page was hit", .oops),
        ("Unable to handle kernel ", .oops),
        ("general protection fault", .oops),
        ("divide error: ", .oops),
        ("stack segment: ", .oops),
        ("double fault: ", .oops),
        ("PANIC: double fault", .oops),
        ("invalid opcode: ", .oops),
        ("int3: ", .oops),
        ("Internal error: ", .oops),
        ("Oops: ", .oops),
        ("Oops - ", .oops),
        ("kernel BUG at ", .bug),
        ("BUG: Invalid wait context", .lockdep),
        ("[ BUG: Invalid wait context ]", .lockdep),
        ("BUG: ", .bug),
        ("WARNING: possible ", .lockdep),
        ("WARNING: inconsistent lock state", .lockdep),
        ("WARNING: bad unlock balance detected!", .lockdep),
        ("WARNING: bad contention detected!", .lockdep),
        ("WARNING: held lock freed!", .lockdep),
        ("WARNING: lock held when returning to user space!", .lockdep),
        ("WARNING: Nested lock was not taken", .lockdep),
        ("WARNING: chain_key collision", .lockdep),
        ("INFO: trying to register non-static key.", .lockdep),
        ("WARNING: suspicious RCU usage", .rcuUsage),
        ("WARNING: CPU: ", .warning),
        ("WARNING: at ", .warning),
        ("refcount_t: ", .refcount),
        ("unregister_netdevice: waiting for ", .unregisterNetdevice),
        ("unreferenced object 0x", .kmemleak),
        ("Out of memory: Killed process ", .oomKill),
        ("Memory cgroup out of memory: Killed process ", .oomKill),
    ]

    /// What stands in front of messages of some files (`pr_fmt`); an oops may say that it is one before it says which.
    private static let prefixes = ["watchdog: ", "NMI watchdog: ", "rcu: ", "traps: "]

    /// What a line begins, if anything.
    static func kind(of text: String) -> Complaint.Kind? {
        var rest = text[...]
        for prefix in prefixes where rest.hasPrefix(prefix) { rest = rest.dropFirst(prefix.count) }
        // Most lines of a console are none: what they would have to begin with is looked at first.
        guard let first = rest.utf8.first, first < 0x80 else { return nil }
        if let found = beginnings.first(where: { $0.text.utf8.first == first && rest.hasPrefix($0.text) }) {
            return found.kind
        }
        if rest.hasPrefix("INFO: "), let kind = ofInfo(rest.dropFirst(6)) { return kind }
        if rest.hasPrefix("WARNING: "), let kind = ofWarning(rest.dropFirst(9)) { return kind }
        if rest.hasPrefix("CPU"), rest.contains("Watchdog detected hard LOCKUP") { return .hardLockup }
        if rest.contains(" invoked oom-killer: ") { return .oomKill }
        return nil
    }

    private static func ofInfo(_ rest: Substring) -> Complaint.Kind? {
        if rest.hasPrefix("rcu"), rest.contains("detected"), rest.contains("stall") { return .rcuStall }
        if rest.hasPrefix("task "), rest.contains(" blocked ") { return .hungTask }
        return nil
    }

    private static func ofWarning(_ rest: Substring) -> Complaint.Kind? {
        // `WARNING: kernel/bpf/verifier.c:2100 at function+0x1/0x2, CPU#0: comm/61`: since 28ea295f941e (6.19).
        if rest.contains(" at "), rest.contains(", CPU#") { return .warning }
        if rest.contains("-safe -> "), rest.contains("-unsafe lock order detected") { return .lockdep }
        if rest.hasSuffix("still has locks held!") { return .lockdep }
        return nil
    }

    /// Without `Oops: ` in front of what else a line says (6.11 puts it there, also twice).
    static func withoutOops(_ text: Substring) -> Substring {
        var rest = text
        while rest.hasPrefix("Oops: "), Trigger.kind(of: String(rest.dropFirst(6))) != nil { rest = rest.dropFirst(6) }
        return rest
    }
}
