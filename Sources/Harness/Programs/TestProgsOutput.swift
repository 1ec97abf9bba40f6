// SPDX-License-Identifier: Apache-2.0
internal import TAP

/// Reads what test_progs prints about one test: a line for each subtest and one for the test, logs of failures in front.
///
///     #7/2     atomics/sub:OK
///     #7       atomics:OK
///
/// A line counts only where it names the test that was asked for: logs may hold anything.
/// - Source: tools/testing/selftests/bpf/test_progs.c, print_test_result() and print_subtest_name(); up to 5.17 subtests
///   have no test in front of their names.
struct TestProgsOutput {
    private static let lineLimit = 16_384
    private static let logLimit = 32_768
    static let pointLimit = 20_000

    private let test: String
    private var line: [UInt8] = []
    private var log = ""
    private var logIsCut = false
    private var points: [ProgramPoint] = []
    /// The test's own line, when it came.
    private var own: ProgramPoint?
    /// Everything is said once more at the end.
    private var isRepeating = false

    init(test: String) {
        self.test = test
    }

    /// Results so far.
    var count: Int { points.count + (own == nil ? 0 : 1) }

    mutating func append(_ bytes: ArraySlice<UInt8>, found: (inout ProgramPoint) -> Void) {
        for byte in bytes {
            if byte == 0x0a {
                read(String(decoding: line, as: UTF8.self), found)
                line.removeAll(keepingCapacity: true)
            } else if line.count < Self.lineLimit {
                line.append(byte)
            }
        }
    }

    /// - Returns: the subtests, and the test itself where it has none or where they do not explain its failure; nothing
    ///   if the test's own line did not come.
    mutating func finish() -> [ProgramPoint] {
        guard let own else { return points }
        if points.isEmpty { return [own] }
        if own.outcome == .passed {
            // A test of test_progs itself has subtests that are to fail.
            for index in points.indices where points[index].outcome == .failed(.test) {
                points[index].outcome = .passed
            }
            return points
        }
        let isExplained = points.contains(where: \.outcome.isFailure)
        guard own.outcome.isFailure, !isExplained || own.diagnostics["splat"] != nil else { return points }
        var last = own
        while points.contains(where: { $0.id == last.id }) { last.id += "~" }
        return points + [last]
    }

    // MARK: Lines

    private mutating func read(_ text: String, _ found: (inout ProgramPoint) -> Void) {
        if text == "All error logs:" { isRepeating = true }
        if isRepeating { return }
        guard let result = Self.result(text), let subject = subject(of: result) else {
            if log.utf8.count + text.utf8.count < Self.logLimit {
                log += text + "\n"
            } else if !logIsCut {
                logIsCut = true
                log += "… (cut)\n"
            }
            return
        }
        let id = if case .subtest(let name) = subject { name } else { test }
        var point = ProgramPoint(id: id, title: "", outcome: result.outcome)
        if result.outcome.isFailure {
            point.diagnostics["message"] = Self.message(log) ?? "test_progs reports a failure"
            if !log.isEmpty { point.diagnostics["log"] = log }
        }
        log = ""
        logIsCut = false
        found(&point)
        if case .test = subject {
            own = point
        } else if points.count < Self.pointLimit {
            // Subtests of one name are told apart by their order.
            let same = points.count { $0.id == point.id || $0.id.hasPrefix(point.id + "~") }
            if same > 0 { point.id += "~\(same + 1)" }
            points.append(point)
        }
    }

    private struct Result {
        var isSubtest: Bool
        var name: String
        var outcome: Outcome
    }

    private enum Subject {
        case test
        case subtest(String)
    }

    /// - Returns: nil where the line is about another test.
    private func subject(of result: Result) -> Subject? {
        if !result.isSubtest { return result.name == test ? .test : nil }
        var name = result.name[...]
        if name.hasPrefix(test + "/") { name = name.dropFirst(test.count + 1) }
        let harmless = name.map { $0.isWhitespace || $0 == "#" ? "_" : $0 }
        return harmless.isEmpty ? nil : .subtest(String(harmless))
    }

    /// Takes `#N name:RESULT` or `#N/M name:RESULT` apart.
    private static func result(_ text: String) -> Result? {
        guard text.first == "#" else { return nil }
        let number = text.dropFirst().prefix { $0.isASCII && ($0.isNumber || $0 == "/") }
        guard let first = number.first, first != "/" else { return nil }
        let rest = text.dropFirst(1 + number.count)
        guard rest.first == " " else { return nil }
        let named = rest.drop { $0 == " " }
        // `OK (SKIP: 2/5)`: some subtests were skipped.
        if let some = named.firstRange(of: ":OK (SKIP: ") {
            return Result(isSubtest: number.contains("/"), name: String(named[..<some.lowerBound]), outcome: .passed)
        }
        guard let colon = named.lastIndex(of: ":") else { return nil }
        let outcome: Outcome
        switch named[named.index(after: colon)...] {
        case "OK": outcome = .passed
        case "FAIL": outcome = .failed(.test)
        case "SKIP": outcome = .skipped(reason: "test_progs skips it")
        default: return nil
        }
        return Result(isSubtest: number.contains("/"), name: String(named[..<colon]), outcome: outcome)
    }

    /// The first assertion that failed: `function:FAIL:what unexpected …`.
    private static func message(_ log: String) -> String? {
        log.split(whereSeparator: \.isNewline).first { $0.contains(":FAIL:") }.map { String($0.prefix(400)) }
    }
}
