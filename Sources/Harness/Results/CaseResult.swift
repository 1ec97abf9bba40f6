// SPDX-License-Identifier: Apache-2.0
public import TAP

/// A case by name: suites are unique, and cases in their suite.
public struct CaseID: Sendable, Hashable, CustomStringConvertible {
    public var suite: String
    public var id: String

    public init(suite: String, id: String) {
        self.suite = suite
        self.id = id
    }

    public var description: String { "\(suite)/\(id)" }
}

/// What became of a case. Trouble of ours is no outcome: it is a `BailOut`.
public enum Outcome: Sendable, Equatable {
    case passed
    case skipped(reason: String)
    case failed(Blame)

    /// Whose failure it is.
    public enum Blame: String, Sendable, Equatable {
        /// The kernel did not do what the case expects of it.
        case test
        /// A feature is absent although the kernel's version should have it and its config does not explain it.
        case absent = "absent although due"
        /// The kernel broke while the case ran: panic, oops, warning.
        case kernel = "kernel broke"
        case timeout
        /// The agent ended, or said nothing sensible, before the case had a result.
        case agent = "agent broke"
        case boot = "kernel did not boot"
        /// Trouble of ours, of this kernel alone: it could not be fetched, or is no kernel.
        case missing = "kernel could not be had"
    }

    public var isFailure: Bool {
        if case .failed = self { true } else { false }
    }
}

/// One case's result on one kernel: everything that reports are drawn from.
public struct CaseResult: Sendable, Equatable {
    public var kernel: String
    public var name: CaseID
    public var title: String
    public var outcome: Outcome
    public var diagnostics: Diagnostics
    /// From the case's announcement to its result, seen from the host.
    public var duration: Duration
    /// Why it is known to fail: failing, it is counted apart and does not fail the run; passing, it says so.
    public var known: String?

    public init(
        kernel: String, name: CaseID, title: String, outcome: Outcome, diagnostics: Diagnostics = Diagnostics(),
        duration: Duration = .zero, known: String? = nil
    ) {
        self.kernel = kernel
        self.name = name
        self.title = title
        self.outcome = outcome
        self.diagnostics = diagnostics
        self.duration = duration
        self.known = known
    }

    /// What reports show: the diagnostics, and of a case that passes although it is known to fail, that.
    var shownDiagnostics: Diagnostics {
        guard let known, outcome == .passed else { return diagnostics }
        var shown = diagnostics
        shown["known_failure"] = "it passes, although it is known to fail: \(known)"
        return shown
    }
}

/// A suite as an agent lists it.
public struct SuiteListing: Sendable, Codable, Equatable {
    public struct CaseListing: Sendable, Codable, Equatable {
        public var id: String
        public var title: String
        /// Ids of docs/semantics/.
        public var spec: [String]
        /// First mainline release that keeps the promise.
        public var since: String?
        /// Features that are probed on the running kernel.
        public var needs: [String]
        /// Wants a machine for itself, whatever the isolation: it leaves marks that cannot be taken back.
        public var alone: Bool?
    }

    public var suite: String
    public var title: String
    /// Processors that a machine for it must have at least; nil: one.
    public var cpus: Int?
    /// Network cards that a machine for it must have; nil: none.
    public var cards: [String]?
    public var cases: [CaseListing]
    /// Of an object file: what keeps it from being run.
    public var problem: ObjectFile.Problem?
    /// Of an object file: further files that its annotations name.
    public var files: [String]?
}
