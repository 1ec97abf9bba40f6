// SPDX-License-Identifier: Apache-2.0

/// Somebody who wants to know what happens, as it happens. What it throws ends the run: results must not get lost.
public protocol ResultSink {
    mutating func runStarted(kernels: Int) throws
    mutating func kernelStarted(_ name: String, suites: Int, comments: [String]) throws
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
    public var failed = 0
    public var skipped = 0

    public init() {}

    public var total: Int { passed + failed + skipped }

    public mutating func count(_ outcome: Outcome) {
        switch outcome {
        case .passed: passed += 1
        case .failed: failed += 1
        case .skipped: skipped += 1
        }
    }

    public mutating func add(_ other: Tally) {
        passed += other.passed
        failed += other.failed
        skipped += other.skipped
    }

    /// 0 all passed, skips allowed; 1 a case failed; 2 nothing ran; 4 everything was skipped.
    public var exitCode: Int32 {
        if failed > 0 { return 1 }
        if total == 0 { return 2 }
        return passed == 0 ? 4 : 0
    }
}
