// SPDX-License-Identifier: Apache-2.0
internal import TAP

extension HTMLReport {
    /// The results turned round: cases in rows, kernels in columns.
    struct Page {
        struct Cell {
            var result: CaseResult
            /// Where the page says more about it; nil: there is no more to say.
            var anchor: String?
        }

        struct Row {
            var id: String
            var title: String
            /// A column for each kernel; nil: the case has no result there.
            var cells: [Cell?]

            var kinds: Set<Shown> { Set(cells.compactMap { $0.map { Shown($0.result) } }) }
            /// Where it has results, they are not the same.
            var differs: Bool { kinds.count > 1 }
            var classes: String { HTMLReport.Page.classes(kinds, differs) }
        }

        struct Suite {
            var name: String
            var rows: [Row] = []

            var kinds: Set<Shown> { rows.reduce(into: []) { $0.formUnion($1.kinds) } }
            var classes: String { HTMLReport.Page.classes(kinds, rows.contains(where: \.differs)) }
            var tally: Tally {
                rows.reduce(into: Tally()) { tally, row in
                    for cell in row.cells.compactMap(\.self) { tally.count(cell.result) }
                }
            }
        }

        private(set) var suites: [Suite] = []
        /// Kernels' names, without what all of them end in.
        private(set) var labels: [String]
        /// What has diagnostics of its own in the page: kernel, result, anchor.
        private(set) var told: [(kernel: Int, result: CaseResult, anchor: String)] = []
        private(set) var reasons: [(text: String, count: Int)] = []

        var differing: Int { suites.reduce(0) { $0 + $1.rows.count { $0.differs } } }

        init(_ results: RunResults) {
            struct Key: Hashable {
                var suite: Int
                var id: String
                /// A guest may say a name twice.
                var occurrence: Int
            }
            labels = Self.labels(results.kernels.map(\.name))
            var places: [String: Int] = [:]
            var rows: [Key: Int] = [:]
            var numbers: [String: Int] = [:]
            for (column, kernel) in results.kernels.enumerated() {
                var seen: [Key: Int] = [:]
                for part in kernel.suites {
                    let place = places[part.name] ?? suites.count
                    if place == suites.count {
                        places[part.name] = place
                        suites.append(Suite(name: part.name))
                    }
                    for result in part.results {
                        var key = Key(suite: place, id: result.name.id, occurrence: 0)
                        let occurrence = seen[key, default: 0]
                        seen[key] = occurrence + 1
                        key.occurrence = occurrence
                        let row = rows[key] ?? suites[place].rows.count
                        if row == suites[place].rows.count {
                            rows[key] = row
                            suites[place].rows.append(
                                Row(
                                    id: result.name.id, title: result.title,
                                    cells: Array(repeating: nil, count: results.kernels.count)))
                        }
                        let anchor = anchor(result, column, &numbers)
                        // What is told elsewhere is kept once.
                        var light = result
                        light.diagnostics = .init()
                        suites[place].rows[row].cells[column] = Cell(result: light, anchor: anchor)
                    }
                }
            }
        }

        private mutating func anchor(
            _ result: CaseResult, _ column: Int, _ numbers: inout [String: Int]
        ) -> String? {
            if case .skipped(let reason) = result.outcome {
                let number = numbers[reason] ?? reasons.count
                if number == reasons.count {
                    numbers[reason] = number
                    reasons.append((reason, 0))
                }
                reasons[number].count += 1
                return "r\(number)"
            }
            guard result.outcome.isFailure || result.known != nil else { return nil }
            let anchor = "d\(told.count)"
            told.append((column, result, anchor))
            return anchor
        }

        static func classes(_ kinds: Set<Shown>, _ differs: Bool) -> String {
            (Shown.allCases.filter { kinds.contains($0) }.map(\.key) + (differs ? ["d"] : [])).joined(separator: " ")
        }

        /// Names without the words that all of them end in, "-cloud-amd64" and the like.
        static func labels(_ names: [String]) -> [String] {
            guard Set(names).count > 1, let first = names.first else { return names }
            func words(_ name: String) -> [Substring] {
                var words: [Substring] = []
                var start = name.startIndex
                for index in name.indices where "-+".contains(name[index]) && index > start {
                    words.append(name[start..<index])
                    start = index
                }
                return words + [name[start...]]
            }
            let all = names.map(words)
            var common = 0
            while all.allSatisfy({ $0.count > common + 1 }),
                all.allSatisfy({ $0[$0.count - 1 - common] == words(first)[words(first).count - 1 - common] })
            {
                common += 1
            }
            return all.map { $0.dropLast(common).joined() }
        }
    }
}
