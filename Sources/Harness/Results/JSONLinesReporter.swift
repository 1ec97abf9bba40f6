// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import TAP

/// Results as JSON lines, one event a line; docs/results.md has the grammar.
public struct JSONLinesReporter: ResultSink {
    /// Grows when a reader of the older form would misread the newer one: form 1 knew no known failures.
    public static let version = 2

    private let write: (String) throws -> Void
    private let encoder = JSONEncoder()
    private var kernel: String?
    private var suite: String?

    public init(write: @escaping (String) throws -> Void) {
        self.write = write
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    private func emit(_ event: ResultEvent) throws {
        try write(String(decoding: try encoder.encode(event), as: UTF8.self) + "\n")
    }

    public mutating func runStarted(_ plan: RunPlan, kernels: Int) throws {
        var event = ResultEvent(event: .runStarted)
        event.version = Self.version
        event.kernels = kernels
        event.plan = plan.kernels.map { ResultEvent.Planned($0) }
        event.shard = plan.shard.map { ResultEvent.Part(index: $0.index, count: $0.count) }
        event.started = plan.started?.formatted(.iso8601)
        try emit(event)
    }

    public mutating func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) throws {
        self.kernel = kernel.name
        var event = ResultEvent(event: .kernelStarted, kernel: kernel.name)
        event.spec = kernel.spec
        event.kernel_version = kernel.version
        event.origin = kernel.origin
        event.suites = suites
        event.comments = comments
        try emit(event)
    }

    public mutating func suiteStarted(_ name: String, cases: Int) throws {
        suite = name
        var event = ResultEvent(event: .suiteStarted, kernel: kernel, suite: name)
        event.cases = cases
        try emit(event)
    }

    public mutating func caseFinished(_ result: CaseResult) throws {
        var event = ResultEvent(event: .caseFinished, kernel: result.kernel, suite: result.name.suite)
        event.id = result.name.id
        event.title = result.title
        event.duration_ms = result.duration.milliseconds
        event.known = result.known
        switch result.outcome {
        case .passed: event.outcome = .passed
        case .skipped(let reason):
            event.outcome = .skipped
            event.reason = reason
        case .failed(let blame):
            event.outcome = .failed
            event.blame = blame.rawValue
        }
        if !result.diagnostics.isEmpty { event.diagnostics = result.diagnostics.fields.map { [$0.key, $0.value] } }
        try emit(event)
    }

    public mutating func suiteFinished(_ name: String, tally: Tally) throws {
        suite = nil
        try emit(counted(.suiteFinished, kernel: kernel, suite: name, tally))
    }

    public mutating func kernelFinished(_ name: String, tally: Tally) throws {
        kernel = nil
        try emit(counted(.kernelFinished, kernel: name, suite: nil, tally))
    }

    public mutating func comment(_ text: String) throws {
        var event = ResultEvent(event: .comment, kernel: kernel, suite: suite)
        event.text = text
        try emit(event)
    }

    public mutating func bailedOut(_ reason: String) throws {
        var event = ResultEvent(event: .bailedOut, kernel: kernel, suite: suite)
        event.text = reason
        try emit(event)
    }

    public mutating func runFinished(tally: Tally) throws {
        try emit(counted(.runFinished, kernel: nil, suite: nil, tally))
    }

    private func counted(_ name: ResultEvent.Kind, kernel: String?, suite: String?, _ tally: Tally) -> ResultEvent {
        var event = ResultEvent(event: name, kernel: kernel, suite: suite)
        event.passed = tally.passed
        event.failed = tally.failed
        event.skipped = tally.skipped
        event.known_failed = tally.known
        return event
    }
}
