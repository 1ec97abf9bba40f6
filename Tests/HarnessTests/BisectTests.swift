// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization
import SystemPackage
import TAP
import Testing
import VMRunner

@testable import Harness

@Suite struct BisectSearchTests {
    /// Plays a search: where the change is, and which places cannot be judged.
    private func play(_ count: Int, change: Int, skipped: Set<Int> = []) -> (search: BisectSearch, tries: Int) {
        var search = BisectSearch(count: count)
        var tries = 0
        while let place = search.next {
            tries += 1
            search.record(place, skipped.contains(place) ? nil : place < change ? .older : .newer)
            #expect(tries <= count)
            if tries > count { break }
        }
        return (search, tries)
    }

    @Test func everyChangeIsFoundInAsManyStepsAsALogarithm() {
        for count in 2...40 {
            for change in 1..<count {
                let most = BisectSearch(count: count).stepsLeft
                let (search, tries) = play(count, change: change)
                #expect(search.high == change && search.low == change - 1 && search.doubtful.isEmpty)
                #expect(tries <= most)
            }
        }
    }

    /// All changes and all sets of places that cannot be judged among eight.
    @Test func whatCannotBeJudgedIsPassedOverAndNamedWhereItMatters() {
        let count = 8
        for change in 1..<count {
            for bits in 0..<(1 << (count - 2)) {
                let skipped = Set((1..<(count - 1)).filter { bits >> ($0 - 1) & 1 == 1 })
                let (search, _) = play(count, change: change, skipped: skipped)
                // The nearest places on both sides that can be judged, and what lies between.
                let low = (0..<change).last { !skipped.contains($0) }
                let high = (change..<count).first { !skipped.contains($0) }
                #expect(search.low == low && search.high == high)
                #expect(search.doubtful == Array((search.low + 1)..<search.high))
            }
        }
    }

    @Test func theMiddleComesFirstAndOfTwoTheOlder() {
        #expect(BisectSearch(count: 9).next == 4)
        #expect(BisectSearch(count: 8).next == 3)
        #expect(BisectSearch(count: 2).next == nil)
        var search = BisectSearch(count: 9)
        search.record(4, nil)
        #expect(search.next == 3)
    }
}

/// Kernels of which is known what the cases say on them.
final class FakeTrials: BisectTrials {
    private let verdicts: [String: BisectTrial]
    /// Asked for this kernel, it is as if the user had said stop.
    private let stop: String?
    private let asked = Mutex<[String]>([])

    init(_ verdicts: [String: BisectTrial], stop: String? = nil) {
        self.verdicts = verdicts
        self.stop = stop
    }

    var order: [String] { asked.withLock { $0 } }

    func run(on kernel: String) async throws(HarnessError) -> BisectTrial {
        asked.withLock { $0.append(kernel) }
        if kernel == stop { throw .cancelled }
        guard let trial = verdicts[kernel] else { throw .infrastructure("\(kernel) cannot be fetched") }
        return trial
    }

    static func result(_ outcome: Outcome, _ words: String? = nil) -> CaseResult {
        var diagnostics = Diagnostics()
        if let words { diagnostics["message"] = words }
        return CaseResult(
            kernel: "k", name: CaseID(suite: "s", id: "c"), title: "a title", outcome: outcome,
            diagnostics: diagnostics)
    }

    static let good = BisectTrial(.good, "1 passed", results: [result(.passed)])
    static let bad = BisectTrial(.bad, "1 of 1 failed", results: [result(.failed(.test), "wrong errno")])
    static let skipped = BisectTrial(.skipped, "skipped: no tcx")
    /// Fails now and then.
    static let unsteady: BisectTrial = {
        var trial = BisectTrial(.bad, "1 of 1 failed, flaky: failed in 2 of 6 runs", results: bad.results)
        trial.failsSometimes = true
        return trial
    }()
}

@Suite struct KernelBisectTests {
    private let names = ["6.12", "6.16", "6.17", "6.18", "7.2", "7.3"]

    private func search(
        _ verdicts: [BisectTrial?], goodIsOlder: Bool = true, memory: BisectMemory = BisectMemory()
    ) async throws(HarnessError) -> (code: Int32, log: [String], order: [String]) {
        let trials = FakeTrials(known(verdicts))
        let log = Mutex<[String]>([])
        let bisect = KernelBisect(trials: trials, memory: memory) { line in log.withLock { $0.append(line) } }
        let candidates = names.map { KernelBisect.Candidate(name: $0, version: KernelVersion($0) ?? .init(0, 0)) }
        let code = try await bisect.run(candidates, goodIsOlder: goodIsOlder)
        return (code, log.withLock { $0 }, trials.order)
    }

    private func known(_ verdicts: [BisectTrial?]) -> [String: BisectTrial] {
        var known: [String: BisectTrial] = [:]
        for (name, trial) in zip(names, verdicts) { known[name] = trial }
        return known
    }

    @Test func theFirstBadKernelWithBothSidesOfIt() async throws {
        let (good, bad) = (FakeTrials.good, FakeTrials.bad)
        let (code, log, order) = try await search([good, good, good, bad, bad, bad])
        #expect(code == 0)
        // The ends first.
        #expect(order == ["6.12", "7.3", "6.17", "6.18"])
        #expect(log.contains("first bad kernel: 6.18") && log.contains("last good kernel: 6.17"))
        #expect(log.contains("step 1: 6.17: good (1 passed); 2 left, about 2 steps"))
        #expect(log.contains("    message: wrong errno") && log.contains("  s/c: passed"))
        #expect(log.contains("    alone: bpftest run -k 6.18 s/c"))
    }

    @Test func theKernelThatPutItRight() async throws {
        let (good, bad) = (FakeTrials.good, FakeTrials.bad)
        let (code, log, _) = try await search([bad, bad, bad, bad, good, good], goodIsOlder: false)
        #expect(code == 0)
        #expect(log.contains("first good kernel: 7.2") && log.contains("last bad kernel: 6.18"))
    }

    @Test func whatCannotBeHadOrJudgedIsPassedOver() async throws {
        let (good, bad) = (FakeTrials.good, FakeTrials.bad)
        let (code, log, order) = try await search([good, good, nil, FakeTrials.skipped, bad, bad])
        #expect(code == 4)
        #expect(order.count == 6)
        #expect(log.contains { $0.contains("6.17: passed over (6.17 cannot be fetched)") })
        #expect(log.contains { $0.contains("the first bad kernel is one of 6.17, 6.18, 7.2") })
        #expect(log.contains("last good kernel: 6.16"))
        let aside = try await search([good, nil, good, bad, FakeTrials.skipped, bad])
        #expect(aside.code == 0 && aside.log.contains("first bad kernel: 6.18"))
    }

    @Test(arguments: [
        ([0, 0], "6.12 was given as good, but it is bad"), ([1, 1], "7.3 was given as bad, but it is good"),
        ([2, 0], "6.12 was given as good, but it cannot be judged: skipped: no tcx"),
        ([1, 2], "7.3 was given as bad, but it cannot be judged"),
    ])
    func endsThatAreNotAsWasSaidEndIt(_ ends: [Int], _ words: String) async throws {
        let kinds = [FakeTrials.bad, FakeTrials.good, FakeTrials.skipped]
        let verdicts = [kinds[ends[0]], nil, nil, nil, nil, kinds[ends[1]]]
        let error = await failure(of: { try await search(verdicts) })
        guard case .usage(let text)? = error else {
            Issue.record("it went on: \(String(describing: error))")
            return
        }
        #expect(text.contains(words), "\(text)")
    }

    /// One that fails now and then tells nothing about a failure that comes always.
    @Test func aKernelThatFailsSometimesIsPassedOver() async throws {
        let (good, bad, unsteady) = (FakeTrials.good, FakeTrials.bad, FakeTrials.unsteady)
        let (code, log, _) = try await search([good, good, unsteady, bad, bad, bad])
        #expect(code == 4)
        #expect(
            log.contains { $0.contains("6.17: passed over (1 of 1 failed, flaky: failed in 2 of 6 runs)") }, "\(log)")
        #expect(log.contains { $0.contains("the first bad kernel is one of 6.17, 6.18") })
        let aside = try await search([good, unsteady, good, bad, bad, bad])
        #expect(aside.code == 0 && aside.log.contains("first bad kernel: 6.18"))
    }

    @Test func whereTheBadEndFailsSometimesThatIsWhatIsLookedFor() async throws {
        let (good, unsteady) = (FakeTrials.good, FakeTrials.unsteady)
        let (code, log, _) = try await search([good, good, unsteady, unsteady, unsteady, unsteady])
        #expect(code == 0 && log.contains("first bad kernel: 6.17"))
        #expect(log.contains { $0.contains("the bad end fails only sometimes") && $0.contains("--repeat N") })
        let error = await failure(of: { try await search([unsteady, good, good, good, good, FakeTrials.bad]) })
        #expect("\(error, default: "none")".contains("6.12 was given as good, but it fails sometimes"))
    }

    /// Every place at which a search can be interrupted: what was found out before is not tried again.
    @Test(arguments: 1...4) func anInterruptedSearchGoesOn(_ place: Int) async throws {
        let cache = try ScratchCache()
        let (good, bad) = (FakeTrials.good, FakeTrials.bad)
        let verdicts = [good, good, good, bad, bad, bad]
        let order = ["6.12", "7.3", "6.17", "6.18"]
        let question = BisectMemory.Question(good: "6.12", bad: "7.3", arguments: ["mprog.tcx"])
        func memory() -> BisectMemory {
            BisectMemory(question, folders: cache.folders) { text in Issue.record("\(text)") }
        }
        let candidates = names.map { KernelBisect.Candidate(name: $0, version: KernelVersion($0) ?? .init(0, 0)) }
        let stopped = KernelBisect(
            trials: FakeTrials(known(verdicts), stop: order[place - 1]), memory: memory(), log: { _ in })
        guard case .cancelled? = await failure(of: { try await stopped.run(candidates, goodIsOlder: true) }) else {
            Issue.record("it was not interrupted")
            return
        }
        let (code, log, asked) = try await search(verdicts, memory: memory())
        #expect(code == 0 && log.contains("first bad kernel: 6.18"))
        #expect(asked == Array(order[(place - 1)...]))
        // What is reported of kernels that were not tried again is what was said of them then.
        #expect(log.contains("    message: wrong errno") && log.contains("  s/c: passed"))
        #expect(log.contains { $0.hasPrefix("going on: ") } == (place > 1))
        #expect(try FileManager.default.contentsOfDirectory(atPath: cache.folders.cache.string + "/bisect").isEmpty)
    }

    @Test func anotherQuestionIsAnsweredAnew() async throws {
        let cache = try ScratchCache()
        let object = try cache.write("x.bpf.o", Data("one".utf8))
        func memory(_ bad: String, _ arguments: [String]) -> BisectMemory {
            BisectMemory(
                BisectMemory.Question(good: "6.12", bad: bad, arguments: arguments), folders: cache.folders
            ) { text in Issue.record("\(text)") }
        }
        func fill() async throws {
            _ = try await memory("7.3", [object.string]).trial(of: "6.17") { () throws(HarnessError) in
                FakeTrials.skipped
            }
        }
        try await fill()
        #expect(memory("7.3", [object.string]).known("6.17") == FakeTrials.skipped)
        #expect(memory("7.2", [object.string]).known("6.17") == nil)
        #expect(memory("7.3", [object.string, "-w", "5"]).known("6.17") == nil)
        try cache.write("x.bpf.o", Data("another".utf8))
        #expect(memory("7.3", [object.string]).known("6.17") == nil)
        try await fill()
        for name in try FileManager.default.contentsOfDirectory(atPath: cache.folders.cache.string + "/bisect") {
            try cache.write("bisect/\(name)", Data("{\"format\": 1, \"tri".utf8))
        }
        #expect(memory("7.3", [object.string]).known("6.17") == nil)
    }

    /// What could not be tried says nothing about the kernel.
    @Test func whatWasThrownIsNotRemembered() async throws {
        let memory = BisectMemory()
        _ = await failure(of: {
            try await memory.trial(of: "6.17") { () throws(HarnessError) in throw .infrastructure("no network") }
        })
        #expect(memory.known("6.17") == nil)
    }

    @Test func aRunThatFailsSometimesIsToldFromOneThatFails() {
        func trial(_ verdicts: [String]) -> BisectTrial {
            let results = verdicts.map { verdict in
                var result = FakeTrials.result(.failed(.test))
                result.diagnostics["verdict"] = verdict
                return result
            }
            let kernel = KernelResults(KernelIdentity(name: "k", spec: "k"), suites: [SuiteResults("s", results)])
            return BisectTrial(of: RunResults(kernels: [kernel]))
        }
        let (always, flaky) = ("failure: it fails alone in a pristine machine too", "flaky: failed in 2 of 6 runs")
        #expect(trial([flaky]).failsSometimes && trial([flaky]).verdict == .bad)
        #expect(trial([flaky]).summary == "1 of 1 failed, flaky: failed in 2 of 6 runs")
        #expect(!trial([always]).failsSometimes && !trial([flaky, always]).failsSometimes)
        #expect(!trial(["order-dependent: alone it passed 5 of 5 times"]).failsSometimes)
    }

    /// What the run itself says is all of it: options, agents, the object's file.
    @Test func aloneIsTheRunsOwnCommandWithTheKernelsName() {
        var result = FakeTrials.result(.failed(.test), "wrong errno")
        result.diagnostics["run_alone"] = "bpftest run -k bisect-1f --memory 512 ./bisect-1f.bpf.o/c"
        let trial = BisectTrial(.bad, "1 of 1 failed", results: [result]).calling("bisect-1f", "8f0c06cd53f7")
        #expect(
            trial.failures(on: "8f0c06cd53f7").last
                == "    alone: bpftest run -k 8f0c06cd53f7 --memory 512 ./bisect-1f.bpf.o/c")
    }

    @Test func aRunIsJudged() {
        func trial(_ outcomes: [Outcome]) -> BisectTrial {
            BisectTrial(
                of: RunResults(kernels: [
                    KernelResults(
                        KernelIdentity(name: "k", spec: "k"),
                        suites: [SuiteResults("s", outcomes.map { FakeTrials.result($0) })])
                ]))
        }
        let skip = Outcome.skipped(reason: "no tcx")
        #expect(trial([.passed, skip]).verdict == .good)
        #expect(trial([.passed, .failed(.test)]).verdict == .bad)
        #expect(trial([.failed(.kernel)]).verdict == .bad)
        #expect(trial([skip, skip]) == BisectTrial(.skipped, "skipped: no tcx", results: trial([skip, skip]).results))
        #expect(trial([.failed(.boot)]).verdict == .skipped)
        #expect(trial([]).verdict == .skipped)
    }

    @Test func theLadderHasOneKernelOfEachVersionAndPrefersTheCache() async throws {
        let cache = try ScratchCache()
        try cache.addKernel("6.12.117+deb13-cloud-amd64", version: "6.12.117")
        try cache.addKernel("6.17-mine", version: "6.17", name: "mine", source: .build)
        let offer = { (release: String, version: String) in DebianArchiveTests.offer(release, version) }
        var archive = FakeArchive(offers: [
            offer("6.1.0-56-cloud-amd64", "6.1.192"), offer("6.12.117+deb12-cloud-amd64", "6.12.117"),
            offer("6.12.95+deb12-cloud-amd64", "6.12.95"), offer("6.18.15+deb13-cloud-amd64", "6.18.15"),
            offer("6.18.15+deb13-amd64", "6.18.15"), offer("7.2.12+deb13-cloud-amd64", "7.2.12"),
        ])
        archive.offers.append(
            DebianArchiveTests.offer("7.1.13+deb13-cloud-amd64", "7.1.13", missing: ["linux-modules"]))
        let store = KernelStore(folders: cache.folders, sources: KernelSources(), archive: archive)
        let between = ["6.12.117+deb13-cloud-amd64", "6.18.15+deb13-cloud-amd64", "7.2.12+deb13-cloud-amd64"]
        let up = try await store.ladder(good: "6.12", bad: "7.2")
        #expect(up.candidates.map(\.name) == between && up.goodIsOlder)
        let down = try await store.ladder(good: "7.2", bad: "6.12")
        #expect(down.candidates.map(\.name) == between && !down.goodIsOlder)
        for (good, bad, words) in [
            ("9.9", "7.2", "there is no kernel 9.9"), ("6.12", "7.2:generic", "different flavours"),
            ("vmlinuz", "7.2", "--good wants a version"), ("6.12", "all", "--bad wants a version"),
        ] {
            let error = await failure(of: { try await store.ladder(good: good, bad: bad) })
            guard case .usage(let text)? = error else {
                Issue.record("\(good) to \(bad) was taken: \(String(describing: error))")
                return
            }
            #expect(text.contains(words), "\(text)")
        }
    }
}

/// `bpftest run`, as far as a search depends on it.
@Suite struct RunTrialsTests {
    private func check(_ script: String) async throws -> HarnessError? {
        let cache = try ScratchCache()
        let file = try cache.write("bpftest", Data("#!/bin/sh\n\(script)\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.string)
        let trials = RunTrials(executable: file, arguments: ["-w", "5", "mprog.tcx"])
        return await failure(of: { try await trials.check() })
    }

    /// Before a kernel is built or fetched for it.
    @Test func whatDoesNotExistShowsAtOnce() async throws {
        #expect(try await check(#"test "$*" = "run --list -w 5 mprog.tcx""#) == nil)
        guard case .usage(let text)? = try await check("echo 'bpftest: no such case' >&2; exit 2") else {
            Issue.record("it went on")
            return
        }
        #expect(text == "no such case")
        guard case .infrastructure? = try await check("exit 3") else {
            Issue.record("trouble of ours was passed over")
            return
        }
    }
}

private let hasGit = FileManager.default.isExecutableFile(atPath: "/usr/bin/git")

/// git itself over small histories; kernels are files that say what they are.
@Suite(.enabled(if: hasGit)) struct GitBisectTests {
    let cache: ScratchCache
    let source: FilePath

    init() async throws {
        cache = try ScratchCache()
        source = cache.folders.cache.appending("linux")
    }

    private func git(_ arguments: [String]) async throws -> String {
        let identity = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main"]
        return try await Tool.require(
            "git", ["-C", source.string] + identity + arguments, package: "git", to: "make a history")
    }

    /// A commit for each word, named after its number.
    private func makeHistory(_ words: [String]) async throws {
        try FileManager.default.createDirectory(atPath: source.string, withIntermediateDirectories: true)
        _ = try await git(["init", "--quiet"])
        for (number, word) in words.enumerated() {
            try cache.write("linux/kernel", Data("\(word) \(number)".utf8))
            _ = try await git(["add", "kernel"])
            _ = try await git(["commit", "--quiet", "-m", "\(word)"])
            _ = try await git(["tag", "c\(number)"])
        }
    }

    private static let error = "kernel/bpf/tcx.c:12:1: error: expected ';' before 'int'"

    private struct FakeBuilder: BisectBuilder {
        func build(_ tree: FilePath) async throws(HarnessError) -> String {
            let content = FileManager.default.contents(atPath: tree.appending("kernel").string) ?? Data()
            let word = String(decoding: content, as: UTF8.self).split(separator: " ").first.map(String.init) ?? ""
            if word == "unbuildable" {
                throw .infrastructure(
                    """
                    cannot build \(tree): make bzImage failed (build.log)
                      \(tree)/\(GitBisectTests.error)
                      make[5]: *** [\(tree)/scripts/Makefile.build:234: kernel/bpf/tcx.o] Error 1
                    a kernel build needs: flex
                    """)
            }
            return word
        }

        func command(source: FilePath, name: String) -> String { "build \(source) as \(name)" }

        func clean() async throws(HarnessError) {}
    }

    /// As `kernels build` would be called for what bisect built.
    @Test func theCommandBuildsWhatWasBuilt() throws {
        let store = KernelStore(folders: cache.folders, sources: KernelSources())
        let builder = CacheBuilder(
            store: store, name: "bisect-1", fragments: KernelBuilder.usualFragments + ["debug", "my own.config"],
            jobs: 2)
        #expect(
            builder.command(source: "/src/linux-abc", name: "abc")
                == "bpftest kernels build --source /src/linux-abc --name abc --fragment debug --fragment 'my own.config'"
        )
    }

    private func search(
        good: String, bad: String, stop: String? = nil
    ) async throws -> (code: Int32, log: [String], tried: [String]) {
        let verdicts = [
            "good": FakeTrials.good, "bad": FakeTrials.bad, "unbootable": BisectTrial(.skipped, "it did not boot"),
        ]
        let trials = FakeTrials(verdicts, stop: stop)
        let log = Mutex<[String]>([])
        let folders = cache.folders
        let worktree = try await GitWorktree(of: source, at: cache.folders.cache.appending("tree"))
        let bisect = GitBisect(
            worktree: worktree, builder: FakeBuilder(), trials: trials,
            remember: { good, bad in
                BisectMemory(BisectMemory.Question(good: good, bad: bad, arguments: []), folders: folders) { _ in }
            }, log: { line in log.withLock { $0.append(line) } })
        let code = try await bisect.search(good: good, bad: bad)
        try await worktree.remove()
        return (code, log.withLock { $0 }, trials.order)
    }

    @Test func theCommitIsFoundPastWhatCannotBeBuiltOrBooted() async throws {
        try await makeHistory([
            "good", "good", "unbootable", "good", "unbuildable", "good", "bad", "bad", "bad",
        ])
        // The user is in the middle of something.
        try cache.write("linux/kernel", Data("work in progress".utf8))
        let (code, log, _) = try await search(good: "c0", bad: "c8")
        #expect(code == 0)
        let id = try await git(["rev-parse", "c6"]).prefix(12)
        #expect(log.contains("first bad commit: \(id) \"bad\""), "\(log)")
        // What the compiler said first, by its place in the tree, and no line more.
        #expect(log.contains { $0.contains("\"unbuildable\": passed over (it cannot be built: \(Self.error)); ") })
        #expect(log.contains("    message: wrong errno") && log.contains("  s/c: passed"))
        // A commit is no kernel; one of that name is made by the command behind it.
        #expect(log.contains("    alone: bpftest run -k \(id) s/c"))
        let tree = "\(source)-\(id)"
        #expect(
            log.last == "kernel \(id): git -C \(source) worktree add --detach \(tree) \(id) && build \(tree) as \(id)")
        // Nothing of the user's has changed, and nothing of ours is left.
        let kernel = FileManager.default.contents(atPath: source.appending("kernel").string)
        #expect(kernel == Data("work in progress".utf8))
        #expect(try await git(["rev-parse", "--abbrev-ref", "HEAD"]) == "main\n")
        #expect(try await git(["worktree", "list"]).split(separator: "\n").count == 1)
        #expect(try await git(["for-each-ref", "refs/bisect"]) == "")
        #expect(!cache.exists("tree"))
    }

    @Test func anInterruptedSearchGoesOnWithoutTryingAgain() async throws {
        try await makeHistory(["good", "good", "unbuildable", "good", "unbootable", "good", "good", "bad", "bad"])
        // Stopped when it comes to the middle, behind both ends.
        let error = await failure(of: { try await search(good: "c0", bad: "c8", stop: "unbootable") })
        guard case .cancelled? = error else {
            Issue.record("it was not interrupted: \(String(describing: error))")
            return
        }
        let (code, log, tried) = try await search(good: "c0", bad: "c8")
        let id = try await git(["rev-parse", "c7"]).prefix(12)
        #expect(code == 0 && log.contains("first bad commit: \(id) \"bad\""), "\(log)")
        #expect(log.contains("going on: what an interrupted search found out of 2 commits is known"))
        // The ends are not among them.
        #expect(tried.first == "unbootable", "\(tried)")
        #expect(log.contains("    message: wrong errno") && log.contains("  s/c: passed"))
    }

    @Test func theCommitThatPutItRight() async throws {
        try await makeHistory(["bad", "bad", "bad", "good", "good"])
        let (code, log, _) = try await search(good: "c4", bad: "c0")
        #expect(code == 0)
        let id = try await git(["rev-parse", "c3"]).prefix(12)
        #expect(log.contains("first good commit: \(id) \"good\""), "\(log)")
    }

    @Test func whatIsPassedOverBesideItIsNamed() async throws {
        try await makeHistory(["good", "good", "unbuildable", "unbootable", "bad", "bad"])
        let (code, log, _) = try await search(good: "c0", bad: "c5")
        #expect(code == 4)
        for tag in ["c2", "c3", "c4"] {
            let id = try await git(["rev-parse", tag]).prefix(12)
            #expect(log.contains { $0.hasPrefix("  \(id)") }, "\(log)")
        }
    }

    @Test func endsAreTriedFirstAndMustBeAsWasSaid() async throws {
        try await makeHistory(["good", "good", "unbuildable", "bad"])
        for (good, bad, words) in [
            ("c0", "c1", "was given as bad, but it is good"), ("c3", "c0", "was given as good, but it is bad"),
            ("c0", "c2", "cannot be judged: it cannot be built: \(Self.error)"),
            ("c0", "nothing", "has no commit 'nothing'"), ("c1", "c1", "nothing between the two"),
        ] {
            let error = await failure(of: { try await search(good: good, bad: bad) })
            guard case .usage(let text)? = error else {
                Issue.record("\(good)..\(bad) was taken: \(String(describing: error))")
                return
            }
            #expect(text.contains(words), "\(text)")
        }
        #expect(try await git(["for-each-ref", "refs/bisect"]) == "")
    }

    @Test func aFolderWithoutGitIsRefused() async throws {
        try FileManager.default.createDirectory(atPath: source.string, withIntermediateDirectories: true)
        guard let error = await failure(of: { try await GitWorktree(of: source, at: "/nowhere") }) else {
            Issue.record("it was taken")
            return
        }
        #expect("\(error)".contains("is in no git work tree"))
    }

    @Test(arguments: ["", "..", "a..", "..b", "a...b", "a", "a-b"])
    func rangesHaveTwoEnds(_ range: String) {
        #expect(throws: HarnessError.self) { try GitBisect.ends(range) }
    }

    @Test func anEndMayBeAnyNameOfACommit() throws {
        let ends = try GitBisect.ends("v6.12..HEAD~3")
        #expect(ends.good == "v6.12" && ends.bad == "HEAD~3")
    }
}

/// The script, run by a shell, with a bpftest and a make that do as they are told.
@Suite struct BisectScriptTests {
    private func code(
        run: Int32, results: String = "", build: Int32 = 0, builds: Bool = true
    ) async throws -> (code: Int32?, calls: String) {
        let cache = try ScratchCache()
        let calls = cache.folders.cache.appending("calls")
        let fake = """
            #!/bin/sh
            echo "${0##*/} $*" >>\(calls)
            case "$1" in
                run) printf '%s' '\(results)' >"$5"; exit \(run) ;;
                *) exit \(build) ;;
            esac
            """
        for name in ["bpftest", "make"] {
            let file = try cache.write("bin/\(name)", Data(fake.utf8))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.string)
        }
        let text = BisectScript.text(
            executable: cache.folders.cache.appending("bin/bpftest").string, builds: builds, fragments: ["debug"],
            arguments: ["-t", "it's *", "mprog.tcx"])
        let script = try cache.write("script", Data(text.utf8))
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let answer = try await Tool.run(
            "sh", [script.string], environment: ["PATH": "\(cache.folders.cache.appending("bin")):\(path)"],
            package: "dash")
        return (answer.code, try String(contentsOfFile: calls.string, encoding: .utf8))
    }

    @Test(arguments: [(0, 0), (1, 1), (2, 255), (3, 125), (4, 125), (130, 255)] as [(Int32, Int32)])
    func exitStatuses(_ run: Int32, _ expected: Int32) async throws {
        #expect(try await code(run: run).code == expected)
    }

    @Test func aKernelThatDoesNotBootIsSkipped() async throws {
        let line = #"{"blame":"kernel did not boot","event":"case_finished"}"#
        #expect(try await code(run: 1, results: line).code == 125)
    }

    @Test func whatCannotBeBuiltIsSkippedAndAnInterruptionStops() async throws {
        let failed = try await code(run: 0, build: 2)
        #expect(failed.code == 125 && !failed.calls.contains(" run "))
        #expect(try await code(run: 0, build: 130).code == 255)
        #expect(try await code(run: 0, build: 2, builds: false).code == 125)
    }

    @Test func wordsReachTheRunAsTheyAre() async throws {
        let calls = try await code(run: 0).calls
        #expect(calls.contains("kernels build --source . --name bisect-") && calls.contains(" --fragment debug"))
        #expect(calls.contains(" -t it's * mprog.tcx"))
        let own = try await code(run: 0, builds: false).calls
        #expect(own.contains("make -s -j") && own.contains("run -k . --json"))
    }
}
