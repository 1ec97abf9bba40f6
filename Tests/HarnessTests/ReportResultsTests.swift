// SPDX-License-Identifier: Apache-2.0
import Foundation
import TAP
import Testing

@testable import Harness

/// Results as they are kept, written and read back.
@Suite struct ReportResultsTests {
    @Test func whatAReporterPrintsIsWhatIsDrawnFromTheCollectedResults() throws {
        let results = ReportFixture.results()
        for dialect in TAPDialect.allCases {
            nonisolated(unsafe) var live = ""
            let collector = ResultCollector()
            let journal = Journal(
                sinks: [TAPReporter(dialect: dialect) { unsafe live += $0 }, collector], log: { _ in })
            // As Report tells it, case by case.
            try journal.tell { try $0.runStarted(RunPlan(results.plan, started: results.started), kernels: 2) }
            try journal.tell { try $0.comment("order: --shuffle=7") }
            for kernel in results.kernels {
                try journal.tell { try $0.kernelStarted(kernel.identity, suites: 2, comments: kernel.comments) }
                for suite in kernel.suites {
                    try journal.tell { try $0.suiteStarted(suite.name, cases: suite.results.count) }
                    for result in suite.results { try journal.record(result) }
                    try journal.tell { try $0.suiteFinished(suite.name, tally: suite.tally) }
                }
                try journal.tell { try $0.kernelFinished(kernel.name, tally: kernel.tally) }
            }
            try journal.tell { try $0.comment("rounds: 3") }
            try journal.tell { try $0.runFinished(tally: journal.tally) }
            #expect(collector.results == results)
            let format = try #require(ReportFormat(rawValue: dialect.rawValue))
            #expect(try unsafe ReportFixture.text(collector.results, format) == live)
            #expect(unsafe live.hasSuffix("# 6 passed, 4 failed, 2 skipped, 2 known to fail\n"))
        }
    }

    @Test func aRunThatBailedOutIsDrawnAsItWasPrinted() throws {
        nonisolated(unsafe) var live = ""
        let collector = ResultCollector()
        let journal = Journal(sinks: [TAPReporter(dialect: .tap) { unsafe live += $0 }, collector], log: { _ in })
        let kernel = ReportFixture.identity("6.1")
        try journal.tell { try $0.runStarted(RunPlan(), kernels: 3) }
        try journal.tell { try $0.kernelStarted(kernel, suites: 5, comments: []) }
        try journal.tell { try $0.suiteStarted("s", cases: 9) }
        try journal.record(ReportFixture.result("6.1", "s", "c"))
        try journal.tell { try $0.bailedOut("QEMU is gone") }
        #expect(try unsafe ReportFixture.text(collector.results, .tap) == live)
        #expect(collector.results.exitCode == 3)
        let read = try ReportFixture.read(try ReportFixture.lines(collector.results))
        #expect(read == collector.results)
        #expect(try unsafe ReportFixture.text(read, .tap) == live)
    }

    @Test func knownFailuresAreCountedApartAndPassingOnesSaySo() throws {
        let results = ReportFixture.results()
        #expect(results.tally.known == 2)
        #expect(results.tally.failed == 4)
        let text = try ReportFixture.text(results, .tap)
        #expect(text.contains("not ok 2 - B-2 title of B-2 # TODO issue 7 until 7.3\n"))
        #expect(text.contains("known_failure: \"it passes, although it is known to fail: was fixed\""))
        var tally = Tally()
        tally.count(ReportFixture.result("k", "s", "c", .failed(.test), known: "r"))
        #expect(tally.exitCode == 0)
        let quiet = RunResults(kernels: [
            KernelResults(
                ReportFixture.identity("k"),
                suites: [SuiteResults("s", [ReportFixture.result("k", "s", "c", .failed(.test), known: "r")])])
        ])
        let end = "\nok 1 - k\n# 0 passed, 0 failed, 0 skipped, 1 known to fail\n"
        #expect(try ReportFixture.text(quiet, .tap).hasSuffix(end))
    }

    @Test func linesAreReadBackAsTheyWereWritten() throws {
        var results = ReportFixture.results()
        results.shard = Shard(index: 2, count: 3)
        results.incomplete = ["shard 1/3 is missing"]
        #expect(try ReportFixture.read(try ReportFixture.lines(results)) == results)
    }

    /// As written by bpftest before there was a form 2.
    static let formOne = """
        {"event":"run_started","kernels":1,"version":1}
        {"comments":["accelerator: tcg"],"event":"kernel_started","kernel":"6.12"}
        {"cases":2,"event":"suite_started","kernel":"6.12","suite":"s"}
        {"duration_ms":7,"event":"case_finished","id":"a","kernel":"6.12","outcome":"passed","suite":"s","title":"t"}
        {"blame":"timeout","diagnostics":[["message","slow"]],"duration_ms":9,"event":"case_finished","id":"b",\
        "kernel":"6.12","outcome":"failed","suite":"s","title":"u"}
        {"event":"suite_finished","failed":1,"kernel":"6.12","passed":1,"skipped":0,"suite":"s"}
        {"event":"kernel_finished","failed":1,"kernel":"6.12","passed":1,"skipped":0}
        {"event":"run_finished","failed":1,"passed":1,"skipped":0}

        """

    @Test func formOneIsStillRead() throws {
        let results = try ReportFixture.read(Self.formOne)
        #expect(results.plan.isEmpty)
        #expect(results.kernels.map(\.name) == ["6.12"])
        #expect(results.kernels[0].comments == ["accelerator: tcg"])
        #expect(results.kernels[0].announced == 1)
        #expect(results.tally.failed == 1)
        #expect(results.kernels[0].suites[0].results[1].diagnostics["message"] == "slow")
        #expect(results.kernels[0].suites[0].results[1].outcome == .failed(.timeout))
    }

    @Test func anOutcomeOrAnEventOfALaterBpftestIsNoReasonToRefuse() throws {
        let text = Self.formOne.replacing(
            "{\"event\":\"run_finished\"",
            with: "{\"event\":\"weather\",\"sky\":3}\n{\"event\":\"run_finished\",\"new\":[1]")
        #expect(try ReportFixture.read(text) == ReportFixture.read(Self.formOne))
    }

    /// What is wrong, and what is to be said of it.
    static let broken: [(change: @Sendable (String) -> String, line: Int?, words: String)] = [
        ({ _ in "" }, nil, "it is empty"),
        ({ _ in "TAP version 14\n1..1\n" }, 1, "no results of bpftest"),
        ({ _ in "{\"event\":\"suite_started\"}\n" }, 1, "no results of bpftest"),
        ({ _ in "{\"a\":1}\n" }, 1, "no results of bpftest"),
        ({ $0.replacing("\"version\":1", with: "\"version\":9") }, 1, "a newer bpftest wrote this: form 9"),
        ({ $0.replacing("\"duration_ms\":7", with: "\"duration_ms\":\"x\"") }, 4, "no case_finished that bpftest"),
        ({ $0.replacing("\"duration_ms\":7", with: "\"duration_ms\":-7") }, 4, "no case takes -7 ms"),
        ({ $0.replacing("\"blame\":\"timeout\"", with: "\"blame\":\"weather\"") }, 5, "nobody to blame"),
        ({ $0.replacing("\"id\":\"a\",", with: "") }, 4, "\"id\" is missing"),
        ({ $0.replacing("[\"message\",\"slow\"]", with: "[\"message\"]") }, 5, "pairs of a key and a value"),
        ({ $0.replacing("{\"cases\"", with: "#{\"cases\"") }, 3, "no JSON object: the file is damaged"),
        (
            { text in
                text.split(separator: "\n").filter { !$0.contains("\"id\":\"a\"") }.joined(separator: "\n") + "\n"
            }, 5, "the suite had 1 passed, 1 failed, 0 skipped, 0 known to fail, but before this line are 0 passed"
        ),
        (
            { text in
                text.split(separator: "\n").filter { !$0.contains("suite_started") }.joined(separator: "\n") + "\n"
            }, 3, "a case has a result outside of a suite"
        ),
        (
            { $0.replacing("\"id\":\"b\",\"kernel\":\"6.12\"", with: "\"id\":\"b\",\"kernel\":\"6.13\"") }, 5,
            "of kernel 6.13, and 6.12"
        ),
        ({ $0 + $0 }, 9, "something follows the end of the run"),
        ({ String($0.dropLast(10)) }, 8, "it is cut off"),
        (
            { $0.split(separator: "\n").dropLast().joined(separator: "\n") + "\n" }, nil,
            "the run did not end: there is no run_finished after line 7"
        ),
    ]

    @Test(arguments: broken.indices) func whatIsBrokenIsRefusedWithItsLine(_ index: Int) throws {
        let case_ = Self.broken[index]
        let text = case_.change(Self.formOne)
        #expect(text != Self.formOne)
        let error = #expect(throws: ResultsError.self) { try ReportFixture.read(text) }
        #expect(error?.line == case_.line)
        #expect(error?.message.contains(case_.words) == true, "\(error?.description ?? "")")
    }

    @Test func aRunThatWasKilledCanBeReadAsFarAsItCame() throws {
        let lines = Self.formOne.split(separator: "\n", omittingEmptySubsequences: true)
        let text = lines[..<4].joined(separator: "\n") + "\n" + lines[4].prefix(30)
        let results = try ReportFixture.read(text, unfinished: true)
        #expect(results.tally.passed == 1)
        #expect(results.bailedOut?.contains("did not end") == true)
        #expect(results.exitCode == 3)
        // Damage in the middle is no such thing.
        #expect(throws: ResultsError.self) {
            try ReportFixture.read(Self.formOne.replacing("{\"cases\"", with: "#{\"cases\""), unfinished: true)
        }
    }

    @Test func aFileThatCannotBeReadIsNamedWithTheCause() {
        let error = #expect(throws: HarnessError.self) { try RunResults.read(file: "/nonexistent/results") }
        #expect(error?.description == "/nonexistent/results cannot be read: No such file or directory")
    }

    @Test func shardsAreReadAndChecked() {
        #expect(Shard("2/5")?.description == "2/5")
        for text in ["0/5", "6/5", "1", "1/", "/2", "1/2/3", "a/b", "-1/2", "1/10001"] {
            #expect(Shard(text) == nil, "\(text)")
        }
    }

    @Test func diagnosticsBeyondTheBudgetAreCutAndSaySo() {
        let collector = ResultCollector(budget: 10_000)
        collector.runStarted(RunPlan(), kernels: 1)
        collector.kernelStarted(KernelIdentity(name: "k"), suites: 1, comments: [])
        collector.suiteStarted("s", cases: 2)
        let long = String(repeating: "ä", count: 4500)
        for id in ["a", "b"] {
            collector.caseFinished(ReportFixture.result("k", "s", id, .failed(.test), [("console", long)]))
        }
        let kept = collector.results.kernels[0].suites[0].results.map { $0.diagnostics["console"] ?? "" }
        #expect(kept[0] == long)
        #expect(kept[1].hasSuffix("… (4904 bytes left out)"))
        #expect(kept[1].utf8.count < 4200)
    }

    @Test func excerptsKeepWholeCharacters() {
        #expect(Excerpt.start(of: "äöü", bytes: 3) == "ä\n… (4 bytes left out)")
        #expect(Excerpt.end(of: "äöü", bytes: 3) == "(4 bytes left out) …\nü")
        #expect(Excerpt.start(of: "abc", bytes: 3) == "abc")
        #expect(Excerpt.end(of: "abc", bytes: 3) == "abc")
    }
}
