// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Harness
internal import VMRunner

/// What run, exec, explore and surface take about kernels and their machines.
struct MachineArguments: ParsableArguments {
    @OptionGroup
    var kernelSources: SourceOptions

    @Option(help: ArgumentHelp("Where the kernel's modules are, if not beside it.", valueName: "dir"))
    var modules: String?

    @Option(help: ArgumentHelp("Words for the end of the kernel command line. Repeatable.", valueName: "words"))
    var append: [String] = []

    @Flag(help: "Boot every machine, instead of restoring it from a frozen one.")
    var noZygotes = false

    @Flag(help: "Emulate also where KVM works.")
    var disableKvm = false

    /// The usual ones, and what is said here.
    var options: RunOptions {
        var options = RunOptions()
        options.settings.kernelArguments = append
        options.accelerator = disableKvm ? .tcg : nil
        options.usesZygotes = !noZygotes
        return options
    }

    /// What the command that runs a case again must say of them.
    var words: [String] {
        (disableKvm ? ["--disable-kvm"] : []) + (modules.map { ["--modules", $0] } ?? [])
            + append.flatMap { ["--append", $0] }
    }
}
