// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import VMRunner

/// Looks for the kernel with which a case changed, among those that can be had by version.
public struct KernelBisect: Sendable {
    /// A kernel that can be tried.
    public struct Candidate: Sendable, Equatable {
        /// What `-k` takes.
        public var name: String
        var version: KernelVersion
    }

    private let trials: any BisectTrials
    private let memory: BisectMemory
    private let log: @Sendable (String) -> Void

    /// - Parameters:
    ///   - memory: what an interrupted search has found out.
    ///   - log: gets a line for each thing that was found out.
    init(
        trials: any BisectTrials, memory: BisectMemory = BisectMemory(), log: @escaping @Sendable (String) -> Void
    ) {
        self.trials = trials
        self.memory = memory
        self.log = log
    }

    /// Searches among the kernels that can be had between two; an interrupted search goes on.
    ///
    /// - Parameters:
    ///   - good: a version, as `bad`; which of the two is older is found out.
    ///   - arguments: what `trials` runs, to know the same search again.
    /// - Returns: 0 where the kernel was found, 4 where kernels that cannot be judged leave it open.
    public static func run(
        good: String, bad: String, store: KernelStore, trials: any BisectTrials, arguments: [String],
        log: @escaping @Sendable (String) -> Void
    ) async throws(HarnessError) -> Int32 {
        let ladder = try await store.ladder(good: good, bad: bad)
        let ends = [ladder.candidates.first?.name ?? good, ladder.candidates.last?.name ?? bad]
        let question = BisectMemory.Question(
            good: ends[ladder.goodIsOlder ? 0 : 1], bad: ends[ladder.goodIsOlder ? 1 : 0], arguments: arguments)
        let memory = BisectMemory(question, folders: store.folders, note: store.note)
        return try await KernelBisect(trials: trials, memory: memory, log: log).run(
            ladder.candidates, goodIsOlder: ladder.goodIsOlder)
    }

    /// Searches.
    ///
    /// - Parameter candidates: oldest first; its ends are where good and bad are known.
    /// - Parameter goodIsOlder: false to look for the kernel that put it right.
    /// - Returns: 0 where the kernel was found, 4 where kernels that cannot be judged leave it open.
    /// - Throws: `.usage` where an end is not as was said.
    func run(_ candidates: [Candidate], goodIsOlder: Bool) async throws(HarnessError) -> Int32 {
        let code: Int32
        do throws(HarnessError) {
            code = try await search(candidates, goodIsOlder)
        } catch .usage(let text) {
            // The question was wrong: the same one again would get the same answer, whatever has changed since.
            memory.forget()
            throw .usage(text)
        } catch {
            throw error
        }
        memory.forget()
        return code
    }

    private func search(_ candidates: [Candidate], _ goodIsOlder: Bool) async throws(HarnessError) -> Int32 {
        guard let first = candidates.first, let last = candidates.last, candidates.count > 1 else {
            throw .usage("there is nothing between the two: they are the same kernel")
        }
        var search = BisectSearch(count: candidates.count)
        log(
            "\(candidates.count) kernels from \(first.name) to \(last.name): the ends, and about \(search.stepsLeft) "
                + "steps between")
        if memory.count > 0 {
            log("going on: what an interrupted search found out of \(memory.count) of them is known")
        }
        var rules = BisectRules(goodIsOlder: goodIsOlder)
        var tried: [Int: BisectTrial] = [:]
        for (place, expected) in [(0, goodIsOlder), (candidates.count - 1, !goodIsOlder)] {
            let name = candidates[place].name
            let trial = try await memory.trial(of: name) { () throws(HarnessError) in try await trials.run(on: name) }
            tried[place] = trial
            log("\(expected ? "good" : "bad") end: \(name): \(trial.verdict) (\(trial.summary))")
            try BisectRules.check(trial, isGood: expected, name, kernel: name)
            if !expected { rules.takesSometimes = trial.failsSometimes }
        }
        if let remark = rules.remark { log(remark) }
        while let place = search.next {
            let name = candidates[place].name
            let trial = await judge(name)
            if case .failure(let error) = trial { throw error }
            guard case .success(let trial) = trial else { continue }
            tried[place] = trial
            search.record(place, rules.side(trial))
            let left = search.open.count
            log(
                "step \(tried.count - 2): \(name): \(rules.word(trial)) (\(trial.summary)); "
                    + (left == 0 ? "none left" : "\(left) left, about \(search.stepsLeft) steps"))
        }
        return report(search, candidates, tried, goodIsOlder)
    }

    /// A kernel that cannot be had is passed over; whoever stops us or cannot try anything is not.
    private func judge(_ name: String) async -> Result<BisectTrial, HarnessError> {
        do throws(HarnessError) {
            return .success(
                try await memory.trial(of: name) { () throws(HarnessError) in try await trials.run(on: name) })
        } catch .cancelled {
            return .failure(.cancelled)
        } catch {
            // The ends were tried: what fails here is this kernel's.
            return .success(BisectTrial(.skipped, "\(error)"))
        }
    }

    private func report(
        _ search: BisectSearch, _ candidates: [Candidate], _ tried: [Int: BisectTrial], _ goodIsOlder: Bool
    ) -> Int32 {
        let (good, bad) = goodIsOlder ? (search.low, search.high) : (search.high, search.low)
        let (goodName, badName) = (candidates[good].name, candidates[bad].name)
        let isExact = search.doubtful.isEmpty
        if isExact {
            log(goodIsOlder ? "first bad kernel: \(badName)" : "first good kernel: \(goodName)")
        } else {
            let names = (search.doubtful + [search.high]).map { candidates[$0].name }.joined(separator: ", ")
            log("the first \(goodIsOlder ? "bad" : "good") kernel is one of \(names): the others cannot be judged")
        }
        log(goodIsOlder ? "last good kernel: \(goodName)" : "last bad kernel: \(badName)")
        guard let badTrial = tried[bad], let goodTrial = tried[good] else { return isExact ? 0 : 4 }
        Self.compare((badName, badTrial), (goodName, goodTrial), kernel: badName).forEach(log)
        return isExact ? 0 : 4
    }

    /// What failed on the bad one, and what became of it on the good one.
    ///
    /// - Parameter kernel: the bad one, as `-k` takes it.
    static func compare(
        _ bad: (name: String, trial: BisectTrial), _ good: (name: String, trial: BisectTrial), kernel: String
    ) -> [String] {
        var lines = ["on \(bad.name):"] + bad.trial.failures(on: kernel)
        lines.append("on \(good.name):")
        for result in bad.trial.results where result.outcome.isFailure {
            lines.append("  \(result.name): \(good.trial.outcome(of: result.name) ?? "did not run")")
        }
        return lines
    }
}

extension KernelStore {
    /// The kernels between two, one of each version, oldest first; and whether the good one is the older.
    ///
    /// What is in the cache is preferred to another build of the same version.
    public func ladder(
        good: String, bad: String
    ) async throws(HarnessError) -> (candidates: [KernelBisect.Candidate], goodIsOlder: Bool) {
        var requests: [KernelRequest] = []
        for (option, spec) in [("--good", good), ("--bad", bad)] {
            guard let request = KernelRequest(spec), !request.isSeveral else {
                throw .usage(
                    KernelRequest.complaint(about: spec)
                        ?? "\(option) wants a version such as 6.12 or a release of kernels list, not '\(spec)'")
            }
            requests.append(request)
        }
        guard requests[0].meantFlavour == requests[1].meantFlavour else {
            throw .usage("\(good) and \(bad) are of different flavours")
        }
        var offers: [KernelOffer] = []
        do throws(HarnessError) {
            offers = try await self.offers().map(\.offer).filter { $0.missing.isEmpty }
        } catch .infrastructure(let reason) {
            note("\(reason); only what is in the cache is looked at")
        } catch {
            throw error
        }
        let all = cachedKernels().compactMap(Self.cachedOffer) + offers
        var ends: [KernelOffer] = []
        for request in requests {
            guard let end = Self.choice(request, all.sorted { $0.version > $1.version }) else {
                throw .usage(Self.absence(of: request, offers) + listed(cachedKernels()))
            }
            ends.append(end)
        }
        let goodIsOlder = ends[0].version < ends[1].version
        let range = min(ends[0].version, ends[1].version)...max(ends[0].version, ends[1].version)
        var chosen: [KernelVersion: KernelOffer] = [:]
        for offer in ends + all where range.contains(offer.version) && chosen[offer.version] == nil {
            let isOfFlavour = offer.flavour == nil || offer.flavour == requests[0].meantFlavour
            if isOfFlavour { chosen[offer.version] = offer }
        }
        let candidates = chosen.sorted { $0.key < $1.key }.map {
            KernelBisect.Candidate(name: $0.value.release, version: $0.key)
        }
        return (candidates, goodIsOlder)
    }

    /// An entry of the cache as what it was fetched as.
    private static func cachedOffer(_ entry: CachedKernel) -> KernelOffer? {
        guard entry.source == .debian, !entry.isPartial, let version = KernelVersion(entry.version) else { return nil }
        return KernelOffer(
            provider: DebianArchive.providerName, release: entry.release, version: version,
            flavour: KernelFlavour(release: entry.release), origin: "cache", files: [])
    }
}

extension KernelRequest {
    /// The flavour that is looked for, also where none is named.
    var meantFlavour: KernelFlavour {
        if case .release(let release) = kind { return KernelFlavour(release: release) ?? .cloud }
        return flavour ?? .cloud
    }
}
