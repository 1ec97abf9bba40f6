// SPDX-License-Identifier: Apache-2.0
internal import TAP
internal import VMRunner

/// Turns what the workers say, in whatever order, into reports in the order of the plan; on the reporting thread.
final class Report {
    private struct Kernel {
        var comments: [String]?
        /// The result that stands for all of a kernel that does not boot, or could not be had.
        var broken: CaseResult?
        /// Results about the kernel itself, reported before its cases.
        var checks: [CaseResult] = []
    }

    private struct Key: Hashable {
        var kernel: Int
        var selection: Int
        var id: String
    }

    private let context: RunContext
    /// Kernel by kernel.
    private let orders: [[WorkUnit.Part]]
    private let journal: Journal
    /// Rounds that a case's result waits for; nil: until `finish`.
    private let rounds: Int?
    private var kernels: [Kernel]
    private var attempts: [Key: [Attempt]] = [:]

    // Where the report is: the next case that is due, and what has been opened.
    private var kernel = 0
    private var part = 0
    private var position = 0
    private var kernelIsOpen = false
    private var suiteIsOpen = false
    private var kernelTally = Tally()
    private var suiteTally = Tally()
    private var isFinishing = false

    init(context: RunContext, orders: [[WorkUnit.Part]], rounds: Int?, journal: Journal) {
        self.context = context
        self.orders = orders
        self.rounds = rounds
        self.journal = journal
        kernels = Array(repeating: Kernel(), count: context.request.kernels.count)
    }

    func kernelReady(_ index: Int, comments: [String]) throws(HarnessError) {
        kernels[index].comments = comments
        kernels[index].checks = context.request.checks(context.kernel(index))
        try advance()
    }

    func kernelMissing(_ index: Int, _ error: HarnessError) throws(HarnessError) {
        kernels[index].comments = []
        kernels[index].broken = CaseResult.missing(kernel: context.name(index), error)
        try advance()
    }

    func kernelBroken(
        _ index: Int, _ failure: BootFailure, console: [String], comments: [String]
    ) throws(HarnessError) {
        kernels[index].comments = comments
        kernels[index].broken = CaseResult.bootFailure(
            CaseID(suite: "boot", id: "boot"), "the kernel boots to its init", context.kernel(index).build, failure,
            console)
        try advance()
    }

    func add(_ attempt: Attempt) throws(HarnessError) {
        let key = Key(kernel: attempt.kernel, selection: attempt.selection, id: attempt.result.name.id)
        attempts[key, default: []].append(attempt)
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
        while kernel < kernels.count {
            if orders[kernel].isEmpty {
                // Everything was left out: another shard's.
                nextKernel()
                continue
            }
            guard let comments = kernels[kernel].comments else { return }
            let identity = context.identity(kernel)
            let name = identity.name
            if let broken = kernels[kernel].broken {
                try report(broken, of: identity, comments)
                continue
            }
            if !kernelIsOpen {
                kernelIsOpen = true
                let checks = kernels[kernel].checks
                let suites = orders[kernel].count + (checks.isEmpty ? 0 : 1)
                try journal.tell { try $0.kernelStarted(identity, suites: suites, comments: comments) }
                if !checks.isEmpty { kernelTally.add(try report(checks.map(marked), suite: "kernel")) }
            }
            let order = orders[kernel]
            guard part < order.count else {
                try journal.tell { try $0.kernelFinished(name, tally: self.kernelTally) }
                nextKernel()
                continue
            }
            let due = order[part]
            let selection = context.selections[due.selection]
            let suite = selection.suite.suite
            // How many cases a program has is known when it has ended.
            if !suiteIsOpen, selection.program == nil { try openSuite(suite, cases: due.cases.count) }
            guard position < due.cases.count else {
                try journal.tell { try $0.suiteFinished(suite, tally: self.suiteTally) }
                kernelTally.add(suiteTally)
                nextSuite()
                continue
            }
            guard let results = results(Key(kernel: kernel, selection: due.selection, id: due.cases[position])) else {
                return
            }
            if !suiteIsOpen { try openSuite(suite, cases: results.count) }
            for result in results {
                let known = marked(result)
                suiteTally.count(known)
                try journal.record(known)
            }
            position += 1
        }
    }

    /// With what is known of the case on this kernel.
    private func marked(_ result: CaseResult) -> CaseResult {
        guard let verdict = context.request.known(context.kernel(kernel), result.name) else { return result }
        var result = result
        switch verdict {
        case .known(let reason): result.known = reason
        case .expired(let reason):
            if result.outcome.isFailure { result.diagnostics["known_until_now"] = reason }
        }
        return result
    }

    private func openSuite(_ suite: String, cases: Int) throws(HarnessError) {
        suiteIsOpen = true
        try journal.tell { try $0.suiteStarted(suite, cases: cases) }
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

    private func report(_ broken: CaseResult, of identity: KernelIdentity, _ comments: [String]) throws(HarnessError) {
        try journal.tell { try $0.kernelStarted(identity, suites: 1, comments: comments) }
        let tally = try report([broken], suite: broken.name.suite)
        try journal.tell { try $0.kernelFinished(identity.name, tally: tally) }
        nextKernel()
    }

    /// Reports a whole suite.
    private func report(_ results: [CaseResult], suite: String) throws(HarnessError) -> Tally {
        var tally = Tally()
        try journal.tell { try $0.suiteStarted(suite, cases: results.count) }
        for result in results {
            tally.count(result)
            try journal.record(result)
        }
        try journal.tell { try $0.suiteFinished(suite, tally: tally) }
        return tally
    }

    /// One result out of all rounds', when they are all there; of a program one for each thing that it reports.
    private func results(_ key: Key) -> [CaseResult]? {
        guard let all = attempts[key], isFinishing || all.count == rounds else { return nil }
        attempts[key] = nil
        return Self.combined(all)
    }

    static func combined(_ attempts: [Attempt]) -> [CaseResult] {
        var order: [String] = []
        var results: [String: [CaseResult]] = [:]
        for result in attempts.flatMap(\.results) {
            if results[result.name.id] == nil { order.append(result.name.id) }
            results[result.name.id, default: []].append(result)
        }
        return order.compactMap { results[$0].map { combined($0) } }
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
