// SPDX-License-Identifier: Apache-2.0
public import TAP

/// Results as TAP 14 or KTAP: kernel, suite, case, each a subtest of the one before.
public struct TAPReporter: ResultSink {
    private var writer: TAPWriter
    /// Cases and suites that are still to come: a suite that ends without some of its cases is not ok.
    private var dueCases = 0
    private var dueSuites = 0
    private var isCut = false

    public init(dialect: TAPDialect, write: @escaping (String) throws -> Void) {
        writer = TAPWriter(dialect: dialect, write: write)
    }

    public mutating func runStarted(_ plan: RunPlan, kernels: Int) throws {
        try writer.begin(planned: kernels)
    }

    public mutating func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) throws {
        dueSuites = suites
        isCut = false
        try writer.beginSubtest(kernel.name, planned: suites)
        for comment in comments { try writer.comment(comment) }
    }

    public mutating func suiteStarted(_ name: String, cases: Int) throws {
        dueSuites -= 1
        dueCases = cases
        try writer.beginSubtest(name, planned: cases)
    }

    public mutating func caseFinished(_ result: CaseResult) throws {
        dueCases -= 1
        let name = result.title.isEmpty ? result.name.id : "\(result.name.id) \(result.title)"
        switch result.outcome {
        case .passed:
            try writer.point(
                ok: true, name, diagnostics: result.known == nil ? Diagnostics() : result.shownDiagnostics)
        case .skipped(let reason): try writer.point(ok: true, name, directive: .skip(reason: reason))
        case .failed(let blame):
            var diagnostics = result.diagnostics
            if blame != .test { diagnostics.fields.insert(Diagnostics.Field("blame", blame.rawValue), at: 0) }
            diagnostics["duration"] = "\(result.duration.milliseconds) ms"
            try writer.point(
                ok: false, name, directive: result.known.map { .todo(reason: $0) }, diagnostics: diagnostics)
        }
    }

    public mutating func suiteFinished(_ name: String, tally: Tally) throws {
        if dueCases > 0 { isCut = true }
        try end(name, tally, isWhole: dueCases <= 0)
    }

    public mutating func kernelFinished(_ name: String, tally: Tally) throws {
        try end(name, tally, isWhole: dueSuites <= 0 && !isCut)
    }

    private mutating func end(_ name: String, _ tally: Tally, isWhole: Bool) throws {
        let isSkipped = isWhole && tally.failed + tally.passed + tally.known == 0
        try writer.endSubtest(
            name, ok: tally.failed == 0 && isWhole,
            directive: isSkipped ? .skip(reason: "every case was skipped") : nil)
    }

    public mutating func comment(_ text: String) throws {
        try writer.comment(text)
    }

    public mutating func bailedOut(_ reason: String) throws {
        try writer.bailOut(reason)
    }

    public mutating func runFinished(tally: Tally) throws {
        let known = tally.known > 0 ? ", \(tally.known) known to fail" : ""
        try writer.comment("\(tally.passed) passed, \(tally.failed) failed, \(tally.skipped) skipped\(known)")
    }
}

extension Duration {
    /// Whole milliseconds.
    public var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
