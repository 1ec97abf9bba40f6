// SPDX-License-Identifier: Apache-2.0
import Foundation
import GRDB
import SystemPackage
import TAP
import Testing

@testable import Harness

/// Several processes with the same records.
@Suite struct RecordsProcessTests {
    private typealias Fixture = RecordsFixture

    /// Four processes make the file together, and then write into it.
    @Test(.timeLimit(.minutes(2))) func severalRunsWriteAtOnce() async throws {
        let fixture = try Fixture()
        let folder = fixture.folder
        try await withThrowingTaskGroup { group in
            for _ in 0..<4 { group.addTask { try await Self.writer(folder) } }
            try await group.waitForAll()
        }
        let records = try fixture.open()
        #expect(try records.runs().map { [$0.passed, $0.failed] } == Array(repeating: [499, 1], count: 4))
        #expect(try records.runs().allSatisfy { $0.end == .exit(1) })
        #expect(try records.history("s/77").count == 4)
        #expect(try fixture.sql { try String.fetchAll($0, sql: "PRAGMA integrity_check") } == ["ok"])
        #expect(try fixture.names() == ["records.sqlite"])
    }

    private static func writer(_ folder: String) async throws {
        await #expect(processExitsWith: .success) { [folder = folder as String] in
            var file = RecordsFixture.file(in: folder)
            file.patience = .seconds(1)
            var limits = RecordsWriter.Limits()
            limits.batch = 10
            limits.end = .seconds(60)
            let records = RunRecords(RunDescription(), file: file, limits: limits) { fatalError($0) }
            records.runStarted(RunPlan(), kernels: 1)
            records.kernelStarted(KernelIdentity(name: "k"), suites: 1, comments: [])
            var tally = Tally()
            for number in 1...500 {
                let result = RecordsFixture.result("s/\(number)", number == 77 ? .failed(.test) : .passed)
                tally.count(result)
                records.caseFinished(result)
            }
            records.runFinished(tally: tally)
        }
    }

    @Test func aKilledRunKeepsWhatWasWritten() async throws {
        let fixture = try Fixture()
        let folder = fixture.folder
        await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String] in
            let file = RecordsFixture.file(in: folder)
            var session = RecordsSession(file: file, description: RunDescription(), started: Date())
            let kernel = RunDescription.Kernel(release: "k", image: "", origin: "", spec: "k")
            let results = (1...50).map { RecordedResult(RecordsFixture.result("s/\($0)"), at: Date()) }
            try session.write([.kernel(kernel, accelerator: "tcg")] + results.map { .result($0) })
            // Killed in the middle of the next batch.
            try file.openForWriting().write { db in
                for _ in 0..<5000 {
                    try db.execute(
                        sql: """
                            INSERT INTO result (run, kernel, test_case, at, outcome, duration)
                            VALUES (1, 1, 1, 1, 'failed', 1)
                            """)
                }
                kill(getpid(), SIGKILL)
            }
        }
        let records = try fixture.open()
        let history = try records.history("s", limit: 1000)
        #expect(history.count == 50)
        #expect(history.allSatisfy { $0.outcome == "passed" && $0.runEnd == .interrupted })
        #expect(try records.runs().map(\.end) == [.interrupted])

        fixture.run([Fixture.result("s/1")])
        #expect(fixture.warnings.isEmpty)
        #expect(try fixture.open().runs().map(\.end) == [.exit(0), .interrupted])
    }

    /// A run of another host is not looked for among this one's processes.
    @Test func aRunWithoutAnEndOnAnotherHostIsInterrupted() throws {
        let fixture = try Fixture()
        let begun = DispatchSemaphore(value: 0)
        var limits = RecordsWriter.Limits()
        limits.attempted = { _ in begun.signal() }
        let records = fixture.records(limits: limits)
        records.runStarted(RunPlan(), kernels: 1)
        begun.wait()
        fixture.run([Fixture.result("s/1")])
        // Both are of this process, which lives.
        try fixture.sql { try $0.execute(sql: "UPDATE run SET ended = NULL, exit = NULL") }
        #expect(try fixture.open().runs().map(\.end).contains(.running))
        try fixture.sql { try $0.execute(sql: "UPDATE run SET host = 'elsewhere'") }
        #expect(try fixture.open().runs().allSatisfy { $0.end == .interrupted })
        records.runFinished(tally: Tally())
    }
}
