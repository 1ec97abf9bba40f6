// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness

/// Measures what docs/performance.md promises, as ratios within one run. `make bench`.
///
/// `bpftest-bench [GROUP…] [FILE]`: only those groups of figures; the file gets them as JSON.
/// `bpftest-bench soak [OPTION…]`: a long run that looks for what must not happen. `make soak`.
@main
struct Main {
    static func main() async {
        do {
            let words = CommandLine.arguments.dropFirst()
            let rows: [Row]
            let file: String
            if words.first == "soak" {
                rows = try await soak(try Soak.Options(words.dropFirst()))
                file = ".build/soak.json"
            } else {
                rows = try await bench(words.compactMap(Bench.Group.init))
                file = words.first { Bench.Group(rawValue: $0) == nil } ?? ".build/bench.json"
            }
            print(Table.text(rows), terminator: "")
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try encoder.encode(rows).write(to: URL(fileURLWithPath: file))
            exit(rows.allSatisfy { $0.holds ?? true } ? 0 : 1)
        } catch {
            FileHandle.standardError.write(Data("bench: \(error)\n".utf8))
            exit(3)
        }
    }

    /// - Parameter groups: all of them when empty.
    private static func bench(_ groups: [Bench.Group]) async throws -> [Row] {
        let bench = try await Bench()
        return try await Runner.onThread {
            Result { try bench.rows(groups.isEmpty ? Bench.Group.allCases : groups) }
        }.get()
    }

    private static func soak(_ options: Soak.Options) async throws -> [Row] {
        let soak = try Soak(try await Bench(), options)
        defer { soak.remove() }
        return try await Runner.onThread { Result { try soak.rows() } }.get()
    }
}
