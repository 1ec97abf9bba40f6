// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GRDB
internal import GuestProtocol
internal import SystemPackage

/// One run in the database: the rows that its results refer to, and the results.
struct RecordsSession {
    private let file: RecordsFile
    private let description: RunDescription
    private let started: Date
    private var database: DatabaseQueue?
    private var identity: UInt64?
    private var rows = Rows()
    private var fingerprints: [FilePath: String] = [:]

    /// Rows that are written already. Kept only when the transaction that made them was committed.
    private struct Rows {
        var run: Int64?
        var kernel: Int64?
        var cases: [CaseID: Int64] = [:]
        /// The kernel of the results to come, to be entered again in a new database.
        var current: (RunDescription.Kernel, accelerator: String?)?
    }

    init(file: RecordsFile, description: RunDescription, started: Date) {
        self.file = file
        self.description = description
        self.started = started
    }

    /// Writes events in one transaction.
    mutating func write(_ events: [RecordsWriter.Event]) throws(RecordsError) {
        do {
            let database = try opened()
            // Reading a kernel takes a while, and other runs wait while a transaction is open.
            for case .kernel(let kernel, _) in events where fingerprints[kernel.image] == nil {
                fingerprints[kernel.image] = Self.fingerprint(kernel.image)
            }
            var rows = rows
            // SQLite calls back on this thread.
            try database.write { db in
                if rows.run == nil { rows.run = try insertRun(db) }
                if rows.kernel == nil, rows.current != nil { try enterKernel(db, &rows) }
                for event in events { try write(event, db, &rows) }
            }
            self.rows = rows
        } catch {
            throw RecordsError(error)
        }
    }

    private mutating func opened() throws(RecordsError) -> DatabaseQueue {
        if let database { return database }
        // Before opening: what is opened is this file, or one that came later and is set aside by nobody.
        identity = file.identity
        let opened = try file.openForWriting()
        identity = identity ?? file.identity
        database = opened
        return opened
    }

    /// Ends the connection: the last one to go brings the write-ahead log into the file.
    mutating func close() {
        database = nil
    }

    /// Leaves a damaged file to its fate; the next write begins a new one, with this run in it.
    mutating func setAside() throws(RecordsError) -> FilePath? {
        database = nil
        rows = Rows(current: rows.current)
        return try file.setAside(identity)
    }

    // MARK: Rows

    private func write(_ event: RecordsWriter.Event, _ db: Database, _ rows: inout Rows) throws {
        switch event {
        case .kernel(let kernel, let accelerator):
            rows.current = (kernel, accelerator)
            try enterKernel(db, &rows)
        case .result(let result):
            try insert(result, db, &rows)
        case .end(let exit, let bailOut, let at):
            try db.execute(
                sql: "UPDATE run SET ended = ?, exit = ?, bail_out = ? WHERE id = ?",
                arguments: [at.milliseconds, exit, bailOut, rows.run])
        }
    }

    private func insertRun(_ db: Database) throws -> Int64 {
        let process = ProcessInfo.processInfo
        try db.execute(
            sql: """
                INSERT INTO run (started, process, version, host, cpus, qemu, isolation, seed)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                started.milliseconds, ProcessMark.own, bpftestVersion, process.hostName, process.activeProcessorCount,
                description.qemu, description.isolation, description.seed.map { "\($0)" },
            ])
        return db.lastInsertedRowID
    }

    private func enterKernel(_ db: Database, _ rows: inout Rows) throws {
        guard let (kernel, accelerator) = rows.current else { return }
        let image = fingerprints[kernel.image] ?? ""
        try db.execute(
            sql: "INSERT INTO kernel (release, image, origin) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            arguments: [kernel.release, image, kernel.origin])
        let id = try Int64.fetchOne(
            db, sql: "SELECT id FROM kernel WHERE release = ? AND image = ?", arguments: [kernel.release, image])
        // The same kernel may be given twice.
        try db.execute(
            sql: """
                INSERT INTO run_kernel (kernel, run, spec, accelerator) VALUES (?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET accelerator = excluded.accelerator
                """,
            arguments: [id, rows.run, kernel.spec, accelerator])
        rows.kernel = id
    }

    private func insert(_ result: RecordedResult, _ db: Database, _ rows: inout Rows) throws {
        let id = try rows.cases[result.name] ?? caseRow(result.name, db)
        rows.cases[result.name] = id
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO result (run, kernel, test_case, at, outcome, blame, reason, verdict, duration)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        try statement.execute(arguments: [
            rows.run, rows.kernel, id, result.at.milliseconds, result.outcome, result.blame, result.reason,
            result.verdict, result.duration.milliseconds,
        ])
    }

    private func caseRow(_ name: CaseID, _ db: Database) throws -> Int64? {
        try db.execute(
            sql: "INSERT INTO test_case (suite, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
            arguments: [name.suite, name.id])
        return try Int64.fetchOne(
            db, sql: "SELECT id FROM test_case WHERE suite = ? AND name = ?", arguments: [name.suite, name.id])
    }

    /// A hash of the kernel's file, or nothing where it cannot be read: the release says enough then.
    private static func fingerprint(_ image: FilePath) -> String {
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: image.string), options: .alwaysMapped) else {
            return ""
        }
        var hash = XXH64()
        unsafe data.withUnsafeBytes { unsafe hash.update($0) }
        return String(hash.digest, radix: 16)
    }
}

extension Date {
    /// Since 1970.
    var milliseconds: Int64 { Int64((timeIntervalSince1970 * 1000).rounded()) }

    init(milliseconds: Int64) {
        self.init(timeIntervalSince1970: Double(milliseconds) / 1000)
    }
}
