// SPDX-License-Identifier: Apache-2.0

/// Something that the kernel complained of on its console.
public struct Complaint: Sendable, Equatable {
    /// What kind of trouble it is; the text is what results call it.
    public enum Kind: String, Sendable, CaseIterable {
        case panic
        /// A fault of the kernel's own: a bad pointer, a trap.
        case oops
        /// `BUG()`, and complaints that begin with "BUG:" and are none of the others.
        case bug
        case warning
        case kasan
        case kmsan
        case kfence
        case ubsan
        case kcsan
        case lockdep
        case rcuUsage = "rcu usage"
        case rcuStall = "rcu stall"
        case softLockup = "soft lockup"
        case hardLockup = "hard lockup"
        case hungTask = "hung task"
        case refcount
        case kmemleak
        case oomKill = "oom kill"
        case unregisterNetdevice = "unregister_netdevice"
    }

    public var kind: Kind
    /// Its lines without time stamps, those in front of the first one that told what it is included.
    public var lines: [String]
    /// Which of the lines told what it is.
    public var headline: Int
    /// The case that the console had announced before it, as SUITE/CASE; nil where none had been.
    public var during: String?
    /// Bytes of a program's stdout that had been passed on before it; nil where the guest does not say.
    public var output: UInt64?
    /// The kernel went down with it.
    public var hasPanicked = false
    /// Lines that are not kept: the guest may write as many as it likes.
    public var linesLeftOut = 0
    /// More of the same that came while it was open.
    public var repeats = 0

    public init(kind: Kind, lines: [String], headline: Int = 0, during: String? = nil, output: UInt64? = nil) {
        self.kind = kind
        self.lines = lines
        self.headline = headline
        self.during = during
        self.output = output
    }

    /// The line that told what it is.
    public var firstLine: String { lines[headline] }

    /// All that is kept of it.
    public var text: String {
        var all = lines
        if linesLeftOut > 0 { all.append("… \(linesLeftOut) more lines") }
        if repeats > 0 { all.append("… and \(repeats) more times") }
        return all.joined(separator: "\n")
    }
}
