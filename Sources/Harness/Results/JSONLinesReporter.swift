// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import TAP

/// Results as JSON lines, one event a line; docs/results.md has the grammar.
public struct JSONLinesReporter: ResultSink {
    /// Grows when a reader of the older form would misread the newer one.
    public static let version = 1

    private struct Event: Encodable {
        var event: String
        var version: Int?
        var kernels: Int?
        var kernel: String?
        var suite: String?
        var cases: Int?
        var id: String?
        var title: String?
        var outcome: String?
        var blame: String?
        var reason: String?
        var duration_ms: Int64?
        var diagnostics: [[String]]?
        var comments: [String]?
        var text: String?
        var passed: Int?
        var failed: Int?
        var skipped: Int?
    }

    private let write: (String) throws -> Void
    private let encoder = JSONEncoder()
    private var kernel: String?
    private var suite: String?

    public init(write: @escaping (String) throws -> Void) {
        self.write = write
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    private func emit(_ event: Event) throws {
        try write(String(decoding: try encoder.encode(event), as: UTF8.self) + "\n")
    }

    public mutating func runStarted(kernels: Int) throws {
        try emit(Event(event: "run_started", version: Self.version, kernels: kernels))
    }

    public mutating func kernelStarted(_ name: String, suites: Int, comments: [String]) throws {
        kernel = name
        try emit(Event(event: "kernel_started", kernel: name, comments: comments))
    }

    public mutating func suiteStarted(_ name: String, cases: Int) throws {
        suite = name
        try emit(Event(event: "suite_started", kernel: kernel, suite: name, cases: cases))
    }

    public mutating func caseFinished(_ result: CaseResult) throws {
        var event = Event(event: "case_finished", kernel: result.kernel, suite: result.name.suite)
        event.id = result.name.id
        event.title = result.title
        event.duration_ms = result.duration.milliseconds
        switch result.outcome {
        case .passed: event.outcome = "passed"
        case .skipped(let reason):
            event.outcome = "skipped"
            event.reason = reason
        case .failed(let blame):
            event.outcome = "failed"
            event.blame = blame.rawValue
        }
        if !result.diagnostics.isEmpty { event.diagnostics = result.diagnostics.fields.map { [$0.key, $0.value] } }
        try emit(event)
    }

    public mutating func suiteFinished(_ name: String, tally: Tally) throws {
        suite = nil
        try emit(counted("suite_finished", kernel: kernel, suite: name, tally))
    }

    public mutating func kernelFinished(_ name: String, tally: Tally) throws {
        kernel = nil
        try emit(counted("kernel_finished", kernel: name, suite: nil, tally))
    }

    public mutating func comment(_ text: String) throws {
        try emit(Event(event: "comment", kernel: kernel, suite: suite, text: text))
    }

    public mutating func bailedOut(_ reason: String) throws {
        try emit(Event(event: "bailed_out", kernel: kernel, suite: suite, text: reason))
    }

    public mutating func runFinished(tally: Tally) throws {
        try emit(counted("run_finished", kernel: nil, suite: nil, tally))
    }

    private func counted(_ name: String, kernel: String?, suite: String?, _ tally: Tally) -> Event {
        Event(
            event: name, kernel: kernel, suite: suite, passed: tally.passed, failed: tally.failed,
            skipped: tally.skipped)
    }
}
