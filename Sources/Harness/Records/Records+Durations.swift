// SPDX-License-Identifier: Apache-2.0
internal import GRDB

extension Records {
    /// How long a case takes.
    public struct SlowCase: Sendable, Equatable, Encodable {
        public var name: String
        public var medianMilliseconds: Int64
        public var maximumMilliseconds: Int64
        public var results: Int

        enum CodingKeys: String, CodingKey {
            case results
            case name = "case"
            case medianMilliseconds = "median_ms"
            case maximumMilliseconds = "max_ms"
        }
    }

    /// The cases that take longest, by their median; skips do not count.
    ///
    /// - Throws: `.usage` where no kernel or no result matches.
    public func slowest(_ count: Int = 10, kernel: String? = nil) throws(HarnessError) -> [SlowCase] {
        try ask { db in
            let kernels = try kernels(kernel, db)
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT test_case, duration FROM result
                    WHERE outcome <> 'skipped' AND (? IS NULL OR kernel IN (SELECT value FROM json_each(?)))
                    """,
                arguments: [kernels?.json, kernels?.json])
            var durations: [Int64: [Int64]] = [:]
            while let row = try rows.next() { durations[row[0], default: []].append(row[1]) }
            if durations.isEmpty {
                throw HarnessError.usage("the records have no result" + (kernel.map { " on \($0)" } ?? " yet"))
            }
            let ranked = durations.map { (id: $0, median: Self.median($1), all: $1) }
                .sorted { ($1.median, $0.id) < ($0.median, $1.id) }
            return try ranked.prefix(count).map { one in
                let name = try String.fetchOne(
                    db, sql: "SELECT suite || '/' || name FROM test_case WHERE id = ?", arguments: [one.id])
                return SlowCase(
                    name: name ?? "?", medianMilliseconds: one.median, maximumMilliseconds: one.all.max() ?? 0,
                    results: one.all.count)
            }
        }
    }

    /// What each case is expected to take on a kernel: the median of its last results there, or, where it was never
    /// run there, of those on other kernels.
    public func expectedDurations(kernel: String) throws(HarnessError) -> [CaseID: Duration] {
        try ask { db in
            let here = Set(
                try Int64.fetchAll(db, sql: "SELECT id FROM kernel WHERE release = ?", arguments: [kernel]))
            let recent = try db.makeStatement(
                sql: "SELECT kernel, duration FROM result WHERE test_case = ? ORDER BY id DESC LIMIT 40")
            var expected: [CaseID: Duration] = [:]
            for row in try Row.fetchAll(db, sql: "SELECT id, suite, name FROM test_case") {
                let results = try Row.fetchAll(recent, arguments: [row[0] as Int64])
                    .map { (kernel: $0[0] as Int64, duration: $0[1] as Int64) }
                if results.isEmpty { continue }
                let same = results.filter { here.contains($0.kernel) }
                let median = Self.median((same.isEmpty ? results : same).map(\.duration))
                expected[CaseID(suite: row[1], id: row[2])] = .milliseconds(median)
            }
            return expected
        }
    }

    /// The lower one of the two in the middle; 0 of nothing.
    private static func median(_ values: [Int64]) -> Int64 {
        values.isEmpty ? 0 : values.sorted()[(values.count - 1) / 2]
    }
}
