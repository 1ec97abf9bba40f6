// SPDX-License-Identifier: Apache-2.0
public import Foundation
internal import GRDB

extension Records {
    /// How a run ended, or that it did not.
    public enum RunEnd: Sendable, Equatable, CustomStringConvertible, Encodable {
        case exit(Int32)
        case bailOut(String)
        /// Killed, or cut off with its machine.
        case interrupted
        case running

        init(_ row: Row) {
            if let code = row["exit"] as Int32? {
                self = .exit(code)
            } else if let reason = row["bail_out"] as String? {
                self = .bailOut(reason)
            } else {
                let isHere = row["host"] == ProcessInfo.processInfo.hostName
                self = isHere && ProcessMark.isAlive(row["process"]) ? .running : .interrupted
            }
        }

        public var description: String {
            switch self {
            case .exit(let code): "exit \(code)"
            case .bailOut(let reason): "bail out: \(reason)"
            case .interrupted: "interrupted"
            case .running: "running"
            }
        }

        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode(description)
        }
    }

    /// One result of a case.
    public struct HistoryEntry: Sendable, Equatable, Encodable {
        public var date: Date
        public var name: String
        public var kernel: String
        public var outcome: String
        public var blame: String?
        /// `flaky 2/5`, `order-dependent`: what running it again has shown.
        public var verdict: String?
        public var reason: String?
        public var milliseconds: Int64
        public var run: Int64
        public var runEnd: RunEnd

        enum CodingKeys: String, CodingKey {
            case date, kernel, outcome, blame, verdict, reason, run
            case name = "case"
            case milliseconds = "duration_ms"
            case runEnd = "run_end"
        }
    }

    /// Its parameters: cases, kernels (twice; NULL for all), how many.
    static let historyQuery = """
        SELECT result.at, suite || '/' || name AS name, release, outcome, blame, verdict, reason, duration,
            run.id AS run, exit, bail_out, host, process
        FROM result
        JOIN test_case ON test_case.id = test_case
        JOIN kernel ON kernel.id = kernel
        JOIN run ON run.id = run
        WHERE test_case IN (SELECT value FROM json_each(?))
            AND (? IS NULL OR kernel IN (SELECT value FROM json_each(?)))
        ORDER BY result.id DESC LIMIT ?
        """

    /// The results of one or more cases, newest first.
    ///
    /// - Throws: `.usage` where no case, kernel or result matches.
    public func history(
        _ name: String, kernel: String? = nil, limit: Int = 20
    ) throws(HarnessError) -> [HistoryEntry] {
        try ask { db in
            let cases = try cases(name, db)
            let kernels = try kernels(kernel, db)
            let rows = try Row.fetchAll(
                db, sql: Self.historyQuery, arguments: [cases.json, kernels?.json, kernels?.json, limit])
            if rows.isEmpty {
                throw HarnessError.usage("the records have no result of \(name)" + (kernel.map { " on \($0)" } ?? ""))
            }
            return rows.map { row in
                HistoryEntry(
                    date: Date(milliseconds: row["at"]), name: row["name"], kernel: row["release"],
                    outcome: row["outcome"], blame: row["blame"], verdict: row["verdict"], reason: row["reason"],
                    milliseconds: row["duration"], run: row["run"], runEnd: RunEnd(row))
            }
        }
    }

    /// One run.
    public struct RunEntry: Sendable, Equatable, Encodable {
        public var id: Int64
        public var started: Date
        /// nil while it runs, and for ever where it was interrupted.
        public var ended: Date?
        public var kernels: [String]
        public var passed: Int
        public var failed: Int
        public var skipped: Int
        public var end: RunEnd
        public var version: String
        public var host: String
        public var cpus: Int
        public var qemu: String
        public var isolation: String?
        public var seed: String?
    }

    /// The last runs, newest first.
    ///
    /// - Throws: `.usage` where there are none.
    public func runs(kernel: String? = nil, limit: Int = 20) throws(HarnessError) -> [RunEntry] {
        try ask { db in
            let kernels = try kernels(kernel, db)
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT run.*,
                        (SELECT count(*) FROM result WHERE run = run.id AND outcome = 'passed') AS passed,
                        (SELECT count(*) FROM result WHERE run = run.id AND outcome = 'failed') AS failed,
                        (SELECT count(*) FROM result WHERE run = run.id AND outcome = 'skipped') AS skipped
                    FROM run
                    WHERE ? IS NULL OR EXISTS (
                        SELECT 1 FROM run_kernel
                        WHERE run = run.id AND kernel IN (SELECT value FROM json_each(?)))
                    ORDER BY id DESC LIMIT ?
                    """,
                arguments: [kernels?.json, kernels?.json, limit])
            if rows.isEmpty { throw HarnessError.usage("the records have no run yet") }
            return try rows.map { row in
                let names = try String.fetchAll(
                    db,
                    sql: """
                        SELECT DISTINCT release FROM run_kernel JOIN kernel ON kernel.id = kernel WHERE run = ?
                        """,
                    arguments: [row["id"] as Int64])
                return RunEntry(
                    id: row["id"], started: Date(milliseconds: row["started"]),
                    ended: (row["ended"] as Int64?).map { Date(milliseconds: $0) }, kernels: names,
                    passed: row["passed"], failed: row["failed"], skipped: row["skipped"], end: RunEnd(row),
                    version: row["version"], host: row["host"], cpus: row["cpus"], qemu: row["qemu"],
                    isolation: row["isolation"], seed: row["seed"])
            }
        }
    }
}
