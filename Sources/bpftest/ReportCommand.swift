// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Make a report of results that --json wrote.",
        discussion: """
            Results of different kernels are put side by side; --merge puts the shards of one plan together. Exit \
            status: 0 the report is written, 2 wrong call or results that cannot be used, 3 it cannot be written; \
            with --exit-code, that of the run.
            """)

    @Argument(help: ArgumentHelp("Files that --json wrote; - is standard input.", valueName: "results"))
    var files: [String]

    @Option(
        help: ArgumentHelp(
            "tap, ktap, junit, json, markdown, html, or jsonl: JSON lines again.", valueName: "format"))
    var format = "tap"

    @Option(name: [.short, .long], help: ArgumentHelp("Where it goes, if not to stdout.", valueName: "file"))
    var output: String?

    @Option(help: ArgumentHelp("A further report, into a file. Repeatable.", valueName: "format=file"))
    var report: [String] = []

    @Flag(help: "The results are shards of one plan (--shard): make the report of the whole.")
    var merge = false

    @Flag(help: "Go on without shards that are missing and with runs that did not end; the report says so.")
    var partial = false

    @Flag(help: "End as the run did: 1 if a case failed, 3 if it bailed out, 4 if everything was skipped.")
    var exitCode = false

    func run() throws {
        let code: Int32
        do throws(HarnessError) {
            code = try perform()
        } catch {
            code = Terminal.report(error)
        }
        Terminal.end(code)
    }

    private func perform() throws(HarnessError) -> Int32 {
        // A reader that goes away shows as EPIPE, which is reported.
        signal(SIGPIPE, SIG_IGN)
        let format = try ReportFormat(named: self.format)
        var targets: [ReportTarget] = []
        for text in report { targets.append(try ReportTarget(argument: text)) }
        if let output, output != "-" { targets.append(ReportTarget(format, file: FilePath(output))) }
        for target in targets { try target.check() }
        var request = ReportRequest(files)
        request.merges = merge
        request.partial = partial
        let results = try request.results()
        for target in targets { try target.write(results) }
        if output == "-" || output == nil && report.isEmpty {
            do {
                try format.render(results, to: Terminal.results)
            } catch {
                throw .infrastructure("the report cannot be written: \(error)")
            }
        }
        return exitCode ? results.exitCode : 0
    }
}
