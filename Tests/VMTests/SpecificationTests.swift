// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// docs/semantics/ and the cases that run are the same list. No machine is needed: bpftest's own agent lists itself.
    @Suite(.serialized)
    struct Specification {
        /// The subjects that are complete: every id has a case, or a reason why it has none.
        private static let subjects: Set<Character> = ["K", "P", "D", "I", "H", "N", "M", "V"]

        private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("docs/semantics").path

        /// The first cells of a file's tables that are ids: K-001.
        private static func ids(in file: String) throws -> [String] {
            let text = try String(contentsOfFile: "\(folder)/\(file)", encoding: .utf8)
            return text.split(separator: "\n").compactMap { line in
                guard line.hasPrefix("| ") else { return nil }
                let cell = line.dropFirst(2).prefix { $0 != " " }
                let parts = cell.split(separator: "-")
                guard parts.count == 2, parts[0].count == 1, parts[1].count == 3, Int(parts[1]) != nil else {
                    return nil
                }
                return String(cell)
            }
        }

        private static func specified() throws -> [String] {
            try ["kfuncs.md", "kptr.md", "dynptr-iters.md", "namespaces.md", "mprog.md", "drivers.md"].flatMap {
                try ids(in: $0)
            }
        }

        private static func running() throws -> Set<String> {
            let command = try Command()
            #expect(try command.run(["list", "--json"]) == .exited(0), "\(command.stderr)")
            let suites = try #require(
                try JSONSerialization.jsonObject(with: Data(command.stdout.utf8)) as? [[String: Any]])
            let cases = suites.flatMap { $0["cases"] as? [[String: Any]] ?? [] }
            for one in cases {
                #expect(!(one["spec"] as? [String] ?? []).isEmpty, "\(one["id"] ?? "?") stands for no id")
            }
            return Set(cases.flatMap { $0["spec"] as? [String] ?? [] })
        }

        @Test func everyIdIsThereOnce() throws {
            let all = try Self.specified()
            #expect(all.count >= 543)
            #expect(Dictionary(grouping: all) { $0 }.filter { $0.value.count > 1 }.keys.sorted() == [])
        }

        @Test func everyIdRunsOrHasAReason() throws {
            let all = try Self.specified().filter { Self.subjects.contains($0.first ?? " ") }
            let running = try Self.running()
            let excused = try Self.ids(in: "not-tested.md")
            #expect(all.filter { !running.contains($0) && !excused.contains($0) } == [], "neither run nor are excused")
            #expect(excused.filter { running.contains($0) } == [], "are excused although they run")
            #expect(excused.count * 20 <= all.count, "more than 5 % are not tested")
        }

        @Test func casesStandForIdsThatThereAre() throws {
            let all = Set(try Self.specified())
            #expect(try Self.running().filter { !all.contains($0) }.sorted() == [])
        }
    }
}
