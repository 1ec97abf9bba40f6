// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "What this machine has and lacks for running tests, and how to get it.",
        discussion: "Exit status 0 when all that is needed is there, 3 otherwise.")

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        let findings = await Doctor(environment: environment, folders: Folders(environment: environment)).examine()
        let width = findings.map(\.subject.count).max() ?? 0
        var lines: [String] = []
        for finding in findings {
            let level = finding.level.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0)
            let subject = finding.subject.padding(toLength: width, withPad: " ", startingAt: 0)
            lines.append("\(level)  \(subject)  \(finding.detail)")
            if let remedy = finding.remedy { lines.append(String(repeating: " ", count: 9) + "-> \(remedy)") }
        }
        do {
            try Terminal.results(lines.joined(separator: "\n") + "\n")
        } catch {
            Terminal.log("bpftest: \(error)")
            throw ExitCode(3)
        }
        if findings.contains(where: { $0.level == .missing }) { throw ExitCode(3) }
    }
}
