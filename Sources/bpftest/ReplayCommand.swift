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

    @OptionGroup var archives: ReplayArguments

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
        await Terminal.carryOut(perform)
    }

    private var how: ArchiveReplay.How {
        if shell { return .shell }
        if gdb { return .debugger(recording: deterministic) }
        return deterministic ? .deterministic : .again(times: times)
    }

    private func perform(_ cancellation: Cancellation) async throws(HarnessError) -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        let qemu = try MachineStart.qemu(environment)
        let replacement = try await otherKernel(environment)
        let (how, dryRun) = (how, dryRun)
        let extra = how == .shell ? try await ArchiveReplay.shell(files: file, environment: environment) : []
        return try await archives.with(qemu, cancellation) { (replay) throws(HarnessError) -> Int32 in
            if let replacement { try replay.take(replacement) }
            for line in replay.description(how) { Terminal.log("# \(line)") }
            if dryRun { return 0 }
            return try replay.run(how, output: Terminal.show, extra: extra).rawValue
        }
    }

    /// The kernel in place of the archive's; an archive's own needs nothing of the host but QEMU.
    private func otherKernel(_ environment: [String: String]) async throws(HarnessError) -> PreparedKernel? {
        guard let kernel else { return nil }
        let kernels = try await MachineStart.prepare(
            [kernel], modules: modules, kernelSources, try GuestFiles.locate(environment: environment),
            Folders(environment: environment))
        guard kernels.count == 1 else {
            throw .usage("--kernel wants one kernel, and \(kernel) is \(kernels.count)")
        }
        return kernels[0]
    }
}
