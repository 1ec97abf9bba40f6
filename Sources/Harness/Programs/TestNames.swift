// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// Names of tests as test_progs takes them: `test`, `test/subtest`, with `*` for anything.
///
/// - Source: tools/testing/selftests/bpf/test_progs.c, should_run() and should_run_subtest(); testing_helpers.c,
///   parse_test_list() and parse_test_list_file().
public struct TestNames: Sendable, Equatable {
    struct Name: Sendable, Equatable {
        var test: String
        /// nil: all of the test.
        var subtest: String?

        /// As it is written.
        var text: String { subtest.map { "\(test)/\($0)" } ?? test }
    }

    private(set) var names: [Name] = []

    public init() {}

    public var isEmpty: Bool { names.isEmpty }

    /// Adds what stands behind `-a`, `-d` or `-t`: names with commas between them, or `@FILE`.
    ///
    /// - Parameter anywhere: a name without `*` may stand anywhere in a test's, as `-t` has it.
    public mutating func add(_ text: String, anywhere: Bool = false) throws(HarnessError) {
        if text.hasPrefix("@") {
            let path = String(text.dropFirst())
            guard let content = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw .usage("the list \(path) cannot be read")
            }
            add(list: content, anywhere: anywhere)
        } else {
            for part in text.split(separator: ",") { add(name: part, anywhere: anywhere) }
        }
    }

    /// Adds the lines of a DENYLIST or ALLOWLIST: a name each, `#` begins a comment.
    public mutating func add(list: String, anywhere: Bool = false) {
        for line in list.split(whereSeparator: \.isNewline) {
            add(name: line.prefix { $0 != "#" }, anywhere: anywhere)
        }
    }

    private mutating func add(name: Substring, anywhere: Bool) {
        let text = name.trimmingCharacters(in: .whitespaces)
        guard !text.isEmpty else { return }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map { part in
            anywhere && !part.contains("*") ? "*\(part)*" : String(part)
        }
        let new = Name(test: parts[0], subtest: parts.count > 1 ? parts[1] : nil)
        if !names.contains(new) { names.append(new) }
    }

    /// Whether all of a test is named.
    func hasAll(of test: String) -> Bool {
        names.contains { $0.subtest == nil && Self.matches($0.test, test) }
    }

    /// Whether a test is named, or some of its subtests.
    func hasSome(of test: String) -> Bool {
        names.contains { Self.matches($0.test, test) }
    }

    /// The patterns of subtests that are named of a test.
    func subtests(of test: String) -> [String] {
        names.filter { Self.matches($0.test, test) }.compactMap(\.subtest)
    }

    /// Whether a case is named, or all of its suite.
    func has(suite: String, case id: String) -> Bool {
        names.contains { name in
            Self.matches(name.test, suite) && name.subtest.map { Self.matches($0, id) } ?? true
        }
    }

    /// `*` stands for anything, and nothing else does.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let (pattern, text) = (Array(pattern.utf8), Array(text.utf8))
        let star = UInt8(ascii: "*")
        var (p, t, lastStar, mark) = (0, 0, -1, 0)
        while t < text.count {
            if p < pattern.count, pattern[p] == star {
                (lastStar, mark) = (p, t)
                p += 1
            } else if p < pattern.count, pattern[p] == text[t] {
                p += 1
                t += 1
            } else if lastStar >= 0 {
                mark += 1
                (p, t) = (lastStar + 1, mark)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == star }
    }
}

/// Which tests are wanted and which are not.
public struct TestChoice: Sendable, Equatable {
    /// Empty: all are.
    public var wanted = TestNames()
    public var unwanted = TestNames()

    public init() {}

    /// The command line's options for one test.
    ///
    /// - Returns: nil where the test is not to be run.
    func options(for test: String) -> [String]? {
        guard !unwanted.hasAll(of: test) else { return nil }
        var options: [String] = []
        if wanted.isEmpty || wanted.hasAll(of: test) {
            options = ["-a", test]
        } else if wanted.hasSome(of: test) {
            options = wanted.subtests(of: test).flatMap { ["-a", "\(test)/\($0)"] }
        } else {
            return nil
        }
        return options + unwanted.subtests(of: test).flatMap { ["-d", "\(test)/\($0)"] }
    }
}

extension TestChoice {
    /// Leaves out the cases of suites that are not wanted: names are SUITE and SUITE/CASE.
    public func narrowed(_ selections: [Selection]) throws(HarnessError) -> [Selection] {
        if wanted.isEmpty, unwanted.isEmpty { return selections }
        let left = selections.compactMap { selection -> Selection? in
            var selection = selection
            let suite = selection.suite.suite
            selection.cases = selection.cases.filter { one in
                (wanted.isEmpty || wanted.has(suite: suite, case: one.id)) && !unwanted.has(suite: suite, case: one.id)
            }
            return selection.cases.isEmpty ? nil : selection
        }
        guard !left.isEmpty else { throw .usage("no case is left by -a and -d") }
        return left
    }
}
