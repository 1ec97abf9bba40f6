// SPDX-License-Identifier: Apache-2.0
public import TAP

/// Results as TAP 14 or KTAP: kernel, suite, case, each a subtest of the one before.
public struct TAPReporter: ResultSink {
    private var writer: TAPWriter

    public init(dialect: TAPDialect, write: @escaping (String) throws -> Void) {
        writer = TAPWriter(dialect: dialect, write: write)
    }

    public mutating func runStarted(kernels: Int) throws {
        try writer.begin(planned: kernels)
    }

    public mutating func kernelStarted(_ name: String, suites: Int, comments: [String]) throws {
        try writer.beginSubtest(name, planned: suites)
        for comment in comments { try writer.comment(comment) }
    }

    public mutating func suiteStarted(_ name: String, cases: Int) throws {
        try writer.beginSubtest(name, planned: cases)
    }

    public mutating func caseFinished(_ result: CaseResult) throws {
        let name = "\(result.name.id) \(result.title)"
        switch result.outcome {
        case .passed: try writer.point(ok: true, name)
        case .skipped(let reason): try writer.point(ok: true, name, directive: .skip(reason: reason))
        case .failed(let blame):
            var diagnostics = result.diagnostics
            if blame != .test { diagnostics.fields.insert(Diagnostics.Field("blame", blame.rawValue), at: 0) }
            diagnostics["duration"] = "\(result.duration.milliseconds) ms"
            try writer.point(ok: false, name, diagnostics: diagnostics)
        }
    }

    public mutating func suiteFinished(_ name: String, tally: Tally) throws {
        try writer.endSubtest(name, ok: tally.failed == 0, directive: skip(tally))
    }

    public mutating func kernelFinished(_ name: String, tally: Tally) throws {
        try writer.endSubtest(name, ok: tally.failed == 0, directive: skip(tally))
    }

    private func skip(_ tally: Tally) -> TestPoint.Directive? {
        tally.failed == 0 && tally.passed == 0 ? .skip(reason: "every case was skipped") : nil
    }

    public mutating func comment(_ text: String) throws {
        try writer.comment(text)
    }

    public mutating func bailedOut(_ reason: String) throws {
        try writer.bailOut(reason)
    }

    public mutating func runFinished(tally: Tally) throws {
        try writer.comment("\(tally.passed) passed, \(tally.failed) failed, \(tally.skipped) skipped")
    }
}

extension Duration {
    /// Whole milliseconds.
    public var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
