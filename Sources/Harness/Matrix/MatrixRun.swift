// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import TAP
internal import VMRunner

/// A matrix, or a shard of it, as a run: which kernel runs what, and what is known of it beforehand.
public struct MatrixRun: Sendable {
    public let config: MatrixConfig
    public let plan: MatrixPlan
    public let shard: Shard?
    public let selections: [Selection]
    /// YYYY-MM-DD in UTC: what is known to fail may have a last day.
    public let today: String
    private let mine: Set<String>

    /// - Parameter selections: the suites and cases of the configuration, in the order of the reports.
    public init(_ config: MatrixConfig, selections: [Selection], shard: Shard?, today: String) {
        self.config = config
        self.selections = selections
        self.shard = shard
        self.today = today
        let plan = MatrixPlan(config, suites: selections.map { ($0.suite.suite, $0.cases.map(\.id)) })
        let cells = if let shard { plan.cells(of: shard) } else { plan.cells }
        self.plan = plan
        mine = Set(cells.map { Self.key($0.kernel, $0.suite) })
    }

    private static func key(_ kernel: String, _ suite: String) -> String { "\(kernel)\n\(suite)" }

    /// Today's date, as `expires` is compared with it.
    public static func today() -> String {
        Date().formatted(.iso8601.year().month().day())
    }

    /// The kernels that this shard needs.
    public var kernels: [String] {
        plan.kernels.filter { kernel in selections.contains { mine.contains(Self.key(kernel, $0.suite.suite)) } }
    }

    /// Whether a case is this run's: of its kernels and suites, and not on a list that leaves it out.
    public func isPlanned(_ kernel: String, _ name: CaseID) -> Bool {
        mine.contains(Self.key(kernel, name.suite)) && config.allows(name, on: kernel)
    }

    /// What the runner is to do.
    ///
    /// - Parameter slots: one for each of `kernels`, in their order.
    public func request(_ slots: [KernelSlot]) -> RunRequest {
        var request = RunRequest(kernels: slots, selections: selections)
        request.plan = RunPlan(
            plan.kernels.map { kernel in
                let suites = plan.cells.filter { $0.kernel == kernel }.map(\.suite)
                return PlannedKernel(KernelIdentity(name: kernel), suites: suites)
            }, shard: shard, started: Date())
        request.leavesOut = { kernel, name in !isPlanned(slots[kernel].spec, name) }
        request.known = { kernel, name in known(name, on: kernel) }
        request.checks = { kernel in checks(kernel) }
        return request
    }

    /// Finds or fetches the kernels and makes their guest images: first those that are at hand.
    ///
    /// - Parameters:
    ///   - slots: those of `kernels`; each is filled, whatever becomes of it.
    ///   - note: gets what is being done, where it takes long.
    public func prepare(
        _ slots: [KernelSlot], _ guestFiles: GuestFiles, _ folders: Folders, note: @escaping @Sendable (String) -> Void
    ) async {
        let store = KernelStore(folders: folders, sources: config.sources, note: note)
        let (near, far) = (slots.filter { store.isAtHand($0.spec) }, slots.filter { !store.isAtHand($0.spec) })
        for slot in near + far {
            do throws(HarnessError) {
                if Task.isCancelled { throw HarnessError.cancelled }
                let special = config.special(slot.spec)
                var kernel = try await PreparedKernel.prepare(
                    slot.spec, modules: special.modules, guestFiles, store)
                kernel.arguments = special.append
                slot.fill(.success(kernel))
            } catch {
                slot.fill(.failure(Task.isCancelled ? .cancelled : error))
            }
        }
    }

    // MARK: What came of it

    /// Trouble of ours with a kernel comes before its cases' failures: they are not all there.
    public func exitCode(of results: RunResults) -> Int32 {
        let isMissing = results.kernels.contains { kernel in
            kernel.suites.contains { $0.results.contains { $0.outcome == .failed(.missing) } }
        }
        if isMissing { return 3 }
        // A plan may have more shards than there is work for; a shard of nothing has done all of its part.
        let hasNothing = shard != nil && mine.isEmpty && !plan.cells.isEmpty && results.bailedOut == nil
        return hasNothing ? 0 : results.exitCode
    }

    /// For people: the counts, kernel by kernel, and what there is to be done about the configuration.
    public func summary(of results: RunResults) -> [String] {
        let width = results.kernels.map(\.name.count).max() ?? 0
        var lines = results.kernels.map { kernel in
            let tally = kernel.tally
            let known = tally.known > 0 ? ", \(tally.known) known to fail" : ""
            return kernel.name.padding(toLength: width, withPad: " ", startingAt: 0)
                + "  \(tally.passed) passed, \(tally.failed) failed, \(tally.skipped) skipped\(known)"
        }
        for kernel in results.kernels {
            for result in kernel.suites.flatMap(\.results) where result.known != nil && result.outcome == .passed {
                lines.append(
                    "known failure passes: \(result.name) on \(kernel.name) (\(result.known ?? "")): take it off the list"
                )
            }
        }
        for known in config.known where known.isExpired(today: today) {
            lines.append("known failure expired: \(known.pattern): \(known.text)")
        }
        return lines
    }

    /// What is known of a case's failure on a kernel.
    func known(_ name: CaseID, on kernel: PreparedKernel) -> KnownFailure.Verdict? {
        let names = [kernel.spec, kernel.build.release, kernel.build.version.description]
        let covering = config.known.filter { $0.covers(name, on: names) }
        if let valid = covering.first(where: { !$0.isExpired(today: today) }) { return .known(valid.text) }
        return covering.first.map { .expired($0.text) }
    }

    /// What the configuration expects of a kernel's config.
    func checks(_ kernel: PreparedKernel) -> [CaseResult] {
        let wanted = config.special(kernel.spec).config
        if wanted.isEmpty { return [] }
        var result = CaseResult(
            kernel: kernel.build.release, name: CaseID(suite: "kernel", id: "config"),
            title: "the kernel's config is as \(config.file.lastComponent?.string ?? "the configuration") expects",
            outcome: .passed)
        guard let found = kernel.build.config else {
            result.outcome = .failed(.test)
            result.diagnostics["message"] = "the kernel's config is unknown"
            result.diagnostics["hint"] = "put it beside the image as config-RELEASE or .config"
            return [result]
        }
        let wrong = wanted.filter { expectation in
            let value = found[expectation.option]
            guard let expected = expectation.value else { return value != "y" && value != "m" }
            return expected == "n" ? value != nil : value != expected
        }
        if !wrong.isEmpty {
            result.outcome = .failed(.test)
            result.diagnostics["message"] = "the kernel's config is not as expected"
            result.diagnostics["expected"] = wrong.map(\.description).joined(separator: ", ")
            result.diagnostics["observed"] = wrong.map { expectation in
                found[expectation.option].map { "\(expectation.option)=\($0)" } ?? "\(expectation.option) is not set"
            }.joined(separator: ", ")
        }
        return [result]
    }
}

extension KnownFailure {
    /// What the list of known failures says about a case on a kernel.
    public enum Verdict: Sendable, Equatable {
        /// It fails, for this reason.
        case known(String)
        /// It was to be mended by now.
        case expired(String)
    }

    /// For reports.
    var text: String { expires.map { "\(reason) (until \($0))" } ?? reason }
}
