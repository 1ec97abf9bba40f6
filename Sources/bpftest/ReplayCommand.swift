// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Run an archived failure again.",
        discussion: """
            What will be run is said first. Exit status: 1 the failure happened again, 0 it did not, 2 the file is no \
            archive of bpftest's, 3 it could not be run. docs/archive.md.
            """)

    @Argument(help: ArgumentHelp("The archive, a .tar.zst of run --archive.", valueName: "archive"))
    var archive: String

    @Option(help: ArgumentHelp("How often.", valueName: "n"))
    var times = 1

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp(
            "Another kernel, as for run, in place of the archive's: is it fixed there?", valueName: "kernel"))
    var kernel: String?

    @Option(help: ArgumentHelp("Where that kernel's modules are, if not beside it.", valueName: "dir"))
    var modules: String?

    @OptionGroup var kernelSources: SourceOptions

    @Option(help: ArgumentHelp("The bundle with the archive's shared parts, if not beside it.", valueName: "file"))
    var bundle: String?

    @Flag(help: "Play its recording back, instruction by instruction.")
    var deterministic = false

    @Flag(help: "In gdb, from the first instruction on; with --deterministic also backwards.")
    var gdb = false

    @Flag(help: "With a shell in the guest: behind the case, or in front of it where it crashes the kernel.")
    var shell = false

    @Option(
        help: ArgumentHelp(
            "Files that the shell finds in the guest, programs with their libraries; =GUEST says where. Repeatable.",
            valueName: "host[=guest]"))
    var file: [String] = []

    @Flag(help: "Emulate also where KVM works.")
    var disableKvm = false

    @Flag(help: "Say what would be run, and run nothing.")
    var dryRun = false

    func validate() throws {
        guard (1...100_000).contains(times) else { throw ValidationError("--times wants 1 to 100000") }
        guard !(shell && (gdb || deterministic)) else { throw ValidationError("--shell goes alone") }
        guard times == 1 || !(shell || gdb || deterministic) else {
            throw ValidationError("--times is for neither --shell, --gdb nor --deterministic")
        }
        guard kernel == nil || !deterministic else {
            throw ValidationError("a recording is of one kernel: --kernel and --deterministic exclude each other")
        }
        guard shell || file.isEmpty else { throw ValidationError("--file is for --shell") }
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

    private var how: ArchiveReplay.How {
        if shell { return .shell }
        if gdb { return .debugger(recording: deterministic) }
        return deterministic ? .deterministic : .again(times: times)
    }

    private func perform() async throws(HarnessError) -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        let folders = Folders(environment: environment)
        let cancellation = try RunCommand.cancellation()
        Interrupts.stop(cancellation) {}
        let qemu = try RunCommand.qemu(environment)
        var other: PreparedKernel?
        if let kernel {
            let guestFiles = try GuestFiles.locate(environment: environment)
            let kernels = try await RunCommand.prepareKernels(
                [kernel], modules: modules, kernelSources, guestFiles, folders)
            guard kernels.count == 1 else {
                throw .usage("--kernel wants one kernel, and \(kernel) is \(kernels.count)")
            }
            other = kernels[0]
        }
        let how = how
        let extra = how == .shell ? try await ArchiveReplay.shell(files: file, environment: environment) : []
        let work = try WorkFolder(environment: environment)
        defer { work.remove() }
        let archive = FilePath(archive)
        let bundle = bundle.map { FilePath($0) }
        let (disablesKVM, dryRun) = (disableKvm, dryRun)
        let replacement = other
        let answer = await Runner.onThread {
            Result { () throws(HarnessError) -> Int32 in
                let replay = try ArchiveReplay(
                    archive, bundle: bundle, qemu: qemu, folders: folders, disablesKVM: disablesKVM, work: work,
                    cancellation: cancellation, log: Terminal.log)
                if let replacement { try replay.take(replacement) }
                for line in replay.description(how) { Terminal.log("# \(line)") }
                if dryRun { return 0 }
                return try replay.run(how, output: Self.print, extra: extra).rawValue
            }
        }
        if cancellation.isCancelled { throw .cancelled }
        return try answer.get()
    }

    private static func print(_ text: String) throws(HarnessError) {
        do {
            try Terminal.results(text)
        } catch {
            throw .infrastructure("\(error)")
        }
    }
}
