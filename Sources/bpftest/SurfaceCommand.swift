// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

/// `bpftest surface`: what kernels offer to BPF programs.
struct SurfaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "surface",
        abstract: "What a kernel offers to BPF programs: helpers, kfuncs, types; and what is different in another.",
        discussion: """
            The kernel is booted and asked: its BTF, its modules', its memory for the flags of kfuncs, and small \
            programs and maps of each type. The answer is kept in the cache.

              bpftest surface 6.12                  all of it, as a table
              bpftest surface 6.1 --diff 6.12       what has changed from 6.1 to 6.12
              bpftest surface -k 6.1 -k 6.12 -k 7.2 --format markdown
                                                    one page for several kernels
              bpftest surface -k 6.1 -k 7.2 --check prog.bpf.o
                                                    where its programs load, and what is missing where they do not
              bpftest surface --check prog.bpf.o    on the kernels of bpftest.toml

            Exit status: 0; 1 with --fail-on-break where a helper or a number is gone, and with --check where a \
            program does not load; 2 wrong call, 3 trouble of bpftest or its machines. The JSON is described in docs/surface-format.md.
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table
        case json
        case markdown
    }

    @Argument(help: ArgumentHelp("A kernel, as for -k.", valueName: "kernel"))
    var kernels: [String] = []

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp(
            "A kernel, as for run, or a file that --format json has made. Repeatable.", valueName: "kernel"))
    var kernel: [String] = []

    @Option(help: ArgumentHelp("What has changed in this kernel, or file.", valueName: "kernel"))
    var diff: String?

    @Flag(help: "With --diff: exit status 1 where a helper or a number of the interface is gone.")
    var failOnBreak = false

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "BPF objects: for each of their programs and each kernel, what the kernel lacks, and what it says itself.",
            valueName: "object"))
    var check: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where no kernel is named: those of this configuration; \(MatrixConfig.usualName) without it.",
            valueName: "file"))
    var config: String?

    @Option(help: "How to say it: \(Format.allCases.map(\.rawValue).joined(separator: ", ")).")
    var format = Format.table

    @OptionGroup
    var machines: MachineArguments

    @Option(
        name: [.customShort("j", allowingJoined: true), .long],
        help: ArgumentHelp("Machines at once.", valueName: "n"))
    var jobs: Int?

    @Option(name: .customShort("w"), help: ArgumentHelp("Time for each machine, in seconds.", valueName: "secs"))
    var timeout: Double = 60

    private var specs: [String] { kernels + kernel }

    /// Where kernels stand when none is named.
    private var configuration: String? {
        guard specs.isEmpty else { return nil }
        return config ?? (FileManager.default.fileExists(atPath: MatrixConfig.usualName) ? MatrixConfig.usualName : nil)
    }

    func validate() throws {
        guard !specs.isEmpty || configuration != nil else {
            throw ValidationError("of which kernel? bpftest surface 6.12")
        }
        guard specs.isEmpty || config == nil else { throw ValidationError("--config is for where no kernel is named") }
        try Limits.check(jobs: jobs)
        try Limits.check(seconds: [("-w", timeout)])
        if !check.isEmpty {
            guard diff == nil else { throw ValidationError("--check and --diff are two questions: ask one") }
            guard format != .markdown else { throw ValidationError("--check is a table or JSON") }
            guard SurfaceSources(specs).kernels.count == specs.count else {
                throw ValidationError("--check loads programs: it wants kernels, and no files")
            }
        }
        if diff != nil {
            guard specs.count == 1 else { throw ValidationError("--diff compares one kernel with another") }
            guard format != .markdown else { throw ValidationError("--diff is a table or JSON") }
        } else {
            guard !failOnBreak else { throw ValidationError("--fail-on-break goes with --diff") }
            guard specs.count == 1 || format == .markdown || !check.isEmpty else {
                throw ValidationError("several kernels are a page of their own: --format markdown; or name one")
            }
        }
    }

    func run() async throws {
        await Terminal.carryOut(perform)
    }

    private func perform(_ cancellation: Cancellation) async throws(HarnessError) -> Int32 {
        try SurfaceReader.require(check)
        let work = try WorkFolder(environment: ProcessInfo.processInfo.environment)
        defer { work.remove() }
        var (specs, machines) = (specs, machines)
        if let configuration {
            specs = try MatrixConfig.read(FilePath(configuration)).kernels
            machines.kernelSources.sources.append(configuration)
        }
        let asked = SurfaceSources(specs + (diff.map { [$0] } ?? []))
        let surfaces: [Surface]
        if asked.kernels.isEmpty {
            surfaces = try asked.surfaces([])
        } else {
            let start = try MachineStart(asked.kernels, machines, cancellation)
            let (runner, prepared) = try await start.ready(options)
            let reader = SurfaceReader(runner, work: work, jobs: machinesAtOnce) { Terminal.log("bpftest: \($0)") }
            if !check.isEmpty { return try show(try await reader.check(check, on: prepared)) }
            surfaces = try asked.surfaces(try await reader.surfaces(of: prepared).map(\.surface))
        }
        if diff != nil { return try show(SurfaceDiff(from: surfaces[0], to: surfaces[1])) }
        switch format {
        case .table: try Terminal.show(SurfaceText.table(surfaces[0]))
        case .json: try Terminal.show(try surfaces[0].json())
        case .markdown: try Terminal.show(SurfacePage.markdown(surfaces))
        }
        return 0
    }

    private var machinesAtOnce: Int { jobs ?? ProcessInfo.processInfo.activeProcessorCount }

    private var options: RunOptions {
        var options = machines.options
        options.caseLimit = .seconds(timeout)
        return options
    }

    private func show(_ diff: SurfaceDiff) throws(HarnessError) -> Int32 {
        try Terminal.show(format == .json ? try diff.json() : SurfaceText.table(diff))
        return failOnBreak && diff.breaksABI ? 1 : 0
    }

    private func show(_ report: CheckReport) throws(HarnessError) -> Int32 {
        try Terminal.show(format == .json ? try report.json() : CheckText.table(report))
        return report.allLoad ? 0 : 1
    }
}
