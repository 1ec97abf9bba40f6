// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// What a matrix runs, kernel by kernel and suite by suite, and who of several machines runs which part.
///
/// It follows from the configuration and the catalogue alone: every machine comes to the same.
public struct MatrixPlan: Sendable, Equatable {
    /// All cases of a suite on a kernel: what is never divided.
    public struct Cell: Sendable, Equatable {
        /// As in the configuration.
        public var kernel: String
        public var suite: String
        /// How many cases.
        public var cases: Int
    }

    public let kernels: [String]
    /// Kernel by kernel, in the order of the reports; a suite of which a kernel runs nothing has none.
    public let cells: [Cell]

    /// - Parameter selections: suites with their cases, in the order of the reports.
    public init(_ config: MatrixConfig, suites: [(name: String, cases: [String])]) {
        kernels = config.kernels
        cells = config.kernels.flatMap { kernel in
            suites.compactMap { suite in
                let count = suite.cases.count {
                    config.allows(CaseID(suite: suite.name, id: $0), on: kernel)
                }
                return count == 0 ? nil : Cell(kernel: kernel, suite: suite.name, cases: count)
            }
        }
    }

    /// Parts that are worth a job each: one for each kernel that has something to run.
    public var jobs: Int { max(1, Set(cells.map(\.kernel)).count) }

    /// What a shard runs: cells that stand together, of about as many cases as the others'; a kernel that two shards
    /// share is booted by both.
    public func cells(of shard: Shard) -> [Cell] {
        let total = cells.reduce(0) { $0 + $1.cases }
        var before = 0
        return cells.filter { cell in
            // By the middle of the cell: each has one shard, whatever the numbers.
            let middle = before * 2 + cell.cases
            before += cell.cases
            return min(middle * shard.count / max(1, total * 2), shard.count - 1) == shard.index - 1
        }
    }

    /// For a workflow that starts a job for each shard: `{"version": 1, "shards": […], "include": […]}`.
    ///
    /// - Parameter count: shards; those that would have nothing to do are left out.
    public func json(shards count: Int) -> String {
        struct Job: Encodable {
            var shard: String
            var kernels: [String]
            var cases: Int
        }
        struct Document: Encodable {
            var version = 1
            var kernels: [String]
            var cases: Int
            var include: [Job]
        }
        let jobs = (1...max(1, count)).compactMap { number -> Job? in
            guard let shard = Shard(index: number, count: max(1, count)) else { return nil }
            let cells = cells(of: shard)
            let named = kernels.filter { kernel in cells.contains { $0.kernel == kernel } }
            let cases = cells.reduce(0) { $0 + $1.cases }
            return cells.isEmpty ? nil : Job(shard: shard.description, kernels: named, cases: cases)
        }
        let document = Document(kernels: kernels, cases: cells.reduce(0) { $0 + $1.cases }, include: jobs)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings and numbers always have a form in JSON.
        let data = (try? encoder.encode(document)) ?? Data()
        return String(decoding: data, as: UTF8.self)
    }
}
