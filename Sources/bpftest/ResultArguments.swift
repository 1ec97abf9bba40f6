// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Harness
internal import TAP

/// What run and matrix take about where results go.
struct ResultArguments: ParsableArguments {
    @Option(
        help: "The form of the results on stdout: tap (version 14) or ktap.",
        transform: { text in
            guard let dialect = TAPDialect(rawValue: text) else { throw ValidationError("--format wants tap or ktap") }
            return dialect
        })
    var format = TAPDialect.tap

    @Option(help: ArgumentHelp("Results as JSON lines too, into a file.", valueName: "file"))
    var json: String?

    @Option(
        help: ArgumentHelp(
            "A report into a file when the run has ended: tap, ktap, junit, json, markdown or html. Repeatable.",
            valueName: "format=file"),
        transform: { text in
            do throws(HarnessError) {
                return try ReportTarget(argument: text)
            } catch {
                throw ValidationError("\(error)")
            }
        })
    var report: [ReportTarget] = []

    /// Says what could not be written after the run before it, and opens the file of JSON lines.
    func open() throws(HarnessError) -> ResultFile? {
        for one in report { try one.check() }
        return try json.map { (path) throws(HarnessError) in try ResultFile(path) }
    }
}
