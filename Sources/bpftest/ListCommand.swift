// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the built-in suites and cases, with their spec ids and needs.")

    @Flag(help: "As JSON: an array of suites, docs/results.md has the form.")
    var json = false

    func run() async throws {
        do throws(HarnessError) {
            let files = try GuestFiles.locate(environment: ProcessInfo.processInfo.environment)
            let suites = try await Catalogue.builtIn(files)
            try show(suites)
        } catch {
            Terminal.end(Terminal.report(error))
        }
    }

    private func show(_ suites: [SuiteListing]) throws(HarnessError) {
        do {
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                try Terminal.results(String(decoding: try encoder.encode(suites), as: UTF8.self) + "\n")
                return
            }
            for suite in suites {
                try Terminal.results("\(suite.suite): \(suite.title) (\(suite.cases.count) cases)\n")
                for one in suite.cases {
                    let needs = one.needs.isEmpty ? "" : ", needs " + one.needs.joined(separator: ", ")
                    let since = one.since.map { " [since \($0)\(needs)]" } ?? ""
                    try Terminal.results("  \(one.id)  \(one.title) (\(one.spec.joined(separator: " ")))\(since)\n")
                }
            }
        } catch {
            throw .infrastructure("\(error)")
        }
    }
}
