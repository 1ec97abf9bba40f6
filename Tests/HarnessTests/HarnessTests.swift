// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import TAP
import Testing
import VMRunner

@testable import Harness

@Suite struct JudgeTests {
    private func judge(
        _ version: String, config: String? = "", _ point: TestPoint, _ diagnostics: Diagnostics = Diagnostics()
    ) throws -> (Outcome, Diagnostics) {
        Judge(version: try #require(KernelVersion(version)), config: config.map { KernelConfig(text: $0) })
            .judge(point, diagnostics)
    }

    private let absent = Diagnostics([
        .init("absent", "tcx"), .init("evidence", "EINVAL (22)"), .init("since", "6.6"),
        .init("config", "CONFIG_NET_XGRESS"),
    ])
    private let skip = TestPoint(ok: true, number: 1, description: "x", directive: .skip(reason: "tcx is absent"))

    @Test func pointsAreWhatTheySay() throws {
        #expect(try judge("6.12", TestPoint(ok: true, number: 1, description: "x")).0 == .passed)
        #expect(try judge("6.12", TestPoint(ok: false, number: 1, description: "x")).0 == .failed(.test))
        #expect(
            try judge("6.12", TestPoint(ok: false, number: 1, description: "x", directive: .todo(reason: ""))).0
                == .skipped(reason: "known to fail (TODO)"))
        #expect(try judge("6.12", skip).0 == .skipped(reason: "tcx is absent"))
    }

    @Test(arguments: ["5.10", "6.1.192", "6.6-rc1"]) func absentAndNotDueIsASkipWithEvidence(_ version: String) throws {
        #expect(
            try judge(version, skip, absent).0
                == .skipped(reason: "tcx is absent and not due before 6.6: EINVAL (22)"))
    }

    @Test func absentThoughDueIsAFailure() throws {
        let (outcome, diagnostics) = try judge("6.6", config: "CONFIG_NET_XGRESS=y", skip, absent)
        #expect(outcome == .failed(.absent))
        #expect(diagnostics["observed"] == "EINVAL (22)")
        #expect(diagnostics["message"] == "tcx is absent although 6.6 is due to have it (since 6.6)")
        #expect(diagnostics["hint"] == nil)
    }

    @Test func theConfigExplainsAnAbsence() throws {
        #expect(
            try judge("6.12", config: "CONFIG_NET=y", skip, absent).0
                == .skipped(reason: "tcx is absent: CONFIG_NET_XGRESS is not set"))
    }

    @Test func anUnknownConfigExplainsNothing() throws {
        let (outcome, diagnostics) = try judge("6.12", config: nil, skip, absent)
        #expect(outcome == .failed(.absent))
        #expect(diagnostics["hint"]?.contains("config is unknown") == true)
    }
}

@Suite struct GlobTests {
    @Test(arguments: [
        ("mprog.*", "mprog.tcx/M-001", true), ("*", "x", true), ("M-00?", "M-001", true), ("M-00?", "M-0011", false),
        ("*/M-00*", "a/M-002.x", true), ("M-002", "mprog.tcx/M-002.ingress", true), ("m-002", "M-002", false),
        ("a*b*c", "aXbYc", true), ("a*b*c", "aXc", false), ("", "anything", true),
        ("**a**", "banana", true), ("?", "", false),
    ])
    func matches(_ pattern: String, _ text: String, _ expected: Bool) {
        #expect(Glob.matches(pattern, text) == expected)
    }

    @Test func manyStarsTakeNoExponentialTime() {
        let text = String(repeating: "a", count: 2000)
        #expect(!Glob.matches(String(repeating: "*a", count: 200) + "b", text))
    }
}

@Suite struct CatalogueTests {
    private let suites = [
        SuiteListing(
            suite: "a.x", title: "",
            cases: ["1", "2"].map { .init(id: $0, title: "t", spec: [], since: nil, needs: []) }),
        SuiteListing(suite: "b", title: "", cases: [.init(id: "1", title: "t", spec: [], since: nil, needs: [])]),
    ]
    private let agent = Agent(file: "/a", guestPath: "/g", isBuiltIn: true)

    private func names(_ names: [String], _ patterns: [String] = []) throws -> [String] {
        try Catalogue.select([(agent, suites)], names: names, patterns: patterns)
            .flatMap { selection in selection.cases.map { "\(selection.suite.suite)/\($0.id)" } }
    }

    @Test func suitesCasesAndPatternsSelect() throws {
        #expect(try names([]) == ["a.x/1", "a.x/2", "b/1"])
        #expect(try names(["a.x"]) == ["a.x/1", "a.x/2"])
        #expect(try names(["b", "a.x/2"]) == ["a.x/2", "b/1"])
        #expect(try names([], ["*/1"]) == ["a.x/1", "b/1"])
        #expect(try names(["a.x"], ["*/1", "b*"]) == ["a.x/1"])
        #expect(try names(["a.*"]) == ["a.x/1", "a.x/2"])
        #expect(try names(["*/1"]) == ["a.x/1", "b/1"])
        #expect(throws: HarnessError.self, "a part of a name is none") { try names(["a"]) }
    }

    @Test func whatDoesNotExistIsSaid() {
        let error = #expect(throws: HarnessError.self) { try names(["c"]) }
        #expect(error?.description.contains("no suite or case c; suites: a.x, b") == true)
        #expect(throws: HarnessError.self) { try names([], ["zzz"]) }
    }

    @Test func aListingThatIsNoneIsRefused() throws {
        #expect(throws: HarnessError.self) { try Catalogue.parse("hello\n", from: "x") }
        let line =
            #"{"suite":"s","title":"t","cases":[{"id":"1","title":"t","spec":["M-1"],"since":null,"needs":["f"]}]}"#
        let parsed = try Catalogue.parse(line + "\n", from: "x")
        #expect(parsed.first?.cases.first?.needs == ["f"])
    }
}

@Suite struct ReporterTests {
    private func result(_ outcome: Outcome, _ diagnostics: Diagnostics = Diagnostics()) -> CaseResult {
        CaseResult(
            kernel: "6.12", name: CaseID(suite: "s", id: "X-1"), title: "t", outcome: outcome, diagnostics: diagnostics,
            duration: .milliseconds(12))
    }

    @Test func exitCodesFollowFromTheCounts() {
        func code(_ passed: Int, _ failed: Int, _ skipped: Int) -> Int32 {
            var tally = Tally()
            (tally.passed, tally.failed, tally.skipped) = (passed, failed, skipped)
            return tally.exitCode
        }
        #expect(code(1, 0, 5) == 0)
        #expect(code(5, 1, 0) == 1)
        #expect(code(0, 0, 0) == 2)
        #expect(code(0, 0, 3) == 4)
    }

    @Test func jsonLinesAreJSONAndHoldEverything() throws {
        nonisolated(unsafe) var text = ""
        var reporter = JSONLinesReporter { unsafe text += $0 }
        try reporter.runStarted(RunPlan(), kernels: 1)
        try reporter.kernelStarted(KernelIdentity(name: "6.12"), suites: 1, comments: ["c"])
        try reporter.suiteStarted("s", cases: 1)
        try reporter.caseFinished(result(.failed(.kernel), Diagnostics([.init("splat", "a\nb")])))
        try reporter.suiteFinished("s", tally: Tally())
        try reporter.bailedOut("why")
        let lines = unsafe text.split(separator: "\n")
        #expect(lines.count == 6)
        let objects = try lines.map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(objects[0]["version"] as? Int == 2)
        #expect(objects[3]["blame"] as? String == "kernel broke")
        #expect(objects[3]["suite"] as? String == "s")
        #expect(objects[3]["diagnostics"] as? [[String]] == [["splat", "a\nb"]])
        #expect(objects[5]["text"] as? String == "why")
    }

    @Test func aSinkThatCannotWriteEndsTheRun() {
        struct Full: Error {}
        let journal = Journal(sinks: [TAPReporter(dialect: .tap) { _ in throw Full() }], log: { _ in })
        let error = #expect(throws: HarnessError.self) { try journal.tell { try $0.runStarted(RunPlan(), kernels: 1) } }
        #expect(error?.description.contains("results cannot be written") == true)
    }
}

/// docs/architecture.md's "who may import whom", read off the sources.
@Suite struct ImportRuleTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Sources")

    static let ours: Set<String> = suites.union([
        "GuestProtocol", "TAP", "CLinux", "LinuxIO", "CBpf", "AgentKit", "GuestInit", "CGuestInit", "VMRunner",
        "Harness", "TerminalUI", "GRDB", "Exploration", "BTF", "Crashes", "Archives", "CArchive",
    ])
    static let suites: Set<String> = [
        "MprogSuites", "KfuncSuites", "KptrSuites", "DynptrSuites", "NamespaceSuites", "HelperSuites",
        "DriverSuites", "ExploreSuites",
    ]
    static let allowed: [(folder: String, imports: Set<String>, foundation: Bool)] = [
        ("GuestProtocol", [], false), ("TAP", [], false), ("Exploration", [], false),
        ("BTF", [], false), ("LinuxIO", ["CLinux"], false), ("Crashes", [], true),
        ("AgentKit", ["BTF", "TAP", "GuestProtocol", "LinuxIO", "CBpf", "CLinux"], false),
        ("GuestInit", ["GuestProtocol", "LinuxIO", "CLinux", "CGuestInit"], false),
        ("Agents", ["AgentKit", "BTF", "LinuxIO", "Exploration"], false),
        ("VMRunner", ["GuestProtocol", "LinuxIO", "CLinux"], true),
        ("Archives", ["CArchive", "Crashes", "LinuxIO"], true),
        (
            "Harness",
            ["Archives", "Crashes", "VMRunner", "BTF", "TAP", "LinuxIO", "GuestProtocol", "Exploration", "GRDB"], true
        ),
        ("TerminalUI", ["Harness"], false),
        ("bpftest-agent", suites.union(["AgentKit"]), false), ("bpftest-init", ["GuestInit"], false),
    ]

    @Test(arguments: allowed.indices) func modulesImportWhatTheyMay(_ index: Int) throws {
        let rule = Self.allowed[index]
        let folder = Self.root.appendingPathComponent(rule.folder)
        let files = try #require(FileManager.default.enumerator(atPath: folder.path)).compactMap { $0 as? String }
            .filter { $0.hasSuffix(".swift") }
        #expect(!files.isEmpty)
        for file in files {
            let text = try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
            for line in text.split(separator: "\n") where line.contains("import ") {
                let words = line.split(separator: " ")
                guard let keyword = words.firstIndex(of: "import"), keyword <= 2, keyword + 1 < words.count,
                    words[..<keyword].allSatisfy({
                        ["public", "internal", "package", "private", "@testable"].contains($0)
                    })
                else { continue }
                let module = String(words[keyword + 1])
                if Self.ours.contains(module) {
                    #expect(rule.imports.contains(module), "\(rule.folder)/\(file) imports \(module)")
                }
                if !rule.foundation { #expect(!module.hasPrefix("Foundation"), "\(rule.folder)/\(file): \(line)") }
            }
        }
    }
}
