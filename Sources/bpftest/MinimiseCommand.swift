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

    @Argument(help: ArgumentHelp("The archive, a .tar.zst of run --archive.", valueName: "archive"))
    var archive: String

    @Option(name: .shortAndLong, help: ArgumentHelp("Where the smaller one goes.", valueName: "dir"))
    var output = "."

    @Option(help: ArgumentHelp("The bundle with the archive's shared parts, if not beside it.", valueName: "file"))
    var bundle: String?

    @Option(
        help: ArgumentHelp(
            "Time for all of it, in seconds; it is enough to go on with what there is.", valueName: "secs"))
    var timeout: Double?

    @Flag(help: "Emulate also where KVM works.")
    var disableKvm = false

    func validate() throws {
        guard (timeout ?? 1) > 0, (timeout ?? 1) < 1e7 else { throw ValidationError("--timeout wants seconds above 0") }
    }

    func run() async throws {
        let code: Int32
        do {
            code = try await perform()
        } catch {
            code = Terminal.report(error)
        }
        Terminal.end(code)
    }

    private func perform() async throws(HarnessError) -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        let cancellation = try RunCommand.cancellation()
        Interrupts.stop(cancellation) {}
        let qemu = try RunCommand.qemu(environment)
        let options = ArchiveOptions(folder: FilePath(output))
        try options.check()
        let work = try WorkFolder(environment: environment)
        defer { work.remove() }
        let archive = FilePath(archive)
        let bundle = bundle.map { FilePath($0) }
        let limit = timeout.map { Duration.seconds($0) }
        let disablesKVM = disableKvm
        let answer = await Runner.onThread {
            Result { () throws(HarnessError) -> FilePath? in
                let replay = try ArchiveReplay(
                    archive, bundle: bundle, qemu: qemu, folders: Folders(environment: environment),
                    disablesKVM: disablesKVM, work: work, cancellation: cancellation, log: Terminal.log)
                for line in replay.description(.again(times: 1)) { Terminal.log("# \(line)") }
                let minimiser = try ArchiveMinimiser(replay, limit: limit) { Terminal.log("bpftest: \($0)") }
                return try minimiser.run(into: options.folder)
            }
        }
        if cancellation.isCancelled { throw .cancelled }
        guard let path = try answer.get() else { return 1 }
        do {
            try Terminal.results("\(path)\n")
        } catch {
            throw .infrastructure("\(error)")
        }
        return 0
    }
}
