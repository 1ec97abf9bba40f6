// SPDX-License-Identifier: Apache-2.0

/// Finds the kernel's own complaints in its console, and the cases during which they came.
///
/// An agent announces each case on the console too (docs/agent-output.md): it may be some cases ahead of what has been
/// read of its output, and only the console's own order tells which case a complaint belongs to.
struct SplatWatch {
    /// A complaint and what followed it.
    struct Splat: Sendable, Equatable {
        /// Its first line, without the time stamp.
        var title: String
        /// The case that the console had announced before it, as SUITE/CASE; nil where none had been.
        var during: String?
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

    private static let announcement = "bpftest: case "
    private static let linesKept = 60

    private(set) var splats: [Splat] = []
    private var open = false
    /// The case that the console announced last, as SUITE/CASE.
    private(set) var announced: String?

    mutating func read(_ line: String) {
        if let range = line.firstRange(of: Self.announcement) {
            announced = String(line[range.upperBound...])
            open = false
        } else if Self.phrases.contains(where: { line.contains($0) }), !open || isNewComplaint(line) {
            splats.append(Splat(title: Self.withoutTime(line), during: announced, lines: [line]))
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

    /// Hands out the complaints that belong to a case.
    ///
    /// - Parameter belongs: whether a complaint that came during the given case is wanted.
    mutating func take(_ belongs: (String?) -> Bool = { _ in true }) -> [Splat] {
        let taken = splats.filter { belongs($0.during) }
        splats.removeAll { belongs($0.during) }
        if splats.isEmpty { open = false }
        return taken
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
