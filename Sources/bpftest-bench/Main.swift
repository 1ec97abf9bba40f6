// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness

/// Measures what docs/performance.md promises, as ratios within one run. `make bench`.
///
/// `bpftest-bench [GROUP…] [FILE]`: only those groups of figures; the file gets them as JSON.
@main
struct Main {
    static func main() async {
        do {
            let words = CommandLine.arguments.dropFirst()
            let named = words.compactMap(Bench.Group.init)
            let file = words.first { Bench.Group(rawValue: $0) == nil } ?? ".build/bench.json"
            let bench = try await Bench()
            let answer = await Runner.onThread {
                Result { try bench.rows(named.isEmpty ? Bench.Group.allCases : named) }
            }
            let rows = try answer.get()
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
}
