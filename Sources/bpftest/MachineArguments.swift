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

    @OptionGroup
    var boot: BootArguments

    /// The usual ones, and what is said here.
    var options: RunOptions { boot.options }

    /// What the command that runs a case again must say of them.
    var words: [String] { boot.words + (modules.map { ["--modules", $0] } ?? []) + kernelSources.words }
}

/// How machines come up, whatever their kernel.
struct BootArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Words for the end of the kernel command line. Repeatable.", valueName: "words"))
    var append: [String] = []

    @Flag(help: "Boot every machine, instead of restoring it from a frozen one.")
    var noZygotes = false

    @OptionGroup
    var accelerator: AcceleratorArguments

    /// The usual ones, and what is said here.
    var options: RunOptions {
        var options = RunOptions()
        options.settings.kernelArguments = append
        options.accelerator = accelerator.disableKvm ? .tcg : nil
        options.usesZygotes = !noZygotes
        return options
    }

    /// What the command that runs a case again must say of them.
    var words: [String] { accelerator.words + append.flatMap { ["--append", $0] } }

    /// All of them, for a bpftest that this one starts.
    var allWords: [String] { words + (noZygotes ? ["--no-zygotes"] : []) }
}

/// What commands that make machines take about QEMU.
struct AcceleratorArguments: ParsableArguments {
    @Flag(help: "Emulate also where KVM works.")
    var disableKvm = false

    var words: [String] { disableKvm ? ["--disable-kvm"] : [] }
}

/// What numbers may be, with the words of a refusal: `validate` of several commands.
enum Limits {
    static func check(seconds: [(name: String, value: Double?)]) throws {
        for (name, value) in seconds {
            guard let value else { continue }
            guard value > 0, value < 1e7 else { throw ValidationError("\(name) wants a number of seconds above 0") }
        }
    }

    static func check(memory: Int?, cpus: Int?) throws {
        guard (64...65536).contains(memory ?? 64) else { throw ValidationError("--memory wants 64 to 65536 MiB") }
        guard (1...64).contains(cpus ?? 1) else { throw ValidationError("--cpus wants 1 to 64") }
    }

    static func check(jobs: Int?) throws {
        guard (1...1000).contains(jobs ?? 1) else { throw ValidationError("-j wants 1 to 1000") }
    }
}
