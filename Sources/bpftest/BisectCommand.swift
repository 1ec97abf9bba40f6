// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import SystemPackage
internal import VMRunner

/// `bpftest bisect`: the first bad kernel, or commit.
struct BisectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bisect", abstract: "Find the first kernel or commit on which a case fails.",
        usage: """
            bpftest bisect --good KERNEL --bad KERNEL [OPTIONS] CASE...
            bpftest bisect --git GOOD..BAD --build [--source DIR] [OPTIONS] CASE...
            bpftest bisect --script [--build] [OPTIONS] CASE...
            """,
        discussion: """
            Both ends are tried first. Kernels and commits that cannot be had, built or booted, or on which every case \
            is skipped, are passed over; so are those on which a case fails only sometimes, unless it does so at the \
            bad end too. An interrupted search, asked for again, goes on where it was. Where the good one is the \
            newer, what put it right is looked for. Exit status: 0 found, 2 wrong call or an end that is not as was \
            said, 3 trouble of bpftest, 4 what was passed over leaves it open.
            """)

    @Option(help: ArgumentHelp("A version on which the cases pass.", valueName: "kernel"))
    var good: String?

    @Option(help: ArgumentHelp("A version on which one of them fails.", valueName: "kernel"))
    var bad: String?

    @Option(help: ArgumentHelp("Two commits of a kernel's git tree.", valueName: "good..bad"))
    var git: String?

    @Flag(help: "Build a minimal kernel of each commit, as kernels build does.")
    var build = false

    @Option(help: ArgumentHelp("The git tree; without: the one that this folder is in.", valueName: "dir"))
    var source = "."

    @Option(help: ArgumentHelp("With --build: one more fragment of a .config; repeatable.", valueName: "fragment"))
    var fragment: [String] = []

    @Option(name: [.customShort("j", allowingJoined: true), .long], help: "Compilers at a time.")
    var jobs: Int = ProcessInfo.processInfo.activeProcessorCount

    @Flag(help: "Leave the work tree and the objects in the cache: the next time compiles only what differs.")
    var keep = false

    @Flag(help: "Print a script for git bisect run instead, which drives git yourself.")
    var script = false

    @Option(
        name: [.customShort("t"), .long],
        help: ArgumentHelp("Only cases whose SUITE/CASE matches; repeatable.", valueName: "glob"))
    var filter: [String] = []

    @Option(help: ArgumentHelp("A further test agent; repeatable.", valueName: "file"))
    var agent: [String] = []

    @Option(help: ArgumentHelp("Try each kernel that often: for a failure that comes only sometimes.", valueName: "n"))
    var `repeat`: Int?

    @Option(name: .customShort("w"), help: ArgumentHelp("Time for one case, in seconds.", valueName: "secs"))
    var caseTimeout: Double?

    @Option(help: ArgumentHelp("Time for a boot, in seconds.", valueName: "secs"))
    var bootTimeout: Double?

    @Option(help: ArgumentHelp("Memory of a machine.", valueName: "MiB"))
    var memory: Int?

    @Option(help: ArgumentHelp("Processors of a machine.", valueName: "n"))
    var cpus: Int?

    @OptionGroup
    var kernelSources: SourceOptions

    @OptionGroup
    var boot: BootArguments

    @Argument(help: ArgumentHelp("Suites, cases, objects, as bpftest run takes them.", valueName: "case"))
    var names: [String]

    func validate() throws {
        let forms = [good != nil || bad != nil, git != nil, script].count { $0 }
        guard forms == 1 else { throw ValidationError("give one of: --good and --bad; --git GOOD..BAD; --script") }
        if (good == nil) != (bad == nil) { throw ValidationError("--good and --bad go together") }
        if git != nil, !build { throw ValidationError("--git wants --build: each commit's kernel is built") }
        guard (1...100_000).contains(`repeat` ?? 1) else { throw ValidationError("--repeat wants 1 to 100000") }
        if good != nil, build { throw ValidationError("--build goes with --git or --script") }
        try Limits.check(seconds: [("-w", caseTimeout), ("--boot-timeout", bootTimeout)])
        try Limits.check(memory: memory, cpus: cpus)
    }

    func run() async throws {
        await Terminal.carryOut(perform)
    }

    private func perform(_: Cancellation) async throws(HarnessError) -> Int32 {
        let executable = try Terminal.executable()
        let trials = RunTrials(executable: executable, arguments: runArguments())
        // What does not exist shows now, and not when the first kernel has been built.
        if agent.isEmpty { try await trials.check() }
        if script {
            // git runs it in the tree, wherever that is.
            let fragments = fragment.map { $0.contains("/") || $0.contains(".") ? absolutePath($0) : $0 }
            try Terminal.show(
                BisectScript.text(
                    executable: executable.string, builds: build, fragments: fragments,
                    arguments: runArguments(absolutePath)))
            return 0
        }
        let store = KernelsCommand.store(try kernelSources.read())
        if let good, let bad {
            return try await KernelBisect.run(
                good: good, bad: bad, store: store, trials: trials, arguments: runArguments(), log: Self.log)
        }
        let request = GitBisect.Request(
            source: FilePath(source), range: git ?? "", fragments: KernelBuilder.usualFragments + fragment,
            jobs: max(1, jobs), keeps: keep, arguments: runArguments())
        return try await GitBisect.run(request, store: store, trials: trials, log: Self.log)
    }

    private static let log: @Sendable (String) -> Void = { text in
        // A reader that is gone is told at the end, by the exit status of a write to it; the search goes on.
        do { try KernelsCommand.show(text) } catch { Terminal.log("bpftest: \(error): \(text)") }
    }

    /// What `bpftest run` gets besides the kernel.
    ///
    /// - Parameter path: makes a path of ours one for whoever runs it.
    private func runArguments(_ path: (String) -> String = { $0 }) -> [String] {
        let options = [
            ("-w", caseTimeout.map(Self.word)), ("--boot-timeout", bootTimeout.map(Self.word)),
            ("--memory", memory.map(String.init)), ("--cpus", cpus.map(String.init)),
            ("--repeat", `repeat`.map(String.init)),
        ].flatMap { name, value in value.map { [name, $0] } ?? [] }
        return options + boot.allWords + kernelSources.absoluteWords(path) + filter.flatMap { ["-t", $0] }
            + agent.flatMap { ["--agent", path($0)] } + names.map { RunNames.isPath($0) ? path($0) : $0 }
    }

    private static func word(_ seconds: Double) -> String {
        seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)"
    }
}
