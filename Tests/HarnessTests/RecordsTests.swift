// SPDX-License-Identifier: Apache-2.0
import Foundation
import GRDB
import GuestProtocol
import SystemPackage
import TAP
import Testing

@testable import Harness

@Suite struct RecordsTests {
    private typealias Fixture = RecordsFixture

    // MARK: Where they are

    @Test func theFolderIsWhatTheEnvironmentSays() {
        #expect(RecordsFile(environment: ["BPFTEST_STATE": "/a", "HOME": "/h"]).path == "/a/records.sqlite")
        #expect(
            RecordsFile(environment: ["XDG_STATE_HOME": "/x", "HOME": "/h"]).path == "/x/bpftest/records.sqlite")
        #expect(
            RecordsFile(environment: ["XDG_STATE_HOME": "relative", "HOME": "/h"]).path
                == "/h/.local/state/bpftest/records.sqlite")
    }

    // MARK: There and back

    @Test func aResultComesBackAsItWas() throws {
        let fixture = try Fixture()
        let image = fixture.folder + "/bzImage"
        try Data("a kernel".utf8).write(to: URL(fileURLWithPath: image))
        var description = RunDescription()
        description.qemu = "10.0.2"
        description.isolation = "case"
        description.seed = .max
        description.kernels = [
            .init(release: Fixture.kernel, image: FilePath(image), origin: "mine.deb", spec: "~/linux")
        ]
        let long = "no reference\nand more"
        fixture.run(
            [
                Fixture.result("kfuncs.task/K-001", milliseconds: 41),
                Fixture.result("kfuncs.task/K-002", .failed(.kernel), verdict: "flaky 2/5", message: long),
                Fixture.result("kfuncs.task/K-003", .skipped(reason: "not due before 6.6")),
            ], description: description)
        #expect(fixture.warnings.isEmpty)
        // The last connection has taken the write-ahead log in.
        #expect(try fixture.allNames() == ["bzImage", "records.sqlite"])

        let records = try fixture.open()
        let history = try records.history("kfuncs.task")
        #expect(history.map(\.name) == ["kfuncs.task/K-003", "kfuncs.task/K-002", "kfuncs.task/K-001"])
        #expect(history.map(\.outcome) == ["skipped", "failed", "passed"])
        #expect(history.map(\.reason) == ["not due before 6.6", "no reference", nil])
        #expect(history.map(\.blame) == [nil, "kernel broke", nil])
        #expect(history.map(\.verdict) == [nil, "flaky 2/5", nil])
        #expect(history.last?.milliseconds == 41)
        #expect(history.allSatisfy { $0.kernel == Fixture.kernel && $0.runEnd == .exit(1) })
        #expect(history.allSatisfy { abs($0.date.timeIntervalSinceNow) < 60 })

        let run = try #require(try records.runs().first)
        #expect((run.passed, run.failed, run.skipped) == (1, 1, 1))
        #expect(run.kernels == [Fixture.kernel])
        #expect(run.end == .exit(1))
        #expect(run.version == bpftestVersion)
        #expect(run.isolation == "case")
        #expect(run.seed == "18446744073709551615")
        #expect(run.qemu == "10.0.2")
        #expect(run.cpus > 0)
        let kept = try fixture.sql { db in
            try Row.fetchAll(db, sql: "SELECT origin, spec, accelerator, image FROM kernel, run_kernel")
                .map { [$0[0] as String, $0[1], $0[2], $0[3]] }
        }
        #expect(kept == [["mine.deb", "~/linux", "tcg", String(XXH64.hash(Array("a kernel".utf8)), radix: 16)]])
    }

    @Test func aBailOutIsKept() throws {
        let fixture = try Fixture()
        let records = fixture.records()
        records.runStarted(RunPlan(), kernels: 1)
        records.kernelStarted(KernelIdentity(name: Fixture.kernel), suites: 1, comments: [])
        records.caseFinished(Fixture.result("s/1"))
        records.bailedOut("QEMU is gone")
        #expect(try fixture.open().runs().map(\.end) == [.bailOut("QEMU is gone")])
        #expect(try fixture.open().history("s/1").map(\.runEnd) == [.bailOut("QEMU is gone")])
    }

    /// A suite may go on for an hour after a result that nobody wants to lose.
    @Test(.timeLimit(.minutes(1))) func resultsAreWrittenWhileTheRunGoesOn() throws {
        let fixture = try Fixture()
        let written = DispatchSemaphore(value: 0)
        var limits = RecordsWriter.Limits()
        limits.delay = .milliseconds(20)
        limits.attempted = { _ in written.signal() }
        let records = fixture.records(limits: limits)
        records.runStarted(RunPlan(), kernels: 1)
        written.wait()
        records.kernelStarted(KernelIdentity(name: Fixture.kernel), suites: 1, comments: [])
        records.caseFinished(Fixture.result("s/1"))
        var found: [Records.HistoryEntry] = []
        while found.isEmpty {
            written.wait()
            // The kernel may have been written without the result.
            found = (try? fixture.open().history("s/1")) ?? []
        }
        #expect(found.map(\.runEnd) == [.running])
        records.runFinished(tally: Tally())
    }

    @Test(.timeLimit(.minutes(1))) func aFullBatchDoesNotWaitForTheClock() throws {
        let fixture = try Fixture()
        let written = DispatchSemaphore(value: 0)
        var limits = RecordsWriter.Limits()
        limits.delay = .seconds(3600)
        limits.batch = 50
        limits.attempted = { _ in written.signal() }
        let records = fixture.records(limits: limits)
        records.runStarted(RunPlan(), kernels: 1)
        written.wait()
        records.kernelStarted(KernelIdentity(name: Fixture.kernel), suites: 1, comments: [])
        for number in 1...49 { records.caseFinished(Fixture.result("s/\(number)")) }
        written.wait()
        #expect(try fixture.open().history("s/1").count == 1)
        records.runFinished(tally: Tally())
    }

    @Test func longReasonsAreCut() {
        let text = String(repeating: "é", count: 1000)
        let kept = RecordedResult(RecordsFixture.result("s/1", .skipped(reason: text)), at: Date()).reason
        #expect(kept?.count == 300)
        #expect(kept?.hasSuffix("é...") == true)
    }

    // MARK: Questions

    @Test func namesFindCases() throws {
        let fixture = try Fixture()
        fixture.run([
            Fixture.result("mprog/M-1"), Fixture.result("mprog/M-10"), Fixture.result("mprog.tcx/M-1"),
        ])
        let records = try fixture.open()
        func names(_ name: String) throws -> Set<String> { Set(try records.history(name).map(\.name)) }
        #expect(try names("mprog/M-1") == ["mprog/M-1"])
        #expect(try names("mprog") == ["mprog/M-1", "mprog/M-10"])
        #expect(try names("mprog*/M-1") == ["mprog/M-1", "mprog.tcx/M-1"])
        #expect(try names("M-1") == ["mprog/M-1", "mprog/M-10", "mprog.tcx/M-1"])
        #expect(try records.history("M-1", limit: 2).map(\.name) == ["mprog.tcx/M-1", "mprog/M-10"])
        let error = #expect(throws: HarnessError.self) { try records.history("M-2") }
        #expect(error?.description == "the records know no case M-2 (bpftest list shows the cases)")
        guard case .usage = error else {
            Issue.record("\(String(describing: error)) is no wrong call")
            return
        }
    }

    @Test func namesFindKernels() throws {
        let fixture = try Fixture()
        for release in ["6.1.9-a", "6.12.3-a", "6.12.0-b"] {
            var description = RunDescription()
            description.kernels = [.init(release: release, image: "/nowhere", origin: "", spec: "mine-\(release)")]
            fixture.run([Fixture.result("s/1", kernel: release)], kernel: release, description: description)
        }
        let records = try fixture.open()
        func found(_ kernel: String) throws -> [String] { try records.history("s/1", kernel: kernel).map(\.kernel) }
        #expect(try found("6.1") == ["6.1.9-a"])
        #expect(try found("6.12") == ["6.12.0-b", "6.12.3-a"])
        #expect(try found("6.12.3-a") == ["6.12.3-a"])
        #expect(try found("*-a") == ["6.12.3-a", "6.1.9-a"])
        #expect(try found("mine-6.1.9-a") == ["6.1.9-a"])
        let error = #expect(throws: HarnessError.self) { try found("5.10") }
        #expect(error?.description == "the records know no kernel 5.10, but 6.1.9-a, 6.12.0-b, 6.12.3-a")
    }

    @Test func flakesArePassesAndFailuresOfOneBuild() throws {
        let fixture = try Fixture()
        let image = fixture.folder + "/bzImage"
        var description = RunDescription()
        description.kernels = [.init(release: Fixture.kernel, image: FilePath(image), origin: "", spec: "")]
        func run(_ build: String, _ results: [CaseResult]) throws {
            try Data(build.utf8).write(to: URL(fileURLWithPath: image))
            fixture.run(results, description: description)
        }
        let failed = Outcome.failed(.test)
        try run("first build", [Fixture.result("s/repaired", failed), Fixture.result("s/flaky", failed)])
        try run(
            "second build",
            [
                Fixture.result("s/repaired"), Fixture.result("s/flaky"), Fixture.result("s/flaky", failed),
                Fixture.result("s/flaky"), Fixture.result("s/broken", failed), Fixture.result("s/broken", failed),
                Fixture.result("s/skipped", .skipped(reason: "x")), Fixture.result("s/skipped", failed),
                Fixture.result("s/order", failed, verdict: "order-dependent"),
                Fixture.result("s/sure", failed, verdict: "fails again"),
            ])
        let flakes = try fixture.open().flakes()
        #expect(flakes.map(\.name) == ["s/flaky", "s/order"])
        #expect(flakes.map(\.results) == [3, 1])
        #expect(flakes.map(\.failed) == [1, 1])
        #expect(flakes.map(\.changes) == [2, 0])
        #expect(flakes.map(\.verdict) == [nil, "order-dependent"])
        #expect(flakes.allSatisfy { $0.kernel == Fixture.kernel && abs($0.lastSeen.timeIntervalSinceNow) < 60 })
    }

    @Test func oldRunsAreNoFlakes() throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1"), Fixture.result("s/1", .failed(.test))])
        let now = Date()
        #expect(try fixture.open().flakes(days: 7, now: now.addingTimeInterval(6 * 86400)).count == 1)
        let error = #expect(throws: HarnessError.self) {
            try fixture.open().flakes(days: 7, now: now.addingTimeInterval(8 * 86400))
        }
        #expect(error?.description == "the records have no result of the last 7 days")
        fixture.run([Fixture.result("s/1")])
        try fixture.sql { try $0.execute(sql: "UPDATE run SET started = 0 WHERE id = 1") }
        #expect(try fixture.open().flakes(days: 7, now: now).isEmpty)
    }

    @Test func slowestByTheMedian() throws {
        let fixture = try Fixture()
        let skip = Outcome.skipped(reason: "x")
        fixture.run([
            Fixture.result("s/once-slow", milliseconds: 9000), Fixture.result("s/once-slow", milliseconds: 10),
            Fixture.result("s/once-slow", milliseconds: 12), Fixture.result("s/slow", milliseconds: 500),
            Fixture.result("s/slow", milliseconds: 700), Fixture.result("s/quick", milliseconds: 1),
            Fixture.result("s/skipped", skip, milliseconds: 99),
        ])
        fixture.run([Fixture.result("s/quick", milliseconds: 4000, kernel: "6.1")], kernel: "6.1")
        let records = try fixture.open()
        let slowest = try records.slowest(2, kernel: "6.12")
        #expect(slowest.map(\.name) == ["s/slow", "s/once-slow"])
        #expect(slowest.map(\.medianMilliseconds) == [500, 12])
        #expect(slowest.map(\.maximumMilliseconds) == [700, 9000])
        #expect(slowest.map(\.results) == [2, 3])
        #expect(try records.slowest(1, kernel: "6.1").map(\.medianMilliseconds) == [4000])
        #expect(try records.slowest().map(\.name) == ["s/slow", "s/once-slow", "s/quick"])
    }

    @Test func expectedDurationsAreOfThisKernelWhereItIsKnown() throws {
        let fixture = try Fixture()
        #expect(fixture.records().expectedDurations(kernel: Fixture.kernel).isEmpty)
        #expect(try fixture.allNames().isEmpty)
        fixture.run([
            Fixture.result("s/1", milliseconds: 100), Fixture.result("s/1", milliseconds: 60_000),
            Fixture.result("s/1", milliseconds: 200),
        ])
        fixture.run(
            [
                Fixture.result("s/1", milliseconds: 7, kernel: "5.10"),
                Fixture.result("s/2", milliseconds: 8, kernel: "5.10"),
            ], kernel: "5.10")
        #expect(
            fixture.records().expectedDurations(kernel: Fixture.kernel)
                == [CaseID(suite: "s", id: "1"): .milliseconds(200), CaseID(suite: "s", id: "2"): .milliseconds(8)])
        #expect(fixture.warnings.isEmpty)
    }

    @Test func withoutRecordsTheQuestionIsAWrongCall() throws {
        let fixture = try Fixture()
        let error = #expect(throws: HarnessError.self) { try fixture.open() }
        guard case .usage(let text) = error else {
            Issue.record("\(String(describing: error)) is no wrong call")
            return
        }
        #expect(text == "there are no records yet in \(fixture.file.path): bpftest run makes them")
        #expect(try fixture.allNames().isEmpty)
    }

    /// With a hundred thousand results a scan would be felt.
    @Test func theHistoryOfACaseIsLookedUp() throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1")])
        let records = try fixture.open()
        let plan = try records.ask { db in
            try Row.fetchAll(
                db,
                sql: "EXPLAIN QUERY PLAN " + Records.historyQuery, arguments: ["[1]", nil, nil, 20]
            ).map { $0["detail"] as String }
        }
        #expect(plan.contains { $0.contains("USING INDEX result_by_case") })
        #expect(!plan.contains { $0.hasPrefix("SCAN") && !$0.contains("json_each") }, "\(plan)")
    }
}
