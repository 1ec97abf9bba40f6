// SPDX-License-Identifier: Apache-2.0
public import Foundation
internal import SystemPackage
internal import TAP

extension RunResults {
    /// Reads what `--json` wrote, of this form or an older one.
    ///
    /// - Parameter unfinished: take what there is of a run that was killed; `bailedOut` then says so.
    /// - Throws: a `ResultsError` with the line that is damaged, foreign, from a newer bpftest or not there.
    public init(jsonLines data: Data, unfinished: Bool = false) throws(ResultsError) {
        var reader = ResultsReader()
        var start = data.startIndex
        while start < data.endIndex {
            let end = data[start...].firstIndex(of: 0x0a)
            try reader.read(data[start..<(end ?? data.endIndex)], isWhole: end != nil, unfinished: unfinished)
            start = end.map { data.index(after: $0) } ?? data.endIndex
        }
        self = try reader.finish(unfinished: unfinished)
    }

    /// Reads a file that `--json` wrote; `-` is standard input.
    ///
    /// - Throws: `.usage`, with the file's name: whoever named it can name another.
    public static func read(file path: String, unfinished: Bool = false) throws(HarnessError) -> RunResults {
        let data: Data
        do {
            data = path == "-" ? try Self.bytes(of: .standardInput) : try Self.bytes(of: FilePath(path))
        } catch {
            throw .usage("\(path == "-" ? "standard input" : path) cannot be read: \(error)")
        }
        do throws(ResultsError) {
            return try RunResults(jsonLines: data, unfinished: unfinished)
        } catch {
            throw .usage("\(path == "-" ? "standard input" : path): \(error)")
        }
    }

    private static func bytes(of path: FilePath) throws -> Data {
        let file = try FileDescriptor.open(path, .readOnly)
        return try file.closeAfter { try bytes(of: file) }
    }

    /// What Foundation would say of a failure names the file again and not the cause.
    private static func bytes(of file: FileDescriptor) throws -> Data {
        var data = Data()
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = try unsafe piece.withUnsafeMutableBytes { try unsafe file.read(into: $0) }
            if count == 0 { return data }
            data.append(contentsOf: piece[..<count])
        }
    }
}

/// Puts results together line by line, and knows what may come next.
private struct ResultsReader {
    private static let longestLine = 64 << 20
    private static let mostFields = 1000

    private var results = RunResults()
    private var line = 0
    private var hasBegun = false
    private var hasEnded = false
    private var kernelIsOpen = false
    private var suiteIsOpen = false
    private let decoder = JSONDecoder()

    mutating func read(_ bytes: Data, isWhole: Bool, unfinished: Bool) throws(ResultsError) {
        line += 1
        guard bytes.count <= Self.longestLine else {
            throw failure("it has \(bytes.count) bytes, and \(Self.longestLine) are the most that bpftest writes")
        }
        if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }) { return }
        if hasEnded { throw failure("something follows the end of the run: are these two runs in one file?") }
        let name: ResultEventName
        do {
            name = try decoder.decode(ResultEventName.self, from: bytes)
        } catch {
            if hasBegun, !isWhole {
                if unfinished { return }
                throw failure("it is cut off: the run did not end, or the file was not copied whole")
            }
            if !hasBegun { throw foreign() }
            throw failure("it is no JSON object: the file is damaged")
        }
        guard let word = name.event else { throw hasBegun ? failure("it has no \"event\"") : foreign() }
        if !hasBegun {
            guard word == "run_started", let version = name.version else { throw foreign() }
            guard version <= JSONLinesReporter.version else {
                throw failure(
                    "a newer bpftest wrote this: form \(version), and this one (\(bpftestVersion)) reads up to form "
                        + "\(JSONLinesReporter.version): use the newer one")
            }
        }
        // What a later bpftest adds without changing the form is for others.
        guard ResultEvent.Kind(rawValue: word) != nil else { return }
        let event: ResultEvent
        do {
            event = try decoder.decode(ResultEvent.self, from: bytes)
        } catch {
            throw failure("this is no \(word) that bpftest writes: \(Self.reason(error))")
        }
        try take(event)
    }

    mutating func finish(unfinished: Bool) throws(ResultsError) -> RunResults {
        guard line > 0, hasBegun else { throw ResultsError("it is empty: no run has written it") }
        guard hasEnded else {
            guard unfinished else {
                throw ResultsError(
                    "the run did not end: there is no run_finished after line \(line); --partial reports what is there")
            }
            results.bailedOut = "the run did not end: its results stop after line \(line)"
            return results
        }
        return results
    }

    // MARK: Events

    private mutating func take(_ event: ResultEvent) throws(ResultsError) {
        switch event.event {
        case .runStarted: try begin(event)
        case .kernelStarted:
            guard !kernelIsOpen else { throw failure("a kernel begins before the end of the one before it") }
            kernelIsOpen = true
            results.kernels.append(
                KernelResults(
                    KernelIdentity(
                        name: try value(event.kernel, "kernel"), spec: event.spec, version: event.kernel_version,
                        origin: event.origin), comments: event.comments ?? [], announced: event.suites ?? 0,
                    isFinished: false))
        case .suiteStarted:
            guard kernelIsOpen, !suiteIsOpen else { throw failure("a suite begins where none can") }
            try check(event.kernel, results.kernels[last].name, "kernel")
            suiteIsOpen = true
            let suite = SuiteResults(
                try value(event.suite, "suite"), announced: try count(event.cases, "cases"), isFinished: false)
            results.kernels[last].suites.append(suite)
        case .caseFinished: try add(event)
        case .suiteFinished:
            guard suiteIsOpen else { throw failure("a suite ends that has not begun") }
            try check(event.suite, results.kernels[last].suites[lastSuite].name, "suite")
            try check(event, results.kernels[last].suites[lastSuite].tally, "the suite")
            suiteIsOpen = false
            results.kernels[last].suites[lastSuite].isFinished = true
        case .kernelFinished:
            guard kernelIsOpen else { throw failure("a kernel ends that has not begun") }
            guard !suiteIsOpen else { throw failure("a kernel ends before its last suite") }
            try check(event.kernel, results.kernels[last].name, "kernel")
            try check(event, results.kernels[last].tally, "the kernel")
            kernelIsOpen = false
            results.kernels[last].isFinished = true
            // Form 1 does not say how many were coming.
            results.kernels[last].announced = max(results.kernels[last].announced, results.kernels[last].suites.count)
        case .comment: try comment(event)
        case .bailedOut:
            results.bailedOut = try value(event.text, "text")
            hasEnded = true
        case .runFinished:
            guard !kernelIsOpen else { throw failure("the run ends before its last kernel") }
            try check(event, results.tally, "the run")
            hasEnded = true
        }
    }

    private mutating func begin(_ event: ResultEvent) throws(ResultsError) {
        guard !hasBegun else { throw failure("a second run begins: are these two runs in one file?") }
        hasBegun = true
        results.announced = try count(event.kernels, "kernels")
        results.plan = (event.plan ?? []).map(\.kernel)
        if let part = event.shard {
            guard let shard = Shard(index: part.index, count: part.count) else {
                throw failure("there is no shard \(part.index) of \(part.count)")
            }
            results.shard = shard
        }
        if let text = event.started {
            do {
                results.started = try Date(text, strategy: .iso8601)
            } catch {
                throw failure("\"started\" is no date: \(text)")
            }
        }
    }

    private mutating func add(_ event: ResultEvent) throws(ResultsError) {
        guard suiteIsOpen else { throw failure("a case has a result outside of a suite") }
        let kernel = results.kernels[last].name
        try check(event.kernel, kernel, "kernel")
        try check(event.suite, results.kernels[last].suites[lastSuite].name, "suite")
        let name = CaseID(suite: results.kernels[last].suites[lastSuite].name, id: try value(event.id, "id"))
        let outcome: Outcome
        switch try value(event.outcome, "outcome") {
        case .passed: outcome = .passed
        case .skipped: outcome = .skipped(reason: event.reason ?? "")
        case .failed:
            let word = try value(event.blame, "blame")
            guard let blame = Outcome.Blame(rawValue: word) else { throw failure("nobody to blame is called \(word)") }
            outcome = .failed(blame)
        }
        var result = CaseResult(kernel: kernel, name: name, title: event.title ?? "", outcome: outcome)
        let milliseconds = event.duration_ms ?? 0
        // A hundred years: what is beyond it would overflow somewhere later.
        guard (0...3_200_000_000_000).contains(milliseconds) else {
            throw failure("no case takes \(milliseconds) ms")
        }
        result.duration = .milliseconds(milliseconds)
        result.known = event.known
        let pairs = event.diagnostics ?? []
        guard pairs.count <= Self.mostFields, pairs.allSatisfy({ $0.count == 2 }) else {
            throw failure("diagnostics are at most \(Self.mostFields) pairs of a key and a value")
        }
        result.diagnostics.fields = pairs.map { .init($0[0], $0[1]) }
        results.kernels[last].suites[lastSuite].results.append(result)
    }

    private mutating func comment(_ event: ResultEvent) throws(ResultsError) {
        let text = try value(event.text, "text")
        if kernelIsOpen {
            results.kernels[last].comments.append(text)
        } else if results.kernels.isEmpty, text.hasPrefix(RunResults.incompletePrefix) {
            results.incomplete.append(String(text.dropFirst(RunResults.incompletePrefix.count)))
        } else if results.kernels.isEmpty {
            results.comments.append(text)
        } else {
            results.closingComments.append(text)
        }
    }

    // MARK: Checks

    private var last: Int { results.kernels.count - 1 }
    private var lastSuite: Int { results.kernels[last].suites.count - 1 }

    private func failure(_ message: String) -> ResultsError { ResultsError(line: line, message) }

    private func foreign() -> ResultsError {
        failure("these are no results of bpftest: they begin with run_started; bpftest run --json FILE writes them")
    }

    private func value<Value>(_ value: Value?, _ name: String) throws(ResultsError) -> Value {
        guard let value else { throw failure("\"\(name)\" is missing") }
        return value
    }

    private func count(_ value: Int?, _ name: String) throws(ResultsError) -> Int {
        let value = try self.value(value, name)
        guard (0...100_000_000).contains(value) else { throw failure("\"\(name)\" is \(value)") }
        return value
    }

    private func check(_ value: String?, _ open: String, _ name: String) throws(ResultsError) {
        guard value == open else {
            throw failure("it is of \(name) \(value ?? "(none)"), and \(open) is what has begun")
        }
    }

    /// Lines that are gone show in the counts.
    private func check(_ event: ResultEvent, _ tally: Tally, _ what: String) throws(ResultsError) {
        let said = [event.passed, event.failed, event.skipped, event.known_failed ?? 0]
        let found = [tally.passed, tally.failed, tally.skipped, tally.known]
        guard said == found else {
            let words = { (counts: [Int?]) -> String in
                zip(["passed", "failed", "skipped", "known to fail"], counts).map { name, count in
                    "\(count.map(String.init) ?? "?") \(name)"
                }.joined(separator: ", ")
            }
            throw failure("\(what) had \(words(said)), but before this line are \(words(found)): the file is damaged")
        }
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
            .dataCorrupted(let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return (path.isEmpty ? "" : "\"\(path)\": ") + context.debugDescription
        @unknown default: return "\(error)"
        }
    }
}
