// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

struct FlakesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flakes",
        abstract: "Cases that both passed and failed on one build of a kernel, or were found flaky or order-dependent.",
        discussion: """
            Exit status 0 whether there are any or not, 2 where these days have no result. \
            docs/records.md has the form of the JSON.
            """)

    @Option(help: ArgumentHelp("How far to look back.", valueName: "days"))
    var days = 30

    @Flag(help: "As JSON.")
    var json = false

    func validate() throws {
        guard (1...100_000).contains(days) else { throw ValidationError("--days wants a number above 0") }
    }

    func run() {
        Table.run { () throws(HarnessError) in
            let flakes = try Records(environment: ProcessInfo.processInfo.environment).flakes(days: days)
            if json { return try Table.show(json: flakes) }
            if flakes.isEmpty { return Terminal.log("bpftest: no flaky case in the last \(days) days") }
            let rows = flakes.map { flake in
                let rate = String(format: "%.1f %%", 100 * Double(flake.failed) / Double(flake.results))
                return [
                    flake.name, flake.kernel, "\(flake.failed)/\(flake.results)", rate, "\(flake.changes)",
                    Table.text(flake.lastSeen), flake.verdict ?? "",
                ]
            }
            try Table.show(
                [
                    ("CASE", .left), ("KERNEL", .left), ("FAILED", .right), ("RATE", .right), ("CHANGES", .right),
                    ("LAST SEEN", .left), ("VERDICT", .left),
                ], rows)
        }
    }
}
