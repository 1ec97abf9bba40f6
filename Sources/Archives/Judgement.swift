// SPDX-License-Identifier: Apache-2.0
internal import Crashes

/// What the console of an archive's machine says about the failure. `repro.sh` comes to the same in shell.
public struct Judgement: Sendable, Equatable {
    public enum Answer: Int32, Sendable {
        case notAgain = 0
        case again = 1
        /// It could not be run, or not to its end.
        case unknown = 3
    }

    /// How the machine went.
    public enum End: Sendable, Equatable {
        /// QEMU ended as told by its guest.
        case ended
        case late
        /// QEMU failed.
        case broken(String)
    }

    public var answer: Answer
    /// One sentence.
    public var reason: String
    /// The kernel's complaint, where it is the reason.
    public private(set) var complaint: String?

    public init(_ answer: Answer, _ reason: String) {
        (self.answer, self.reason) = (answer, reason)
    }

    /// What init begins each of its own lines with, behind the kernel's time stamp.
    static let mark = "bpftest-job: "

    /// Parts of lines with which kernels complain, the same from 5.10 to 7.x; each is a pattern of grep -F.
    ///
    /// What Crashes takes for a complaint, without its grammar: a test compares them. Of kmemleak it is the object that
    /// counts, which the agent tells behind a case: what the kernel says of its own scans may be what its boot has left
    /// behind. "Killed process" is not among them: the kernel says it behind "invoked oom-killer".
    ///
    /// - Source: kernel/panic.c, lib/bug.c, mm/kasan, mm/kfence, mm/kmemleak.c, kernel/rcu, kernel/watchdog.c,
    ///   kernel/hung_task.c, kernel/locking/lockdep.c, lib/ubsan.c, lib/refcount.c, arch/x86/kernel/traps.c.
    public static let complaints = [
        "Kernel panic - not syncing", "WARNING: CPU:", "WARNING: at ", ", CPU#", "WARNING: possible ",
        "WARNING: suspicious RCU", "WARNING: inconsistent lock", "WARNING: bad unlock balance",
        "WARNING: bad contention", "WARNING: held lock freed", "WARNING: lock held when",
        "WARNING: Nested lock was not", "WARNING: chain_key", "-unsafe lock order detected", "still has locks held!",
        "INFO: trying to register",
        "BUG: ", "Oops:", "Oops - ", "general protection fault", "KASAN: ", "KFENCE: ", "KCSAN: ", "UBSAN: ",
        "kernel BUG at", "INFO: rcu_", "rcu: INFO: ", "INFO: task ", "refcount_t: ", "Unable to handle kernel",
        "Internal error: ", "unregister_netdevice: waiting for", "unreferenced object 0x", "stack segment: ",
        "double fault: ", "PANIC: double fault", "divide error: ", "invalid opcode: ", "int3: ",
        "detected hard LOCKUP", "invoked oom-killer: ",
    ]
    /// The WARNING beside each `refcount_t: ` line: it is that line that tells what it is.
    static let companion = "refcount_warn_saturate+"

    /// Judges.
    ///
    /// - Parameter console: all of it; carriage returns do not count.
    public static func judge(_ console: String, _ end: End, _ judge: Manifest.Judge) -> Judgement {
        let lines = Self.lines(console)
        if case .broken(let what) = end { return Judgement(.unknown, "QEMU failed: \(printable(what, limit: 300))") }
        guard let start = lines.firstIndex(where: { $0.hasPrefix("[") && $0.contains(mark + "start") }) else {
            guard judge.kind != .boot else { return Judgement(.again, "the kernel did not come as far as to the case") }
            return Judgement(.unknown, "the kernel did not come as far as to the case")
        }
        if judge.kind == .boot { return Judgement(.notAgain, "the kernel booted") }
        let rest = lines[start...]
        let allowlist = judge.allowlist
        if let found = rest.first(where: { isComplaint($0, allowlist) }) {
            let text = printable(ConsoleLine(found).text, limit: 300)
            var verdict = Judgement(.again, "the kernel complained: \(text)")
            verdict.complaint = text
            return verdict
        }
        let own = rest.filter { $0.hasPrefix("[") }.compactMap { line in
            line.firstRange(of: mark).map { String(line[$0.upperBound...]) }
        }
        let results = own.filter { $0.hasPrefix("result ") }.map { $0.dropFirst(7) }
        if let failed = results.first(where: { $0.hasPrefix("not ok") }) {
            return Judgement(.again, printable(String(failed), limit: 300))
        }
        if own.contains("timeout") || end == .late {
            guard judge.kind == .timeout else { return Judgement(.unknown, "it was not done in its time") }
            return Judgement(.again, "the case has no result in its time")
        }
        if judge.kind == .program { return program(own) }
        if let result = results.last {
            let isSkip = result.contains("# SKIP")
            let text = printable(String(result), limit: 300)
            return Judgement(isSkip && judge.kind == .absent ? .again : .notAgain, text)
        }
        let how = own.last { $0.hasPrefix("ended ") } ?? "the machine went down"
        return Judgement(.again, "the case has no result (\(printable(how, limit: 100)))")
    }

    private static func program(_ own: [String]) -> Judgement {
        guard let end = own.last(where: { $0.hasPrefix("ended ") }) else {
            return Judgement(.again, "the program did not end")
        }
        // 4 is how the kernel's selftests say that they skip.
        let isGood = end.hasSuffix(" status 0") || end.hasSuffix(" status 4")
        return Judgement(isGood ? .notAgain : .again, "the program \(end)")
    }

    /// The console's lines, without carriage returns: Swift takes one with its newline for a character of its own. And
    /// without NUL, as in the script: grep takes what has one for no text.
    public static func lines(_ console: String) -> [String] {
        console.unicodeScalars.split(separator: "\n").map { line in
            String(String.UnicodeScalarView(line.filter { $0 != "\r" && $0 != "\0" }))
        }
    }

    /// Characters of a line that are looked at; printk's have 1,024 bytes at most.
    static let lineLimit = 4096

    /// What a program prints is not the kernel's word: that has a time stamp.
    static func isComplaint(_ line: String, _ allowlist: SplatAllowlist) -> Bool {
        guard line.hasPrefix("["), !line.contains(mark), !line.contains(companion),
            complaints.contains(where: { line.contains($0) })
        else { return false }
        return allowlist.isEmpty || !allowlist.allows(line: String(ConsoleLine(line).text.prefix(lineLimit)))
    }
}

/// How far a machine has come, by its console so far.
public struct JobProgress: Sendable {
    public private(set) var hasStarted = false
    /// The kernel has complained since: whatever comes, the failure has happened.
    public private(set) var hasComplained = false
    public private(set) var hasEnded = false
    private let allowlist: SplatAllowlist
    private var partial: [UInt8] = []

    public init(_ judge: Manifest.Judge) {
        allowlist = judge.allowlist
    }

    public mutating func read(_ bytes: some Sequence<UInt8>) {
        for byte in bytes where byte != 0x0d && byte != 0 {
            if byte != 0x0a {
                if partial.count < Judgement.lineLimit { partial.append(byte) }
                continue
            }
            read(line: String(decoding: partial, as: UTF8.self))
            partial.removeAll(keepingCapacity: true)
        }
    }

    private mutating func read(line: String) {
        guard line.hasPrefix("[") else { return }
        if !hasStarted {
            hasStarted = line.contains(Judgement.mark + "start")
        } else if line.contains(Judgement.mark) {
            hasEnded = hasEnded || line.contains(Judgement.mark + "ended ")
        } else {
            hasComplained = hasComplained || Judgement.isComplaint(line, allowlist)
        }
    }
}
