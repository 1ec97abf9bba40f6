// SPDX-License-Identifier: Apache-2.0

/// Results, and what they are called in messages.
public struct NamedResults: Sendable {
    public var name: String
    public var results: RunResults

    public init(_ name: String, _ results: RunResults) {
        self.name = name
        self.results = results
    }
}

extension RunResults {
    /// Puts the shards of one plan together, in the plan's order: but for durations, what one machine would report.
    ///
    /// - Parameter partial: go on without shards that are missing, and say so in `incomplete`.
    /// - Throws: a `ResultsError` that names what does not fit.
    public static func merged(_ inputs: [NamedResults], partial: Bool = false) throws(ResultsError) -> RunResults {
        let shards = try sorted(inputs)
        let first = shards[0]
        for shard in shards.dropFirst() { try checkSamePlan(first, shard) }
        var merged = RunResults(plan: first.results.plan)
        merged.started = shards.compactMap(\.results.started).min()
        merged.incomplete = distinct(shards.flatMap(\.results.incomplete))
        merged.comments = distinct(shards.flatMap(\.results.comments))
        merged.closingComments = distinct(shards.flatMap(\.results.closingComments))
        let reasons = shards.compactMap { shard in
            shard.results.bailedOut.map { "shard \(number(shard)): \($0)" }
        }
        if !reasons.isEmpty { merged.bailedOut = reasons.joined(separator: "; ") }

        let places = try shards.map { shard throws(ResultsError) in try Self.places(shard, in: merged.plan) }
        for (index, planned) in merged.plan.enumerated() {
            let parts = zip(shards, places).flatMap { shard, places in
                zip(places, shard.results.kernels).filter { $0.0 == index }.map { (shard.name, $0.1) }
            }
            guard !parts.isEmpty else { continue }
            merged.kernels.append(try joined(parts, planned.suites))
        }
        // A plan may have more shards than there is work for: one of nothing need not be there.
        if let text = missing(shards), !hasAllThatIsPlanned(merged) {
            guard partial else { throw ResultsError("\(text); --partial reports what is there") }
            merged.incomplete.insert(text, at: 0)
        }
        // Every shard is there and came to its end: what has no result nevertheless was lost.
        if merged.incomplete.isEmpty, merged.bailedOut == nil {
            let lost = lost(merged)
            guard partial || lost.isEmpty else {
                throw ResultsError("\(lost[0]), although no shard is missing; --partial reports what is there")
            }
            merged.incomplete += lost
        }
        merged.announced = merged.incomplete.isEmpty ? merged.plan.count : merged.kernels.count
        return merged
    }

    /// Puts runs on different kernels side by side; of the same kernel, different suites.
    ///
    /// - Throws: a `ResultsError` that names what two of them have, or which is a shard.
    public static func combined(_ runs: [NamedResults]) throws(ResultsError) -> RunResults {
        guard let first = runs.first else { throw ResultsError("there are no results to report") }
        guard runs.count > 1 else { return first.results }
        if let shard = runs.first(where: { $0.results.shard != nil }) {
            throw ResultsError("\(shard.name) is shard \(number(shard)) of a plan: --merge puts shards together")
        }
        var all = RunResults()
        all.started = runs.compactMap(\.results.started).min()
        all.incomplete = distinct(runs.flatMap(\.results.incomplete))
        all.comments = distinct(runs.flatMap(\.results.comments))
        all.closingComments = distinct(runs.flatMap(\.results.closingComments))
        let reasons = runs.compactMap { run in run.results.bailedOut.map { "\(run.name): \($0)" } }
        if !reasons.isEmpty { all.bailedOut = reasons.joined(separator: "; ") }
        // The same name of the same spec is the same kernel; a build of the same name from elsewhere is another.
        var order: [KernelIdentity] = []
        var parts: [KernelIdentity: [(String, KernelResults)]] = [:]
        var planned: [KernelIdentity: PlannedKernel] = [:]
        for run in runs {
            for kernel in run.results.kernels {
                let key = KernelIdentity(name: kernel.name, spec: kernel.spec)
                if parts[key] == nil { order.append(key) }
                parts[key, default: []].append((run.name, kernel))
            }
            for kernel in run.results.plan {
                let key = KernelIdentity(name: kernel.name, spec: kernel.spec)
                planned[key, default: PlannedKernel(kernel.identity, suites: [])].suites += kernel.suites
            }
        }
        for key in order {
            all.kernels.append(try joined(parts[key] ?? [], planned[key]?.suites ?? []))
            if let plan = planned[key] { all.plan.append(plan) }
        }
        all.announced = all.kernels.count
        return all
    }

    // MARK: Parts

    private static func number(_ shard: NamedResults) -> String { shard.results.shard.map { "\($0)" } ?? "?" }

    /// The shards in their order.
    private static func sorted(_ inputs: [NamedResults]) throws(ResultsError) -> [NamedResults] {
        guard !inputs.isEmpty else { throw ResultsError("there are no shards to merge") }
        var known: [Shard: String] = [:]
        for input in inputs {
            guard let shard = input.results.shard else {
                throw ResultsError(
                    "\(input.name) is no shard of a plan: all of it was run in one place; without --merge, reports of "
                        + "different kernels are put side by side")
            }
            if let count = inputs[0].results.shard?.count, count != shard.count {
                throw ResultsError(
                    "\(inputs[0].name) is shard \(number(inputs[0])), and \(input.name) is shard \(shard): they are of "
                        + "different plans")
            }
            if let other = known[shard] {
                throw ResultsError("shard \(shard) is there twice: \(other) and \(input.name)")
            }
            known[shard] = input.name
        }
        return inputs.sorted { ($0.results.shard?.index ?? 0) < ($1.results.shard?.index ?? 0) }
    }

    private static func missing(_ shards: [NamedResults]) -> String? {
        let count = shards[0].results.shard?.count ?? 0
        let there = Set(shards.compactMap(\.results.shard?.index))
        let missing = (1...max(count, 1)).filter { !there.contains($0) }
        if missing.isEmpty { return nil }
        let names = missing.prefix(20).map { "\($0)/\(count)" }.joined(separator: ", ")
        let rest = missing.count > 20 ? " and \(missing.count - 20) more" : ""
        return missing.count == 1 ? "shard \(names) is missing" : "shards \(names)\(rest) are missing"
    }

    /// Whether every suite of the plan has results on its kernel; of one that did not boot none has.
    private static func hasAllThatIsPlanned(_ merged: RunResults) -> Bool {
        lost(merged).isEmpty
            && merged.kernels.allSatisfy { kernel in kernel.suites.allSatisfy { $0.name != bootSuite } }
    }

    private static func checkSamePlan(_ one: NamedResults, _ other: NamedResults) throws(ResultsError) {
        func differ(_ how: String) -> ResultsError {
            ResultsError("\(one.name) and \(other.name) are shards of different plans: \(how)")
        }
        let (plan, otherPlan) = (one.results.plan, other.results.plan)
        guard plan.count == otherPlan.count else {
            throw differ("\(plan.count) kernels, and \(otherPlan.count)")
        }
        for (kernel, another) in zip(plan, otherPlan) {
            guard kernel.spec == another.spec else { throw differ("kernel \(kernel.spec), and \(another.spec)") }
            // A name that is the spec is not known yet.
            let areKnown = kernel.name != kernel.spec && another.name != another.spec
            guard kernel.name == another.name || !areKnown else {
                throw differ("\(kernel.spec) is \(kernel.name) in one, and \(another.name) in the other")
            }
            guard kernel.suites == another.suites else {
                let different = Set(kernel.suites).symmetricDifference(another.suites).sorted()
                throw differ(
                    "on \(kernel.spec), "
                        + (different.isEmpty
                            ? "the order of the suites is not the same"
                            : "only one has \(different.prefix(5).joined(separator: ", "))"))
            }
        }
    }

    /// For each of a shard's kernels, its place in the plan.
    private static func places(_ shard: NamedResults, in plan: [PlannedKernel]) throws(ResultsError) -> [Int] {
        var next = 0
        var places: [Int] = []
        for kernel in shard.results.kernels {
            // The same spec can be there twice, and a plan need not know what a spec will be.
            let rest = plan[next...]
            guard
                let place = rest.firstIndex(where: { $0.spec == kernel.spec && $0.name == kernel.name })
                    ?? rest.firstIndex(where: { $0.spec == kernel.spec && $0.name == $0.spec })
                    ?? rest.firstIndex(where: { $0.spec == kernel.spec })
            else {
                throw ResultsError(
                    "\(shard.name) has results of \(kernel.name), which is not in its plan at that place")
            }
            places.append(place)
            next = place + 1
        }
        return places
    }

    /// One kernel's results out of several runs', the suites in the order of the plan.
    private static func joined(
        _ parts: [(name: String, kernel: KernelResults)], _ order: [String]
    ) throws(ResultsError) -> KernelResults {
        let first = parts[0]
        for part in parts where part.kernel.name != first.kernel.name {
            throw ResultsError(
                "\(first.kernel.spec) is \(first.kernel.name) in \(first.name), and \(part.kernel.name) in "
                    + "\(part.name): these are different kernels")
        }
        let places = Dictionary(order.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var owners: [String: String] = [:]
        var suites: [SuiteResults] = []
        for part in parts {
            for suite in part.kernel.suites {
                if let other = owners[suite.name], other != part.name {
                    // What nobody planned is of the kernel itself, its boot or its config: each of them saw it.
                    if !order.isEmpty, places[suite.name] == nil { continue }
                    throw ResultsError(
                        "both \(other) and \(part.name) have results of \(suite.name) on \(part.kernel.name)")
                }
                owners[suite.name] = part.name
                suites.append(suite)
            }
        }
        func place(_ suite: SuiteResults) -> Int { places[suite.name] ?? -1 }
        suites = suites.enumerated().sorted { (place($0.1), $0.0) < (place($1.1), $1.0) }.map(\.1)
        var joined = KernelResults(first.kernel.identity, comments: distinct(parts.flatMap(\.kernel.comments)))
        joined.suites = suites.map { suite in
            // Others come after it, so it must be closed; that it is not whole shows in the count of its cases.
            var suite = suite
            suite.isFinished = true
            return suite
        }
        joined.announced = suites.count
        return joined
    }

    /// Suites that were planned, on kernels that booted, and of which there is nothing.
    private static func lost(_ merged: RunResults) -> [String] {
        var kernels = merged.kernels[...]
        var lost: [String] = []
        for planned in merged.plan {
            guard let kernel = kernels.first, kernel.spec == planned.spec,
                planned.name == kernel.name || planned.name == planned.spec
            else {
                if !planned.suites.isEmpty { lost.append("there are no results of \(planned.name)") }
                continue
            }
            kernels.removeFirst()
            let there = Set(kernel.suites.map(\.name))
            if there.contains(bootSuite) { continue }
            lost += planned.suites.filter { !there.contains($0) }.map {
                "there are no results of \($0) on \(kernel.name)"
            }
        }
        return lost
    }

    private static func distinct(_ texts: [String]) -> [String] {
        var seen: Set<String> = []
        return texts.filter { seen.insert($0).inserted }
    }

    /// The suite that stands for all of a kernel that does not boot.
    static let bootSuite = "boot"
}
