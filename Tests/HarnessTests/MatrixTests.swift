// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import TAP
import Testing
import VMRunner

@testable import Harness

/// `all` in `kernels`.
@Suite struct MatrixKernelsTests {
    private func kernels(_ text: String, only: [String] = []) async throws -> MatrixConfig {
        let cache = try ScratchCache()
        let offers = [("5.10.0-46-cloud-amd64", "5.10.262"), ("6.12.117+deb12-cloud-amd64", "6.12.117")]
        let store = KernelStore(
            folders: cache.folders, sources: KernelSources(),
            archive: FakeArchive(offers: offers.map { DebianArchiveTests.offer($0.0, $0.1) }))
        var config = try MatrixConfig(file: "bpftest.toml", text: text)
        try await config.expandKernels(only: only, store)
        return config
    }

    @Test func eachKernelIsThereOnceWithWhatIsSpecialAboutIt() async throws {
        let text = """
            kernels = ["all", "6.12", "6.12.95"]
            [kernel.all]
            append = ["quiet"]
            [kernel."6.12"]
            deny = ["explore.*"]
            """
        let config = try await kernels(text)
        #expect(config.kernels == ["5.10", "6.12", "6.12.95"])
        #expect(config.special("5.10").append == ["quiet"] && config.special("6.12").append == [])
        #expect(config.special("6.12").deny == ["explore.*"] && config.special("6.12.95") == MatrixConfig.Kernel())
        #expect(try await kernels(text, only: ["5.10", "6.12.95"]).kernels == ["5.10", "6.12.95"])
        #expect(try await kernels(text, only: ["all"]).kernels == ["5.10"])
    }

    @Test func aKernelThatIsNotThereIsNamedWithThoseThatAre() async throws {
        let error = await failure(of: { try await kernels("kernels = [\"all\"]", only: ["7.2"]) })
        guard case .usage(let text)? = error else {
            Issue.record("it was taken")
            return
        }
        #expect(text == "bpftest.toml has no kernel 7.2; it has: 5.10, 6.12")
    }
}

@Suite struct MatrixConfigTests {
    private func config(_ text: String) throws(HarnessError) -> MatrixConfig {
        try MatrixConfig(file: "ci/bpftest.toml", text: text)
    }

    private func refusal(_ text: String) -> String {
        do throws(HarnessError) {
            _ = try config(text)
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func fiveLinesAreEnough() throws {
        let config = try config(MatrixTemplates.config(objects: ["src/*.bpf.o"]))
        #expect(config.kernels == ["5.10", "6.1", "6.12"])
        #expect(config.objects == ["src/*.bpf.o"])
        #expect(config.suites == nil)
        #expect(config.baseline == "bpftest-baseline.json")
        #expect(MatrixTemplates.config(objects: []).split(separator: "\n").count <= 5)
    }

    @Test func everyKeyIsRead() throws {
        let config = try config(
            """
            kernels = ["6.12", "7.2"]
            suites = ["mprog.*", "kfuncs.task"]
            baseline = "expected.json"
            [defaults]
            jobs = 3
            memory = 512
            cpus = 2
            timeout = 1000
            case-timeout = 12.5
            boot-timeout = 90
            isolated = "case"
            reruns = 0
            append = ["quiet"]
            [kernel."7.2"]
            modules = "lib"
            append = ["lsm=bpf"]
            config = ["CONFIG_NETKIT=y", "CONFIG_KASAN=n", "CONFIG_VETH"]
            allow = ["mprog.tcx"]
            deny = ["*/M-00?"]
            [[known]]
            case = "mprog.tcx/M-049*"
            kernels = ["7.*"]
            reason = "only 32 bits"
            expires = 2027-01-31
            [[known]]
            case = "kfuncs.task"
            reason = "why not"
            """)
        #expect(config.suites == ["mprog.*", "kfuncs.task"])
        var defaults = MatrixConfig.Defaults()
        defaults.jobs = 3
        defaults.memoryMiB = 512
        defaults.cpus = 2
        defaults.runSeconds = 1000
        defaults.caseSeconds = 12.5
        defaults.bootSeconds = 90
        defaults.isolation = .case
        defaults.reruns = 0
        defaults.append = ["quiet"]
        #expect(config.defaults == defaults)
        let special = config.special("7.2")
        #expect(special.modules == "ci/lib", "relative to the file")
        #expect(special.append == ["lsm=bpf"])
        #expect(special.config.map(\.description) == ["CONFIG_NETKIT=y", "CONFIG_KASAN=n", "CONFIG_VETH"])
        #expect(config.special("6.12") == MatrixConfig.Kernel())
        #expect(
            config.known == [
                KnownFailure(
                    pattern: "mprog.tcx/M-049*", kernels: ["7.*"], reason: "only 32 bits", expires: "2027-01-31"),
                KnownFailure(pattern: "kfuncs.task", reason: "why not"),
            ])
    }

    @Test(
        arguments: [
            ("kernals = []", "'kernals' is unknown: is it 'kernels'?"),
            ("kernels = [\"6.12\"]\nxyz = 1", "'xyz' is unknown; known here: "),
            ("kernels = [\"6.12\"]\n[defaults]\nmemroy = 1", "'memroy' in [defaults] is unknown: is it 'memory'?"),
            ("kernels = [\"6.12\"]\n[kernel.\"6.12\"]\nallows = []", "is it 'allow'?"),
            (
                "kernels = [\"6.12\"]\n[kernel.\"6.1\"]",
                "[kernel.\"6.1\"] is about no kernel in 'kernels': is it \"6.12\""
            ),
            ("kernels = \"6.12\"", "'kernels' wants an array of strings"),
            ("kernels = [6.12]", "'kernels' wants an array of strings"),
            ("kernels = []", "'kernels' names no kernel"),
            ("kernels = [\"6.1\", \"6.1\"]", "'kernels' has 6.1 twice"),
            ("kernels = [\"6.1\"]\n[defaults]\nmemory = 1", "'memory' in [defaults] wants a whole number from 64"),
            ("kernels = [\"6.1\"]\n[defaults]\ntimeout = 0", "wants a number of seconds above 0"),
            ("kernels = [\"6.1\"]\n[defaults]\nisolated = \"no\"", "wants \"batch\", \"suite\", \"case\" or \"none\""),
            ("kernels = [\"6.1\"]\n[kernel.\"6.1\"]\nconfig = [\"NETKIT\"]", "not \"NETKIT\""),
            ("kernels = [\"6.1\"]\n[[known]]\ncase = \"a\"", "[[known]] number 1 wants 'reason'"),
            ("kernels = [\"6.1\"]\n[[known]]\nreason = \"a\"", "[[known]] number 1 wants 'case'"),
            (
                "kernels = [\"6.1\"]\n[[known]]\ncase = \"a\"\nreason = \"b\"\nexpires = \"soon\"",
                "'expires' in [[known]] number 1 wants a date"
            ),
            ("kernels = [\n\"6.1\"\nx", "ci/bpftest.toml:3: "),
            ("kernels = [\"6.1\"]\n[known]\ncase = \"a\"", "'known' wants tables in a row: [[known]]"),
            ("kernels = [\"6.1\"]\n[kernel.\"6.1\"]\ndeny = [\"@absent\"]", "the list ci/absent cannot be read"),
        ])
    func whatIsWrongIsSaid(_ text: String, _ message: String) {
        let said = refusal(text)
        #expect(said.hasPrefix("ci/bpftest.toml") || said.hasPrefix("the list"), "\(said)")
        #expect(said.contains(message), "\(said)")
    }

    @Test func listsComeFromFilesToo() throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("lists-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        try Data("# slow under TCG\nkptr.race\n\nmprog.*/M-049*  # 32 bits\n".utf8).write(
            to: URL(fileURLWithPath: folder.appending("DENYLIST").string))
        let config = try MatrixConfig(
            file: folder.appending("bpftest.toml"),
            text: "kernels = [\"6.12\", \"7.2\"]\n[kernel.\"6.12\"]\ndeny = [\"@DENYLIST\", \"a/b\"]")
        #expect(config.special("6.12").deny == ["kptr.race", "mprog.*/M-049*", "a/b"])
        func runs(_ suite: String, _ id: String, on kernel: String = "6.12") -> Bool {
            config.allows(CaseID(suite: suite, id: id), on: kernel)
        }
        #expect(!runs("kptr.race", "P-001"))
        #expect(runs("kptr.races", "P-001"), "another suite")
        #expect(!runs("mprog.tcx", "M-049.ingress"))
        #expect(!runs("a", "b"))
        #expect(runs("a", "bc"), "a name is the whole name")
        #expect(runs("kptr.race", "P-001", on: "7.2"))
    }

    @Test func allowedIsWhatIsOnTheListAndNotDenied() throws {
        let config = try config(
            "kernels = [\"6.12\"]\n[kernel.\"6.12\"]\nallow = [\"mprog.*\"]\ndeny = [\"mprog.race\"]")
        #expect(config.allows(CaseID(suite: "mprog.tcx", id: "M-001"), on: "6.12"))
        #expect(!config.allows(CaseID(suite: "mprog.race", id: "M-001"), on: "6.12"))
        #expect(!config.allows(CaseID(suite: "kfuncs.task", id: "K-001"), on: "6.12"))
    }

    @Test(arguments: [("kernel", "kernels", 1), ("", "abc", 3), ("memroy", "memory", 1), ("ca", "abc", 3)])
    func spellingCountsWhatHasToChange(_ left: String, _ right: String, _ distance: Int) {
        #expect(Spelling.distance(left, right) == distance)
        #expect(Spelling.distance(right, left) == distance)
    }

    @Test func knownFailuresHaveTheirKernelsAndTheirLastDay() {
        let known = KnownFailure(pattern: "s/a*", kernels: ["6.18*"], reason: "r", expires: "2026-12-31")
        #expect(known.covers(CaseID(suite: "s", id: "ab"), on: ["6.18.15+deb13"]))
        #expect(!known.covers(CaseID(suite: "s", id: "ba"), on: ["6.18.15+deb13"]))
        #expect(!known.covers(CaseID(suite: "s", id: "ab"), on: ["6.1", "6.1.0-56-cloud-amd64"]))
        #expect(!known.isExpired(today: "2026-12-31"), "the last day counts")
        #expect(known.isExpired(today: "2027-01-01"))
        #expect(!KnownFailure(pattern: "s", reason: "r").isExpired(today: "9999-01-01"))
        let exact = KnownFailure(pattern: "s/a", kernels: ["6.1"], reason: "r")
        #expect(!exact.covers(CaseID(suite: "s", id: "a"), on: ["6.12"]), "6.1 is not 6.12")
    }

    @Test func todayIsADateThatSorts() {
        #expect(MatrixRun.today().wholeMatch(of: /20\d\d-\d\d-\d\d/) != nil)
    }

    /// A task of a cluster for which there is no suite is done, and not a wrong call to be tried again.
    @Test func aShardOfNothingHasDoneItsPart() throws {
        let config = try MatrixConfig(file: "bpftest.toml", text: "kernels = [\"6.12\"]")
        let one = SuiteListing.CaseListing(id: "c", title: "t", spec: [], since: nil, needs: [], alone: nil)
        let selection = Selection(
            agent: .builtIn(GuestFiles(directory: "/nowhere")),
            suite: SuiteListing(suite: "s", title: "t", cases: [one]), cases: [one])
        func run(_ selections: [Selection], _ shard: Shard?) -> MatrixRun {
            MatrixRun(config, selections: selections, shard: shard, today: "2026-01-01")
        }
        let nothing = RunResults(kernels: [])
        #expect(run([selection], Shard(index: 1, count: 3)).exitCode(of: nothing) == 0)
        #expect(run([selection], Shard(index: 2, count: 3)).exitCode(of: nothing) == 2, "that one has the suite")
        #expect(run([], Shard(index: 1, count: 3)).exitCode(of: nothing) == 2, "nobody has anything to do")
        var broken = nothing
        broken.bailedOut = "no QEMU"
        #expect(run([selection], Shard(index: 1, count: 3)).exitCode(of: broken) == 3)
    }
}

@Suite struct MatrixPlanTests {
    private func plan() throws -> MatrixPlan {
        let config = try MatrixConfig(
            file: "bpftest.toml",
            text: "kernels = [\"5.10\", \"6.1\", \"6.12\"]\n[kernel.\"6.1\"]\ndeny = [\"b\", \"c/3\"]")
        return MatrixPlan(config, suites: [("a", ["1", "2", "3", "4"]), ("b", ["1"]), ("c", ["1", "2", "3"])])
    }

    @Test func listsAreApplied() throws {
        #expect(
            try plan().cells.map { "\($0.kernel) \($0.suite) \($0.cases)" } == [
                "5.10 a 4", "5.10 b 1", "5.10 c 3", "6.1 a 4", "6.1 c 2", "6.12 a 4", "6.12 b 1", "6.12 c 3",
            ])
    }

    @Test(arguments: 1...12)
    func shardsHaveEachCellOnce(_ count: Int) throws {
        let plan = try plan()
        let all = (1...count).flatMap { plan.cells(of: Shard(index: $0, count: count)!) }
        #expect(all == plan.cells, "in order, each once")
    }

    @Test func shardsAreOfAboutTheSameSize() throws {
        let config = try MatrixConfig(file: "b", text: "kernels = [\"1.0\", \"2.0\", \"3.0\", \"4.0\"]")
        let plan = MatrixPlan(config, suites: (0..<50).map { ("s\($0)", (0...($0 % 7)).map(String.init)) })
        let sizes = (1...8).map { number in
            plan.cells(of: Shard(index: number, count: 8)!).reduce(0) { $0 + $1.cases }
        }
        let mean = Double(sizes.reduce(0, +)) / 8
        #expect(sizes.allSatisfy { abs(Double($0) - mean) <= 7 }, "\(sizes)")
    }

    @Test func jobsAreListedForAWorkflow() throws {
        let text = try plan().json(shards: 3)
        #expect(
            text == #"{"cases":22,"include":["#
                + #"{"cases":8,"kernels":["5.10"],"shard":"1/3"},{"cases":6,"kernels":["6.1"],"shard":"2/3"},"#
                + #"{"cases":8,"kernels":["6.12"],"shard":"3/3"}],"kernels":["5.10","6.1","6.12"],"version":1}"#)
        #expect(try plan().json(shards: 100).components(separatedBy: "\"shard\"").count - 1 == 8, "no empty jobs")
    }

    @Test(arguments: ["0/3", "4/3", "1", "1/0", "a/b", "1/2/3", "", "-1/2"])
    func shardsThatCannotBeAreRefused(_ text: String) {
        #expect(Shard(text) == nil)
    }
}

@Suite struct BaselineTests {
    private func baseline(_ lines: [String]) -> Baseline {
        var baseline = Baseline()
        for line in lines {
            let words = line.split(separator: " ").map(String.init)
            baseline.set(
                Baseline.State(rawValue: words[3]) ?? .skipped, CaseID(suite: words[1], id: words[2]), on: words[0])
        }
        return baseline
    }

    private let old = ["6.1 s a passed", "6.1 s b failed", "6.1 s c passed", "6.1 s d passed", "6.12 s a passed"]

    @Test func everyKindOfChangeIsTold() {
        let new = [
            "6.1 s a failed", "6.1 s b passed", "6.1 s c skipped", "6.12 s a passed", "6.12 s n failed",
            "6.12 s m passed",
        ]
        let changes = BaselineComparison(baseline: baseline(old), results: baseline(new), isPlanned: { _, _ in true })
        #expect(
            changes.newlyFailing.map(\.description) == [
                "6.1 s/a: passed, now failed", "6.12 s/n: not there, now failed",
            ])
        #expect(changes.newlyPassing.map(\.description) == ["6.1 s/b: failed, now passed"])
        #expect(changes.newlySkipped.map(\.description) == ["6.1 s/c: passed, now skipped"])
        #expect(changes.gone.map(\.description) == ["6.1 s/d: passed, now gone"])
        #expect(changes.added.map(\.description) == ["6.12 s/m: not there, now passed"])
        #expect(!changes.isGood)
        #expect(
            changes.lines[0]
                == "against the baseline: 2 newly failing, 1 gone, 1 newly skipped, 1 newly passing, 1 new")
    }

    @Test func whatFailedBeforeIsNoNews() {
        let changes = BaselineComparison(baseline: baseline(old), results: baseline(old), isPlanned: { _, _ in true })
        #expect(changes.isGood)
        #expect(changes.lines == ["as in the baseline"])
    }

    @Test func whatWasNotPlannedIsNotGone() {
        let new = ["6.12 s a passed"]
        let changes = BaselineComparison(
            baseline: baseline(old), results: baseline(new), isPlanned: { kernel, _ in kernel == "6.12" })
        #expect(changes.lines == ["as in the baseline"])
    }

    @Test func knownFailuresAreNoNews() {
        let new = old.map { $0 == "6.1 s a passed" ? "6.1 s a failed" : $0 }
        let changes = BaselineComparison(
            baseline: baseline(old), results: baseline(new), isPlanned: { _, _ in true },
            isKnown: { _, name in name.id == "a" })
        #expect(changes.isGood)
    }

    @Test func updatingKeepsWhatTheRunWasNotAbout() {
        var kept = baseline(old)
        kept.update(with: baseline(["6.1 s a skipped"]), isPlanned: { kernel, _ in kernel == "6.1" })
        #expect(kept == baseline(["6.1 s a skipped", "6.12 s a passed"]))
    }

    @Test func filesAreReadBackAndDifferWhereTheResultsDo() throws {
        let path = FilePath(NSTemporaryDirectory()).appending("baseline-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        try baseline(old).write(path)
        #expect(try Baseline.read(path) == baseline(old))
        #expect(baseline(old).text == baseline(old.reversed()).text)
        #expect(baseline(old).text.contains("\"failed\" : [\n"))
    }

    @Test(arguments: [
        ("", "no baseline, or a damaged one"), ("{\"version\": 2, \"kernels\": {}}", "has version 2"),
        ("{\"version\": 1, \"kernels\": {\"6.1\": {\"s\": {\"maybe\": [\"a\"]}}}}", "'maybe' is no outcome"),
    ])
    func damagedFilesAreRefused(_ text: String, _ message: String) throws {
        let path = FilePath(NSTemporaryDirectory()).appending("baseline-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(atPath: path.string) }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path.string))
        do throws(HarnessError) {
            _ = try Baseline.read(path)
            Issue.record("it was read")
        } catch {
            #expect("\(error)".contains(message), "\(error)")
        }
    }
}

@Suite struct GitHubActionsTests {
    private func output(_ body: (inout GitHubActions) throws -> Void) throws -> String {
        let text = Text()
        var sink = GitHubActions { text.value += $0 }
        try body(&sink)
        return text.value
    }

    private final class Text {
        var value = ""
    }

    private func failure(_ id: String, known: String? = nil) -> CaseResult {
        var result = CaseResult(
            kernel: "6.12", name: CaseID(suite: "s", id: id), title: "t", outcome: .failed(.test), known: known)
        result.diagnostics["message"] = "50% of it:\n::error::no command"
        return result
    }

    @Test func guestsTextIsNoCommand() throws {
        let text = try output { try $0.caseFinished(failure("a,b:c")) }
        #expect(text == "::error title=s/a%2Cb%3Ac on 6.12::50%25 of it:%0A::error::no command\n")
    }

    @Test func onlyTenAreShownAndTheRestIsCounted() throws {
        let text = try output { sink in
            for number in 0..<30 { try sink.caseFinished(failure("\(number)")) }
            try sink.caseFinished(failure("known", known: "because"))
            try sink.runFinished(tally: Tally())
        }
        #expect(text.split(separator: "\n").count == 10)
        #expect(text.contains("::21 more failures"))
        #expect(!text.contains("known"))
    }

    @Test func theSummaryIsAddedToWhatIsThere() throws {
        let path = NSTemporaryDirectory() + "/summary-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for text in ["one\n", "two\n"] {
            try GitHubActions.summarise(text, environment: ["GITHUB_STEP_SUMMARY": path])
        }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "one\ntwo\n")
        try GitHubActions.summarise("nobody reads it", environment: [:])
    }

    @Test func initWritesNothingOver() throws {
        let path = FilePath(NSTemporaryDirectory()).appending("init-\(UUID().uuidString)/a/bpftest.toml")
        defer { try? FileManager.default.removeItem(atPath: path.removingLastComponent().string) }
        try MatrixTemplates.write("mine", to: path)
        #expect(throws: HarnessError.self) { try MatrixTemplates.write("other", to: path) }
        #expect(try String(contentsOfFile: path.string, encoding: .utf8) == "mine")
    }
}
