// SPDX-License-Identifier: Apache-2.0

/// Somebody who wants to know what happens, as it happens. What it throws ends the run: results must not get lost.
public protocol ResultSink {
    /// - Parameter kernels: how many of the plan's kernels are reported here: all of them, unless it is a shard.
    mutating func runStarted(_ plan: RunPlan, kernels: Int) throws
    mutating func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) throws
    mutating func suiteStarted(_ name: String, cases: Int) throws
    mutating func caseFinished(_ result: CaseResult) throws
    mutating func suiteFinished(_ name: String, tally: Tally) throws
    mutating func kernelFinished(_ name: String, tally: Tally) throws
    mutating func comment(_ text: String) throws
    /// Nothing comes after it.
    mutating func bailedOut(_ reason: String) throws
    mutating func runFinished(tally: Tally) throws
}

/// Counts of outcomes, and the exit code that follows from them.
public struct Tally: Sendable, Equatable {
    public var passed = 0
    /// Failures that are known (`CaseResult.known`) are not among them.
    public var failed = 0
    public var skipped = 0
    /// Failures that are known: they do not fail the run.
    public var known = 0

    public init() {}

    public var total: Int { passed + failed + skipped + known }

    public mutating func count(_ result: CaseResult) {
        switch result.outcome {
        case .passed: passed += 1
        case .failed: if result.known == nil { failed += 1 } else { known += 1 }
        case .skipped: skipped += 1
        }
    }

    public mutating func add(_ other: Tally) {
        passed += other.passed
        failed += other.failed
        skipped += other.skipped
        known += other.known
    }

    /// 0 all passed, skips and known failures allowed; 1 a case failed; 2 nothing ran; 4 everything was skipped.
    public var exitCode: Int32 {
        if failed > 0 { return 1 }
        if total == 0 { return 2 }
        return passed + known == 0 ? 4 : 0
    }
}
