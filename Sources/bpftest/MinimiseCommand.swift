// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

struct MinimiseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "minimise", abstract: "Leave out of an archived failure what it does not need.",
        discussion: """
            Cases that ran before, operations of an exploration, BPF objects, modules: after each step it is run again. \
            Exit status: 0 a smaller archive is written, 1 it does not fail here, 2 no archive, 3 trouble. \
            docs/archive.md.
            """)

    @OptionGroup var archives: ReplayArguments

    @Option(name: .shortAndLong, help: ArgumentHelp("Where the smaller one goes.", valueName: "dir"))
    var output = "."

    @Option(
        help: ArgumentHelp(
            "Time for all of it, in seconds; it is enough to go on with what there is.", valueName: "secs"))
    var timeout: Double?

    func validate() throws {
        try Limits.check(seconds: [("--timeout", timeout)])
    }

    func run() async throws {
        await Terminal.carryOut(perform)
    }

    private func perform(_ cancellation: Cancellation) async throws(HarnessError) -> Int32 {
        let qemu = try MachineStart.qemu(ProcessInfo.processInfo.environment)
        let options = ArchiveOptions(folder: FilePath(output))
        let limit = timeout.map { Duration.seconds($0) }
        let path = try await archives.with(qemu, cancellation) { (replay) throws(HarnessError) -> FilePath? in
            // What is no archive leaves no folder behind.
            try options.check(option: "--output")
            for line in replay.description(.again(times: 1)) { Terminal.log("# \(line)") }
            let minimiser = try ArchiveMinimiser(replay, limit: limit) { Terminal.log("bpftest: \($0)") }
            return try minimiser.run(into: options.folder)
        }
        guard let path else { return 1 }
        try Terminal.show("\(path)\n")
        return 0
    }
}
