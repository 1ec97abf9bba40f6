// SPDX-License-Identifier: Apache-2.0
public import Foundation
internal import GRDB

extension Records {
    /// A case that both passed and failed on one kernel, or that running again showed to be unsteady.
    public struct Flake: Sendable, Equatable, Encodable {
        public var name: String
        public var kernel: String
        /// Results that are no skips.
        public var results: Int
        public var failed: Int
        /// How often the outcome changed from one result to the next: 1 may be a repair or a regression.
        public var changes: Int
        /// The last `flaky` or `order-dependent`.
        public var verdict: String?
        /// When it failed last, or when it was last found unsteady.
        public var lastSeen: Date

        enum CodingKeys: String, CodingKey {
            case kernel, results, failed, changes, verdict
            case name = "case"
            case lastSeen = "last_seen"
        }
    }

    /// The unsteady cases of the last days, those that change most often first.
    ///
    /// One kernel is one build: a failure that a rebuilt kernel of the same release no longer has is no flake.
    /// - Throws: `.usage` where these days have no result at all.
    public func flakes(days: Int = 30, now: Date = Date()) throws(HarnessError) -> [Flake] {
        let since = now.addingTimeInterval(-Double(days) * 86400)
        return try ask { db in
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT test_case, kernel, outcome = 'failed', verdict, at FROM result
                    WHERE run IN (SELECT id FROM run WHERE started >= ?) AND outcome <> 'skipped'
                    ORDER BY test_case, kernel, id
                    """,
                arguments: [since.milliseconds])
            var found: [Candidate] = []
            var current: Candidate?
            var isAny = false
            while let row = try rows.next() {
                isAny = true
                let testCase: Int64 = row[0]
                let kernel: Int64 = row[1]
                if current?.testCase != testCase || current?.kernel != kernel {
                    if let current, current.isFlaky { found.append(current) }
                    current = Candidate(testCase: testCase, kernel: kernel)
                }
                current?.count(failed: row[2], verdict: row[3], at: row[4])
            }
            if let current, current.isFlaky { found.append(current) }
            if !isAny { throw HarnessError.usage("the records have no result of the last \(days) days") }
            return try found.map { try $0.flake(db) }
                .sorted { ($1.changes, $1.lastSeen, $0.name) < ($0.changes, $0.lastSeen, $1.name) }
        }
    }

    /// The results of one case on one kernel, in their order.
    private struct Candidate {
        let testCase: Int64
        let kernel: Int64
        private var results = 0
        private var failed = 0
        private var changes = 0
        private var last: Bool?
        private var verdict: String?
        private var lastSeen: Int64 = 0

        init(testCase: Int64, kernel: Int64) {
            self.testCase = testCase
            self.kernel = kernel
        }

        mutating func count(failed hasFailed: Bool, verdict text: String?, at: Int64) {
            results += 1
            if hasFailed { failed += 1 }
            if let last, last != hasFailed { changes += 1 }
            last = hasFailed
            let isUnsteady = text.map { $0.hasPrefix("flaky") || $0.hasPrefix("order-dependent") } ?? false
            if isUnsteady { verdict = text }
            if hasFailed || isUnsteady { lastSeen = at }
        }

        var isFlaky: Bool { changes > 0 || verdict != nil }

        func flake(_ db: Database) throws -> Flake {
            let name = try String.fetchOne(
                db, sql: "SELECT suite || '/' || name FROM test_case WHERE id = ?", arguments: [testCase])
            let release = try String.fetchOne(db, sql: "SELECT release FROM kernel WHERE id = ?", arguments: [kernel])
            return Flake(
                name: name ?? "?", kernel: release ?? "?", results: results, failed: failed, changes: changes,
                verdict: verdict, lastSeen: Date(milliseconds: lastSeen))
        }
    }
}
