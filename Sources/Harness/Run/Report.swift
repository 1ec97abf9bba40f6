// SPDX-License-Identifier: Apache-2.0
internal import TAP
internal import VMRunner

/// Turns what the workers say, in whatever order, into reports in the order of the plan; on the reporting thread.
final class Report {
    private struct Kernel {
        var comments: [String]?
        /// The result that stands for all of a kernel that does not boot.
        var broken: CaseResult?
    }

    private struct Key: Hashable {
        var kernel: Int
        var selection: Int
        var id: String
    }

    private let context: RunContext
    private let order: [WorkUnit.Part]
    private let journal: Journal
    /// Rounds that a case's result waits for; nil: until `finish`.
    private let rounds: Int?
    private var kernels: [Kernel]
    private var attempts: [Key: [CaseResult]] = [:]

    // Where the report is: the next case that is due, and what has been opened.
    private var kernel = 0
    private var part = 0
    private var position = 0
    private var kernelIsOpen = false
    private var suiteIsOpen = false
    private var kernelTally = Tally()
    private var suiteTally = Tally()
    private var isFinishing = false

    init(context: RunContext, order: [WorkUnit.Part], rounds: Int?, journal: Journal) {
        self.context = context
        self.order = order
        self.rounds = rounds
        self.journal = journal
        kernels = Array(repeating: Kernel(), count: context.kernels.count)
    }

    func kernelReady(_ index: Int, comments: [String]) throws(HarnessError) {
        kernels[index].comments = comments
        try advance()
    }

    func kernelBroken(
        _ index: Int, _ failure: BootFailure, console: [String], comments: [String]
    ) throws(HarnessError) {
        kernels[index].comments = comments
        kernels[index].broken = CaseResult.bootFailure(
            CaseID(suite: "boot", id: "boot"), "the kernel boots to its init", context.kernels[index].build, failure,
            console)
        try advance()
    }

    func add(_ attempt: Attempt) throws(HarnessError) {
        let key = Key(kernel: attempt.kernel, selection: attempt.selection, id: attempt.result.name.id)
        attempts[key, default: []].append(attempt.result)
        try advance()
    }

    /// No more attempts come: what has been held for further rounds is reported.
    func finish() throws(HarnessError) {
        isFinishing = true
        try advance()
    }

    // MARK: In order

    /// Reports everything that is due and there.
    private func advance() throws(HarnessError) {
        while kernel < kernels.count, let comments = kernels[kernel].comments {
            let name = context.name(kernel)
            if let broken = kernels[kernel].broken {
                try report(broken, of: name, comments)
                continue
            }
            if !kernelIsOpen {
                kernelIsOpen = true
                try journal.tell { try $0.kernelStarted(name, suites: self.order.count, comments: comments) }
            }
            guard part < order.count else {
                try journal.tell { try $0.kernelFinished(name, tally: self.kernelTally) }
                nextKernel()
                continue
            }
            let due = order[part]
            let suite = context.selections[due.selection].suite.suite
            if !suiteIsOpen {
                suiteIsOpen = true
                try journal.tell { try $0.suiteStarted(suite, cases: due.cases.count) }
            }
            guard position < due.cases.count else {
                try journal.tell { try $0.suiteFinished(suite, tally: self.suiteTally) }
                kernelTally.add(suiteTally)
                nextSuite()
                continue
            }
            guard let result = result(Key(kernel: kernel, selection: due.selection, id: due.cases[position])) else {
                return
            }
            suiteTally.count(result.outcome)
            try journal.record(result)
            position += 1
        }
    }

    private func nextSuite() {
        part += 1
        position = 0
        suiteIsOpen = false
        suiteTally = Tally()
    }

    private func nextKernel() {
        kernel += 1
        part = 0
        kernelIsOpen = false
        kernelTally = Tally()
    }

    private func report(_ broken: CaseResult, of name: String, _ comments: [String]) throws(HarnessError) {
        var tally = Tally()
        tally.count(broken.outcome)
        try journal.tell { try $0.kernelStarted(name, suites: 1, comments: comments) }
        try journal.tell { try $0.suiteStarted("boot", cases: 1) }
        try journal.record(broken)
        try journal.tell { try $0.suiteFinished("boot", tally: tally) }
        try journal.tell { try $0.kernelFinished(name, tally: tally) }
        nextKernel()
    }

    /// One result out of all rounds', when they are all there.
    private func result(_ key: Key) -> CaseResult? {
        guard let all = attempts[key], isFinishing || all.count == rounds else { return nil }
        attempts[key] = nil
        return Self.combined(all)
    }

    /// The first failure, with how often there was one; else the first result.
    static func combined(_ all: [CaseResult]) -> CaseResult {
        let failures = all.filter(\.outcome.isFailure)
        guard var result = failures.first else { return all[0] }
        guard all.count > 1 else { return result }
        if failures.count < all.count {
            let earlier = result.diagnostics["verdict"].map { "; in its round: \($0)" } ?? ""
            result.diagnostics["verdict"] = "flaky: failed in \(failures.count) of \(all.count) rounds\(earlier)"
        } else {
            result.diagnostics["rounds"] = "failed in all \(all.count)"
        }
        return result
    }
}
