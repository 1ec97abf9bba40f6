// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// Complaints that may come: a file of extended regular expressions, one a line, with `#` comments, as the kernel's BPF CI
/// has it (SPLAT_ALLOWLIST).
///
/// A pattern is looked for in the line that told what a complaint is, and in its title.
public struct SplatAllowlist: Sendable {
    /// A line of the file that cannot be used.
    public struct Mistake: Error, Equatable, CustomStringConvertible {
        public var line: Int
        public var reason: String

        public var description: String { "line \(line): \(reason)" }
    }

    private struct Entry: Sendable {
        var pattern: String
        var expression: Expression
    }

    private var entries: [Entry] = []

    public var isEmpty: Bool { entries.isEmpty }

    /// Its expressions, in their order.
    public var patterns: [String] { entries.map(\.pattern) }

    public init() {}

    /// - Throws: the first line that is no expression.
    public init(_ text: String) throws(Mistake) {
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let pattern = line.hasSuffix("\r") ? String(line.dropLast()) : String(line)
            let start = pattern.first { $0 != " " && $0 != "\t" }
            // What grep would read as an expression that every line has.
            guard let start, start != "#" else { continue }
            let expression: Expression
            do {
                expression = try Expression(pattern)
            } catch {
                throw Mistake(line: index + 1, reason: "'\(pattern)' is no extended regular expression: \(error.text)")
            }
            guard !expression.matches("") else {
                throw Mistake(
                    line: index + 1, reason: "'\(pattern)' allows everything: it is found in an empty line too")
            }
            entries.append(Entry(pattern: pattern, expression: expression))
        }
    }

    /// Adds the patterns of another file.
    public mutating func add(_ others: SplatAllowlist) { entries += others.entries }

    /// The first pattern that lets a complaint pass.
    public func pattern(for complaint: Complaint) -> String? {
        if entries.isEmpty { return nil }
        let title = complaint.title
        return entries.first { $0.expression.matches(complaint.firstLine) || $0.expression.matches(title) }?.pattern
    }

    /// Whether a line may come, by itself: the title of the complaint that it begins is not known.
    public func allows(line: String) -> Bool { entries.contains { $0.expression.matches(line) } }

    /// A compiled POSIX expression.
    @safe private final class Expression: @unchecked Sendable {
        // SAFETY: written by init and deinit alone; regexec(3) may be called by any thread.
        private var compiled = unsafe regex_t()

        struct Problem: Error { let text: String }

        init(_ pattern: String) throws(Problem) {
            let result = unsafe regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB)
            guard result == 0 else {
                var text = [CChar](repeating: 0, count: 200)
                _ = unsafe regerror(result, &compiled, &text, text.count)
                throw Problem(
                    text: String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
            }
        }

        deinit { unsafe regfree(&compiled) }

        func matches(_ text: String) -> Bool { unsafe regexec(&compiled, text, 0, nil, 0) == 0 }
    }
}
