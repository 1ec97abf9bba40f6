// SPDX-License-Identifier: Apache-2.0

/// Finds the kernel's own complaints in its console.
struct SplatWatch {
    /// A complaint and what followed it.
    struct Splat: Sendable, Equatable {
        /// Its first line, without the time stamp.
        var title: String
        var lines: [String]
    }

    /// Phrases of kernel/panic.c, lib/bug.c, mm/kasan, kernel/rcu, kernel/watchdog.c, kernel/hung_task.c,
    /// kernel/locking/lockdep.c, lib/ubsan.c, lib/refcount.c: the same from 5.10 to 7.x.
    private static let phrases = [
        "Kernel panic - not syncing", "WARNING: CPU:", "WARNING: at ", "BUG: ", "Oops:", "Oops - ",
        "general protection fault", "KASAN: ", "KFENCE: ", "KCSAN: ", "UBSAN: ", "kernel BUG at",
        "INFO: rcu_", "rcu: INFO: ", "INFO: task ", "watchdog: BUG: soft lockup", "WARNING: possible ",
        "WARNING: suspicious RCU usage", "WARNING: inconsistent lock state", "refcount_t: ", "Unable to handle kernel",
        "unregister_netdevice: waiting for", "stack segment: ", "double fault: ", "divide error: ",
    ]

    private static let linesKept = 60

    private(set) var splats: [Splat] = []
    private var open = false

    mutating func read(_ line: String) {
        if Self.phrases.contains(where: { line.contains($0) }), !open || isNewComplaint(line) {
            splats.append(Splat(title: Self.withoutTime(line), lines: [line]))
            open = true
        } else if open {
            if splats[splats.count - 1].lines.count < Self.linesKept { splats[splats.count - 1].lines.append(line) }
            if line.contains("end trace") || line.contains("end Kernel panic") { open = false }
        }
    }

    /// A panic behind an oops is the same trouble; another warning is not.
    private func isNewComplaint(_ line: String) -> Bool {
        guard let last = splats.last, last.lines.count < Self.linesKept else { return true }
        return false
    }

    /// Hands out what has been found and starts anew.
    mutating func take() -> [Splat] {
        defer {
            splats = []
            open = false
        }
        return splats
    }

    /// Drops `[    1.234567] ` and `[  T123] ` from the start.
    private static func withoutTime(_ line: String) -> String {
        var rest = line[...]
        while rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
        }
        return String(rest)
    }
}
