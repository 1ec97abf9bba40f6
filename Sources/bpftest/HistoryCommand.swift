// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",

        abstract: "What became of a case in earlier runs, newest first; without a case: the runs.",
        discussion: "Exit status 2 where nothing matches. docs/records.md has the form of the JSON.")

    @Argument(help: "SUITE/CASE, a suite, a glob over SUITE/CASE, or a part of it.")
    var name: String?

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp("Only on this kernel: a release, its beginning, or what -k took.", valueName: "kernel"))
    var kernel: String?

    @Option(help: ArgumentHelp("How many lines.", valueName: "n"))
    var limit = 20

    @Flag(help: "As JSON.")
    var json = false

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit wants a number above 0") }
    }

    func run() {
        Table.run { () throws(HarnessError) in
            let records = try Records(environment: ProcessInfo.processInfo.environment)
            if let name { try showResults(records, name) } else { try showRuns(records) }
        }
    }

    private func showResults(_ records: Records, _ name: String) throws(HarnessError) {
        let entries = try records.history(name, kernel: kernel, limit: limit)
        if json { return try Table.show(json: entries) }
        // Of a single case the name says nothing new.
        let isOne = Set(entries.map(\.name)).count == 1 && entries.first?.name == name
        let rows = entries.map { entry in
            // "flaky: failed in 2 of 5 runs"; that a failure is one says nothing new.
            let verdict = entry.verdict.flatMap { $0.hasPrefix("failure") ? nil : $0 }
            let kind = verdict.map { " (\($0.prefix { $0 != ":" }))" } ?? ""
            var reasons = [entry.blame == "test" ? nil : entry.blame, entry.reason, verdict].compactMap(\.self)
            if entry.runEnd == .interrupted { reasons.append("(the run was interrupted)") }
            return [Table.text(entry.date), entry.kernel, entry.outcome + kind, Table.seconds(entry.milliseconds)]
                + (isOne ? [] : [entry.name]) + [reasons.joined(separator: "; ")]
        }
        try Table.show(
            [("DATE", .left), ("KERNEL", .left), ("OUTCOME", .left), ("TIME", .right)]
                + (isOne ? [] : [("CASE", .left)]) + [("REASON", .left)], rows)
    }

    private func showRuns(_ records: Records) throws(HarnessError) {
        let runs = try records.runs(kernel: kernel, limit: limit)
        if json { return try Table.show(json: runs) }
        let rows = runs.map { run in
            let took = run.ended.map { Table.seconds(Date.milliseconds(from: run.started, to: $0)) } ?? ""
            return [
                "\(run.id)", Table.text(run.started), took, "\(run.passed)", "\(run.failed)", "\(run.skipped)",
                "\(run.end)", run.kernels.joined(separator: ", "),
            ]
        }
        try Table.show(
            [
                ("RUN", .right), ("DATE", .left), ("TIME", .right), ("PASSED", .right), ("FAILED", .right),
                ("SKIPPED", .right), ("END", .left), ("KERNELS", .left),
            ], rows)
    }
}

extension Date {
    fileprivate static func milliseconds(from start: Date, to end: Date) -> Int64 {
        Int64((end.timeIntervalSince(start) * 1000).rounded())
    }
}
