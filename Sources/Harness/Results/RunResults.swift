// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// All results of a run: what reports are drawn from.
public struct RunResults: Sendable, Equatable {
    /// What was to run, in order: of a shard, the whole plan; empty where it is not known.
    public var plan: [PlannedKernel]
    public var kernels: [KernelResults]
    /// nil: the results are of the whole plan.
    public var shard: Shard?
    public var started: Date?
    /// Said of the run before its first kernel.
    public var comments: [String]
    /// Said of the run after its last kernel.
    public var closingComments: [String]
    /// Why the run ended before its end; nil: it did not.
    public var bailedOut: String?
    /// What is missing although a reader would expect it, a sentence each: shards that were not there.
    public var incomplete: [String]
    /// Kernels that the run was about to report.
    public var announced: Int

    public init(
        plan: [PlannedKernel] = [], kernels: [KernelResults] = [], shard: Shard? = nil, started: Date? = nil,
        comments: [String] = [], closingComments: [String] = [], bailedOut: String? = nil, incomplete: [String] = [],
        announced: Int? = nil
    ) {
        self.plan = plan
        self.kernels = kernels
        self.shard = shard
        self.started = started
        self.comments = comments
        self.closingComments = closingComments
        self.bailedOut = bailedOut
        self.incomplete = incomplete
        self.announced = announced ?? kernels.count
    }

    public var tally: Tally { kernels.reduce(into: Tally()) { $0.add($1.tally) } }

    /// That of the run, as `bpftest run` ended or would have: 3 after a bail-out.
    public var exitCode: Int32 { bailedOut != nil ? 3 : tally.exitCode }
}

/// One kernel's part of a run.
public struct KernelResults: Sendable, Equatable {
    public var identity: KernelIdentity
    /// Accelerator and the like.
    public var comments: [String]
    public var suites: [SuiteResults]
    /// Suites that were about to be reported.
    public var announced: Int
    /// The kernel's end was reported.
    public var isFinished: Bool

    public var name: String { identity.name }
    public var spec: String { identity.spec }
    public var version: String? { identity.version }
    public var origin: String? { identity.origin }

    public init(
        _ identity: KernelIdentity, comments: [String] = [], suites: [SuiteResults] = [], announced: Int? = nil,
        isFinished: Bool = true
    ) {
        self.identity = identity
        self.comments = comments
        self.suites = suites
        self.announced = announced ?? suites.count
        self.isFinished = isFinished
    }

    public var tally: Tally { suites.reduce(into: Tally()) { $0.add($1.tally) } }
}

/// One suite's part of a kernel's results.
public struct SuiteResults: Sendable, Equatable {
    public var name: String
    public var results: [CaseResult]
    /// Cases that were about to be reported.
    public var announced: Int
    /// The suite's end was reported.
    public var isFinished: Bool

    public init(_ name: String, _ results: [CaseResult] = [], announced: Int? = nil, isFinished: Bool = true) {
        self.name = name
        self.results = results
        self.announced = announced ?? results.count
        self.isFinished = isFinished
    }

    public var tally: Tally { results.reduce(into: Tally()) { $0.count($1) } }
}

extension RunResults {
    /// What a comment begins with that says what is missing.
    static let incompletePrefix = "incomplete: "

    /// Tells a sink everything in the order in which the run told it.
    public func replay(into sink: inout some ResultSink) throws {
        try sink.runStarted(RunPlan(plan, shard: shard, started: started), kernels: announced)
        for text in incomplete { try sink.comment(Self.incompletePrefix + text) }
        for text in comments { try sink.comment(text) }
        for kernel in kernels {
            try sink.kernelStarted(kernel.identity, suites: kernel.announced, comments: kernel.comments)
            for suite in kernel.suites {
                try sink.suiteStarted(suite.name, cases: suite.announced)
                for result in suite.results { try sink.caseFinished(result) }
                if suite.isFinished { try sink.suiteFinished(suite.name, tally: suite.tally) }
            }
            if kernel.isFinished { try sink.kernelFinished(kernel.name, tally: kernel.tally) }
        }
        for text in closingComments { try sink.comment(text) }
        if let bailedOut {
            try sink.bailedOut(bailedOut)
        } else {
            try sink.runFinished(tally: tally)
        }
    }
}
