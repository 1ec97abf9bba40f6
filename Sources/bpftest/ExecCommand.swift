// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec",
        abstract: "Run one command in a virtual machine; its output and exit status are the command's.",
        discussion: """
            The command is a program of this machine, with its libraries; a path that is no file here is looked up in the \
            guest. Exit status: the command's own, 128+N if signal N killed it; 255 the kernel panicked, 124 timeout, \
            128 the machine was lost, 127 not found, 126 not executable; 2 wrong call, 3 trouble of bpftest.
            """)

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp("The kernel: as for run.", valueName: "kernel"))
    var kernel = "6.12"

    @Option(
        help: ArgumentHelp(
            "A file or folder for the guest, programs with their libraries; =GUEST says where. Repeatable.",
            valueName: "host[=guest]"))
    var file: [String] = []

    @Option(help: ArgumentHelp("A setting of the command's environment. Repeatable.", valueName: "name=value"))
    var env: [String] = []

    @Option(help: ArgumentHelp("Time for the command, in seconds; no limit without it.", valueName: "secs"))
    var timeout: Double?

    @Option(help: ArgumentHelp("Time for a boot, in seconds.", valueName: "secs"))
    var bootTimeout: Double = 120

    @Option(help: ArgumentHelp("Memory of the machine.", valueName: "MiB"))
    var memory = 256

    @Option(help: ArgumentHelp("Processors of the machine.", valueName: "n"))
    var cpus = 1

    @OptionGroup
    var machines: MachineArguments

    @Flag(name: [.customShort("v"), .long], help: "Show the kernel's console, on stderr.")
    var verbose = false

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("The command and its arguments, behind --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("a command is wanted: bpftest exec -k 6.12 -- COMMAND") }
        try Limits.check(seconds: [("--timeout", timeout), ("--boot-timeout", bootTimeout)])
        try Limits.check(memory: memory, cpus: cpus)
    }

    func run() async throws {
        await Terminal.carryOut(perform)
    }

    private func perform(_ cancellation: Cancellation) async throws(HarnessError) -> Int32 {
        var options = machines.options
        options.settings.memoryMiB = memory
        options.settings.cpus = cpus
        options.bootLimit = .seconds(bootTimeout)
        options.verbose = verbose
        let start = try MachineStart([kernel], machines, cancellation)
        let wanted = try await Execution.Command(
            command, files: file, settings: env, environment: start.environment, memoryMiB: memory)
        let (runner, kernels) = try await start.ready(options)
        let work = try WorkFolder(environment: start.environment)
        defer { work.remove() }
        let execution = Execution(
            command: wanted, options: options, limit: timeout.map { .seconds($0) }, input: Self.input,
            log: Terminal.log, output: Output.pass)
        let answer = await Runner.onThread {
            Result { () throws(HarnessError) in try execution.run(on: kernels[0], with: runner, work: work) }
        }
        return try answer.get().exitCode
    }

    /// Our stdin, where it is a pipe, a socket or a file: somebody means it for the command.
    private static var input: CInt? {
        var status = stat()
        guard unsafe fstat(0, &status) == 0 else { return nil }
        return [S_IFIFO, S_IFREG, S_IFSOCK].contains(status.st_mode & S_IFMT) ? 0 : nil
    }
}

extension Output {
    /// A command's output to ours of the same kind.
    ///
    /// - Returns: false where nobody reads it any more.
    static func pass(_ stream: Machine.Stream, _ bytes: ArraySlice<UInt8>) throws -> Bool {
        let descriptor: CInt = stream == .output ? 1 : 2
        var done = bytes.startIndex
        while done < bytes.endIndex {
            let rest = Array(bytes[done...])
            let count = unsafe rest.withUnsafeBytes { unsafe Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                let error = Errno.last
                if error == .interrupted { continue }
                if error == .brokenPipe { return false }
                throw Failure(description: "the command's output cannot be written: \(error) (\(error.name))")
            }
            done += count
        }
        return true
    }
}
