// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

struct SlowestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slowest", abstract: "The cases that take longest, by the median of their recorded times.",
        discussion: "Exit status 2 where nothing matches. docs/records.md has the form of the JSON.")

    @Option(name: .customShort("n"), help: ArgumentHelp("How many.", valueName: "n"))
    var count = 10

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp("Only on this kernel: a release, its beginning, or what -k took.", valueName: "kernel"))
    var kernel: String?

    @Flag(help: "As JSON.")
    var json = false

    func validate() throws {
        guard count > 0 else { throw ValidationError("-n wants a number above 0") }
    }

    func run() {
        Table.run { () throws(HarnessError) in
            let cases = try Records(environment: ProcessInfo.processInfo.environment).slowest(count, kernel: kernel)
            if json { return try Table.show(json: cases) }
            let rows = cases.map { one in
                [
                    Table.seconds(one.medianMilliseconds), Table.seconds(one.maximumMilliseconds), "\(one.results)",
                    one.name,
                ]
            }
            try Table.show([("MEDIAN", .right), ("MAX", .right), ("RESULTS", .right), ("CASE", .left)], rows)
        }
    }
}
