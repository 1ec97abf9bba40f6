// SPDX-License-Identifier: Apache-2.0
public import ArgumentParser
public import Harness
internal import SystemPackage

extension CrashOptions.Vmcore: ExpressibleByArgument {}

/// Options of `run` and `matrix` about kernels that break.
struct CrashArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Complaints of the kernel that are no failure: a file of extended regular expressions. Repeatable.",
            valueName: "file"))
    var splatAllowlist: [String] = []

    @Option(help: ArgumentHelp("The kernel's debugging information, for lines in traces.", valueName: "file"))
    var vmlinux: String?

    @Option(
        help: ArgumentHelp(
            "Write the machine's memory when the kernel broke (crash) or a case failed (always).",
            valueName: "never|crash|always"))
    var vmcore: CrashOptions.Vmcore = .never

    @Option(help: ArgumentHelp("Where vmcores go.", valueName: "dir"))
    var vmcoreDir = "bpftest-vmcores"

    @Option(help: ArgumentHelp("The most that a vmcore may take.", valueName: "MiB"))
    var vmcoreLimit = 1024

    @Flag(help: "Have agents tell the lines of all BPF programs, not only when a case is run again.")
    var programLines = false

    func validate() throws {
        guard (1...1 << 20).contains(vmcoreLimit) else {
            throw ValidationError("--vmcore-limit is a number of MiB, from 1 on")
        }
    }

    /// For a bpftest that this one starts elsewhere.
    func words(_ absolute: (String) -> String) -> [String] {
        splatAllowlist.flatMap { ["--splat-allowlist", absolute($0)] }
            + (vmlinux.map { ["--vmlinux", absolute($0)] } ?? [])
            + ["--vmcore", vmcore.rawValue, "--vmcore-dir", absolute(vmcoreDir), "--vmcore-limit", "\(vmcoreLimit)"]
            + (programLines ? ["--program-lines"] : [])
    }

    func options() throws(HarnessError) -> CrashOptions {
        var options = CrashOptions()
        for file in splatAllowlist { try options.allow(file: file) }
        options.vmlinux = vmlinux.map { FilePath($0) }
        options.vmcore = vmcore
        options.vmcoreFolder = FilePath(vmcoreDir)
        options.vmcoreLimitMiB = vmcoreLimit
        options.reportsProgramLines = programLines
        return options
    }
}
