// SPDX-License-Identifier: Apache-2.0

/// How far a complaint has come: whether the next line is part of it, and where it ends.
struct ReportProgress: Sendable {
    enum Step {
        case part
        /// Part of it, and the last.
        case end
        /// No part of it: it is over.
        case none
    }

    private let kind: Complaint.Kind
    private var lines = 0
    /// A call trace has begun.
    private var isInTrace = false
    /// A call trace is over.
    private var hasTrace = false
    /// It is over but for registers and a panic, which come behind it.
    private var isLingering = false

    init(_ kind: Complaint.Kind) {
        self.kind = kind
    }

    /// What a WARN within it is told apart from: complaints whose own end is known.
    var mayHoldAnother: Bool {
        switch kind {
        case .panic, .oops, .bug, .warning, .kasan, .kfence, .kmsan, .kcsan: !isLingering || kind == .panic
        default: false
        }
    }

    mutating func read(_ text: String) -> Step {
        lines += 1
        if text.hasPrefix("---[ end Kernel panic") { return .end }
        if text.hasPrefix("---[ end trace") { return endOfTrace() }
        if isLingering { return Self.isRegister(text) || text.hasPrefix("Kernel Offset:") ? .part : .none }
        switch kind {
        case .kasan, .kfence, .kmsan, .kcsan:
            // Between two lines of these; the first one is in front of what told what it is.
            if Self.isRule(text) { return lines > 1 ? .end : .part }
            return .part
        case .kmemleak:
            return text.hasPrefix(" ") || text.hasPrefix("\t") ? .part : .none
        case .oomKill:
            if text.hasPrefix("oom_reaper: ") { return .end }
            return .part
        case .panic, .oops, .warning, .refcount, .rcuStall, .hardLockup, .ubsan:
            if kind == .ubsan, Self.isRule(text) { return .end }
            return .part
        case .bug, .lockdep, .rcuUsage, .softLockup, .hungTask, .unregisterNetdevice:
            return untilTraceEnds(text)
        }
    }

    private mutating func endOfTrace() -> Step {
        switch kind {
        case .oops, .bug:
            isLingering = true
            return .part
        case .panic, .rcuStall, .softLockup, .hardLockup: return .part
        default: return .end
        }
    }

    /// Complaints without a mark at their end are over with their call trace.
    private mutating func untilTraceEnds(_ text: String) -> Step {
        let plain = text.drop { $0 == " " || $0 == "\t" }
        if plain.hasPrefix("Call Trace:") {
            isInTrace = true
            hasTrace = false
            return .part
        }
        if isInTrace {
            if plain.hasPrefix("</") {
                // There may be one for an interrupt and one for the task that it came into.
                hasTrace = true
                return .part
            }
            if plain.hasPrefix("<") || StackFrame(plain) != nil || StackFrame.bareAddress(plain) != nil
                || Self.isRegister(text)
            {
                hasTrace = false
                return .part
            }
            // An oops goes on: "Modules linked in", CR2.
            if kind == .bug, !hasTrace || plain.hasPrefix("Modules linked in:") || plain.hasPrefix("CR2:") {
                return .part
            }
            return .none
        }
        return .part
    }

    /// `=====…`, of KASAN and lockdep.
    static func isRule(_ text: String) -> Bool {
        text.utf8.count >= 20 && text.utf8.allSatisfy { $0 == UInt8(ascii: "=") }
    }

    private static let registers = [
        "RIP: ", "Code: ", "RSP: ", "RAX: ", "RDX: ", "RBP: ", "R10: ", "R13: ", "FS: ", "CS: ", "CR2: ", "DR0: ",
        "DR3: ",
        "PKRU: ", "EFLAGS: ", "ORIG_RAX: ", "Modules linked in:", "note: ",
    ]

    static func isRegister(_ text: String) -> Bool {
        let plain = text.drop { $0 == " " }
        return registers.contains { plain.hasPrefix($0) }
    }

    /// Whether a panic's reason is that something had been complained of before.
    static func isConsequence(_ panic: String) -> Bool {
        [
            "Fatal exception", "panic_on_warn set", "softlockup: hung tasks", "hung_task: blocked tasks", "Hard LOCKUP",
            "RCU Stall", "system warned too often", "kernel.warn_limit", "kfence.fault", "kasan.fault", "Oops",
            "panic_on_oops", "Out of memory", "out of memory", "System is deadlocked on memory",
        ]
        .contains { panic.contains($0) }
    }
}
