// SPDX-License-Identifier: Apache-2.0
internal import Crashes

/// What tells one failure from another: a case that misses a file fails too, but for another reason.
public struct FailureSignature: Sendable, Equatable {
    private var kind: String
    private var lines: Set<String>

    /// - Parameters:
    ///   - console: of a machine in which it failed.
    ///   - verdict: what `Judgement.judge` said about it, by `judge`.
    public init(_ console: String, _ verdict: Judgement, _ judge: Manifest.Judge) {
        let allowlist = judge.allowlist
        let all = Judgement.lines(console)
        let start = all.firstIndex { $0.hasPrefix("[") && $0.contains(Judgement.mark + "start") } ?? all.endIndex
        let rest = all[start...]
        if let complaint = rest.first(where: { Judgement.isComplaint($0, allowlist) }) {
            kind = "complaint " + Self.withoutNumbers(ConsoleLine(complaint).text)
            lines = []
            return
        }
        // The block in front of the last result, which is that of the case.
        var blocks: [Set<String>] = [[]]
        for line in rest where line.hasPrefix("# ") {
            if line == "# ---" { blocks.append([]) }
            if Self.telling.contains(where: { line.hasPrefix("# \($0): ") }) { blocks[blocks.count - 1].insert(line) }
        }
        lines = blocks.last ?? []
        kind = Self.kind(verdict.reason)
    }

    /// Keys of diagnostics that say why.
    private static let telling = ["message", "expected", "observed", "at", "absent"]

    /// A result's line has its text; that is in the diagnostics, too, where there are any.
    private static func kind(_ reason: String) -> String {
        reason.hasPrefix("not ok") ? "not ok" : withoutNumbers(reason)
    }

    /// Words with digits in them are counts, addresses, process ids; a status is kept.
    private static func withoutNumbers(_ text: String) -> String {
        var isStatus = false
        return text.split(separator: " ").map { word -> String in
            defer { isStatus = word == "status" || word == "signal" }
            return !isStatus && word.contains(where: \.isNumber) && !word.contains("+") ? "N" : String(word)
        }.joined(separator: " ")
    }

    /// What both have: of one failure seen twice, what does not change.
    public func common(_ other: FailureSignature) -> FailureSignature? {
        guard kind == other.kind else { return nil }
        var common = self
        common.lines.formIntersection(other.lines)
        return common
    }

    /// Whether a failure is this one: it has all of what does not change.
    public func matches(_ other: FailureSignature) -> Bool {
        kind == other.kind && lines.isSubset(of: other.lines)
    }
}
