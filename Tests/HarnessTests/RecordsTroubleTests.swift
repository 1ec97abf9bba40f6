// SPDX-License-Identifier: Apache-2.0
import Foundation
import GRDB
import SystemPackage
import TAP
import Testing

@testable import Harness

/// Whatever happens to the records: the run goes on, and one warning says what is wrong.
@Suite struct RecordsTroubleTests {
    private typealias Fixture = RecordsFixture

    private static let results = (1...120).map { RecordsFixture.result("s/\($0)") }

    // MARK: Places that cannot be written to

    @Test func aFileWhereTheFolderShouldBe() throws {
        let fixture = try Fixture()
        let path = fixture.folder + "/file"
        try Data("x".utf8).write(to: URL(fileURLWithPath: path))
        fixture.run(Self.results, file: Fixture.file(in: path))
        #expect(fixture.warnings.count == 1)
        #expect(
            fixture.warnings.first?.hasPrefix("bpftest: warning: this run is not recorded in \(path)/records.sqlite: ")
                == true)
        #expect(fixture.warnings.first?.hasSuffix("(BPFTEST_STATE names another place)") == true)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "x")
    }

    @Test func aFolderWhereTheFileShouldBe() throws {
        let fixture = try Fixture()
        try FileManager.default.createDirectory(
            atPath: fixture.file.path.string, withIntermediateDirectories: false)
        fixture.run(Self.results)
        #expect(fixture.warnings.count == 1)
        #expect(fixture.warnings.first?.contains("unable to open database file") == true)
        #expect(try fixture.names() == ["records.sqlite"])
    }

    /// Root may write anywhere: the run is made by a process that is somebody else.
    @Test(arguments: [true, false]) func filesOfSomebodyElse(_ isFolderWritable: Bool) async throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1")])
        let mode = isFolderWritable ? 0o777 : 0o555
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: fixture.folder)
        try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: fixture.file.path.string)
        let before = try Data(contentsOf: URL(fileURLWithPath: fixture.file.path.string))
        let path = fixture.folder
        let child = try await #require(
            processExitsWith: .success, observing: [\.standardErrorContent]
        ) { [path = path as String] in
            if getuid() == 0 { #expect(setuid(65534) == 0) }
            var warnings: [String] = []
            let records = RunRecords(RunDescription(), file: RecordsFixture.file(in: path)) { warnings.append($0) }
            records.runStarted(RunPlan(), kernels: 1)
            records.kernelStarted(KernelIdentity(name: "k"), suites: 1, comments: [])
            records.caseFinished(RecordsFixture.result("s/2"))
            records.runFinished(tally: Tally())
            FileHandle.standardError.write(Data(warnings.map { "<\($0)>" }.joined().utf8))
        }
        let said = String(decoding: child.standardErrorContent, as: UTF8.self)
        #expect(said.split(separator: "<").count { $0.hasPrefix("bpftest: warning: ") } == 1, "\(said)")
        #expect(said.contains("attempt to write a readonly database"), "\(said)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.file.path.string)) == before)
        #expect(try fixture.open().runs().count == 1)
    }

    // MARK: Damage

    enum Damage: String, CaseIterable, Sendable {
        case text, half, firstPage, tables

        func spoil(_ fixture: RecordsFixture) throws {
            let url = URL(fileURLWithPath: fixture.file.path.string)
            var data = try Data(contentsOf: url)
            switch self {
            case .text: data = Data("These are no records, but words of somebody who wants to keep them.".utf8)
            case .half: data = data.prefix(data.count / 8192 * 4096)
            case .firstPage: data = data.prefix(4096)
            case .tables:
                // Header and schema stay as they are.
                let roots = try fixture.sql {
                    try Int.fetchAll($0, sql: "SELECT rootpage FROM sqlite_schema WHERE tbl_name IN ('run', 'result')")
                }
                for root in roots {
                    data.replaceSubrange(
                        (root - 1) * 4096..<root * 4096, with: Data(repeating: 0xa5, count: 4096))
                }
            }
            try data.write(to: url)
        }
    }

    @Test(arguments: Damage.allCases) func damagedRecordsAreMovedAside(_ damage: Damage) throws {
        let fixture = try Fixture()
        fixture.run(Self.results)
        try damage.spoil(fixture)
        let spoilt = try Data(contentsOf: URL(fileURLWithPath: fixture.file.path.string))

        fixture.run(Self.results + [Fixture.result("s/last", .failed(.timeout))])
        try #require(fixture.warnings.count == 1)
        #expect(fixture.warnings[0].contains("were damaged ("))
        let names = try fixture.names()
        try #require(names.count == 2, "\(names)")
        #expect(names[0] == "records.sqlite")
        #expect(names[1].hasPrefix("records.sqlite.corrupt-2"))
        #expect(fixture.warnings[0].contains(names[1]))
        #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.folder + "/" + names[1])) == spoilt)
        #expect(try fixture.open().runs().map { [$0.passed, $0.failed] } == [[120, 1]])
        #expect(try fixture.open().runs().map(\.kernels) == [[Fixture.kernel]])
    }

    @Test func damageInTheMiddleOfARun() throws {
        let fixture = try Fixture()
        let written = DispatchSemaphore(value: 0)
        var limits = RecordsWriter.Limits()
        limits.delay = .milliseconds(1)
        limits.attempted = { _ in written.signal() }
        let records = fixture.records(limits: limits)
        records.runStarted(RunPlan(), kernels: 1)
        written.wait()
        records.kernelStarted(KernelIdentity(name: Fixture.kernel), suites: 1, comments: ["accelerator: tcg"])
        written.wait()
        // The results' pages are now said to be where the file has long ended.
        try fixture.sql { db in
            try db.execute(
                sql: """
                    PRAGMA writable_schema = ON;
                    UPDATE sqlite_schema SET rootpage = 100000 WHERE name = 'result';
                    PRAGMA schema_version = 1000;
                    """)
        }
        for result in Self.results { records.caseFinished(result) }
        var tally = Tally()
        tally.passed = Self.results.count
        records.runFinished(tally: tally)
        #expect(fixture.warnings.count == 1)
        #expect(fixture.warnings.first?.contains("were damaged (") == true)
        #expect(try fixture.names().count == 2)
        let runs = try fixture.open().runs()
        #expect(runs.map(\.passed) == [120])
        #expect(runs.map(\.kernels) == [[Fixture.kernel]])
        #expect(runs.map(\.end) == [.exit(0)])
    }

    @Test func aQuestionToDamagedRecords() throws {
        let fixture = try Fixture()
        fixture.run(Self.results)
        try Damage.tables.spoil(fixture)
        let records = try fixture.open()
        let error = #expect(throws: HarnessError.self) { try records.history("s/1") }
        guard case .infrastructure(let text) = error else {
            Issue.record("\(String(describing: error)) is no trouble of ours")
            return
        }
        let names = try fixture.names()
        try #require(names.count == 1, "\(names)")
        #expect(names[0].hasPrefix("records.sqlite.corrupt-"))
        #expect(text.contains("are damaged (") && text.contains(names[0]))
    }

    @Test func damageThatThePlanningMeetsIsAWarning() throws {
        let fixture = try Fixture()
        fixture.run(Self.results)
        try Damage.tables.spoil(fixture)
        let records = fixture.records()
        #expect(records.expectedDurations(kernel: Fixture.kernel).isEmpty)
        records.runStarted(RunPlan(), kernels: 1)
        records.runFinished(tally: Tally())
        try #require(fixture.warnings.count == 1)
        #expect(fixture.warnings[0].contains("damaged"))
        #expect(try fixture.names().count == 2)
        #expect(try fixture.open().runs().count == 1)
    }

    /// Two runs that meet the same damage must not move the new file too.
    @Test func aFileIsMovedAsideOnce() throws {
        let fixture = try Fixture()
        try Data("no database, but long enough to be looked at".utf8)
            .write(to: URL(fileURLWithPath: fixture.file.path.string))
        let seen = fixture.file.identity
        #expect(try fixture.file.setAside(seen) != nil)
        fixture.run(Self.results)
        #expect(try fixture.file.setAside(seen) == nil)
        #expect(try fixture.open().runs().count == 1)
    }

    // MARK: Records of others

    @Test func newerRecordsAreLeftAlone() throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1")])
        try fixture.sql { db in
            try db.execute(
                sql: "INSERT INTO grdb_migrations VALUES ('999'); ALTER TABLE result ADD COLUMN shoe_size; VACUUM")
        }
        let before = try Data(contentsOf: URL(fileURLWithPath: fixture.file.path.string))
        fixture.run(Self.results)
        #expect(fixture.warnings.count == 1)
        #expect(fixture.warnings.first?.contains("it was written by a newer bpftest") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.file.path.string)) == before)
        #expect(try fixture.names() == ["records.sqlite"])
        let error = #expect(throws: HarnessError.self) { try fixture.open() }
        #expect(error?.description.contains("it was written by a newer bpftest") == true)
    }

    @Test func aDatabaseOfAnotherProgramIsLeftAlone() throws {
        let fixture = try Fixture()
        try fixture.sql { try $0.execute(sql: "CREATE TABLE run (diary TEXT)") }
        let before = try Data(contentsOf: URL(fileURLWithPath: fixture.file.path.string))
        fixture.run(Self.results)
        #expect(fixture.warnings.count == 1)
        #expect(fixture.warnings.first?.contains("not one of bpftest's records") == true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: fixture.file.path.string)) == before)
    }

    // MARK: Trouble that may pass

    @Test func aFullDisk() throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1")])
        var file = fixture.file
        file.pageLimit = try fixture.sql { try Int.fetchOne($0, sql: "PRAGMA page_count") }
        var limits = RecordsWriter.Limits()
        limits.end = .milliseconds(200)
        let many = (1...2000).map { Fixture.result("s/\($0)", .skipped(reason: String(repeating: "x", count: 200))) }
        fixture.run(many, file: file, limits: limits)
        try #require(fixture.warnings.count == 1)
        #expect(fixture.warnings[0].contains("database or disk is full"))
        #expect(fixture.warnings[0].contains(" results of this run are not recorded in \(file.path)"))
        // What was there is still there.
        #expect(try fixture.open().history("s/1").last?.runEnd == .exit(0))
    }

    /// A first run that finds no room for the tables must not spoil the file for the next one.
    @Test(arguments: 1...12) func aDiskThatIsFullFromTheStart(_ pages: Int) throws {
        let fixture = try Fixture()
        var file = fixture.file
        file.pageLimit = pages
        var limits = RecordsWriter.Limits()
        limits.end = .milliseconds(1)
        fixture.run([Fixture.result("s/1")], file: file, limits: limits)
        #expect(
            fixture.warnings == [
                "bpftest: warning: 1 results of this run are not recorded in \(file.path): database or disk is full"
            ])
        fixture.run([Fixture.result("s/2")])
        #expect(fixture.warnings.count == 1)
        #expect(try fixture.open().history("s/2").count == 1)
    }

    @Test func recordsThatStayLocked() throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1")])
        var limits = RecordsWriter.Limits()
        limits.end = .milliseconds(100)
        let start = ContinuousClock.now
        try fixture.sql { db in
            try db.execute(sql: "BEGIN EXCLUSIVE")
            fixture.run(Self.results, limits: limits)
            try db.execute(sql: "ROLLBACK")
        }
        #expect(ContinuousClock.now - start < .seconds(5))
        #expect(
            fixture.warnings == [
                "bpftest: warning: 120 results of this run are not recorded in \(fixture.file.path): database is locked"
            ])
        #expect(try fixture.open().runs().count == 1)
    }

    @Test(.timeLimit(.minutes(1))) func recordsThatAreLockedForAWhile() throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1")])
        let refused = DispatchSemaphore(value: 0)
        var limits = RecordsWriter.Limits()
        limits.delay = .milliseconds(1)
        limits.attempted = { if $0 != nil { refused.signal() } }
        let records = fixture.records(limits: limits)
        try fixture.sql { db in
            try db.execute(sql: "BEGIN EXCLUSIVE")
            records.runStarted(RunPlan(), kernels: 1)
            records.kernelStarted(KernelIdentity(name: Fixture.kernel), suites: 1, comments: [])
            for result in Self.results { records.caseFinished(result) }
            refused.wait()
            refused.wait()
            try db.execute(sql: "ROLLBACK")
        }
        records.runFinished(tally: Tally())
        #expect(fixture.warnings.isEmpty)
        #expect(try fixture.open().runs().map(\.passed) == [120, 1])
        #expect(try fixture.open().history("s/*", limit: 3).map(\.name) == ["s/120", "s/119", "s/118"])
    }

    @Test func aBacklogThatGrowsTooLongIsGivenUp() throws {
        let fixture = try Fixture()
        fixture.run([Fixture.result("s/1")])
        var limits = RecordsWriter.Limits()
        limits.backlog = 100
        limits.end = .seconds(60)
        try fixture.sql { db in
            try db.execute(sql: "BEGIN EXCLUSIVE")
            fixture.run(Self.results, limits: limits)
            try db.execute(sql: "ROLLBACK")
        }
        #expect(fixture.warnings.count == 1)
        #expect(fixture.warnings.first?.contains("results of this run are not recorded") == true)
    }

    // MARK: The results themselves

    @Test func theReportIsTheSameWithBrokenRecords() throws {
        func report(_ sinks: [any ResultSink]) throws -> String {
            let text = Text()
            let journal = Journal(sinks: [TAPReporter(dialect: .tap) { text.value += $0 }] + sinks, log: { _ in })
            try journal.tell { try $0.runStarted(RunPlan(), kernels: 1) }
            try journal.tell { try $0.kernelStarted(KernelIdentity(name: "k"), suites: 1, comments: []) }
            try journal.tell { try $0.suiteStarted("s", cases: 120) }
            for result in Self.results { try journal.record(result) }
            try journal.tell { try $0.suiteFinished("s", tally: journal.tally) }
            try journal.tell { try $0.kernelFinished("k", tally: journal.tally) }
            try journal.tell { try $0.runFinished(tally: journal.tally) }
            return text.value
        }
        let fixture = try Fixture()
        let broken = fixture.records(file: Fixture.file(in: "/proc/self/status/nowhere"))
        let (with, without) = (try report([broken]), try report([]))
        #expect(with == without)
        #expect(without.contains("ok 120 - 120"))
        #expect(fixture.warnings.count == 1)
    }

    private final class Text {
        var value = ""
    }
}
