// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import LinuxIO
internal import SystemPackage
internal import TAP
internal import TerminalUI
internal import VMRunner

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run suites or cases on one or more kernels; TAP on stdout.",
        discussion: """
            Exit status: 0 all passed (skips allowed), 1 a case failed, 2 wrong call or nothing matched, \
            3 trouble of bpftest or its machines (Bail out!), 4 everything was skipped.
            """)

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp(
            "A kernel: bzImage or vmlinux file, build tree, .deb, or a version such as 6.12. Repeatable.",
            valueName: "kernel"))
    var kernel: [String] = ["6.12"]

    @Argument(
        help: ArgumentHelp(
            "Suites (mprog.tcx), cases (mprog.tcx/M-008.ingress), BPF objects (FILE.bpf.o), programs of them "
                + "(FILE.bpf.o/PROGRAM) and folders of them; all suites without any.", valueName: "what"))
    var names: [String] = []

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp(
            "Behind --: a program to run in the guest, with its arguments; its TAP or its exit status is the result.",
            valueName: "program"))
    var program: [String] = []

    @Option(
        help: ArgumentHelp(
            "A file or folder that the program finds in the guest, programs with their libraries; =GUEST says where. "
                + "Repeatable.", valueName: "host[=guest]"))
    var file: [String] = []

    @Option(help: ArgumentHelp("A setting of the program's environment. Repeatable.", valueName: "name=value"))
    var env: [String] = []

    @Flag(help: "Programs of objects without annotations must be refused, instead of loading.")
    var expectLoadFailure = false

    @Option(
        help: ArgumentHelp(
            "Run test_progs of a kernel tree's selftests: of -k's own tree, or of another folder (=DIR).",
            valueName: "dir"))
    var selftests: String?

    @Option(
        name: [.customShort("a"), .long],
        help: ArgumentHelp(
            "Only these: SUITE or SUITE/CASE, with * for anything, commas between, or @FILE. Repeatable.",
            valueName: "names"))
    var allow: [String] = []

    @Option(
        name: [.customShort("d"), .long],
        help: ArgumentHelp("Without these: as --allow. Repeatable.", valueName: "names"))
    var deny: [String] = []

    @Option(
        name: [.customShort("t"), .long],
        help: ArgumentHelp(
            "Only cases whose SUITE/CASE matches this glob or contains this text. Repeatable.", valueName: "glob"))
    var filter: [String] = []

    @Flag(name: [.customShort("l"), .long], help: "List what would run, and run nothing.")
    var list = false

    @Option(help: ArgumentHelp("A further test agent, a static executable. Repeatable.", valueName: "file"))
    var agent: [String] = []

    @OptionGroup
    var machines: MachineArguments

    @Option(help: ArgumentHelp("Time for the whole run, in seconds.", valueName: "secs"))
    var timeout: Double?

    @Option(
        name: .customShort("w"),
        help: ArgumentHelp("Time for one case, in seconds; 60, or 120 with --selftests.", valueName: "secs"))
    var caseTimeout: Double?

    @Option(help: ArgumentHelp("Time for a boot, in seconds.", valueName: "secs"))
    var bootTimeout: Double = 120

    @Option(help: ArgumentHelp("Memory of a machine; 256, or 2048 with --selftests.", valueName: "MiB"))
    var memory: Int?

    @Option(help: ArgumentHelp("Processors of a machine; 1, or 2 with --selftests.", valueName: "n"))
    var cpus: Int?

    @Option(
        help: ArgumentHelp(
            "What gets a pristine machine of its own: every suite, every case, every batch of suites, or none (one for everything).",
            valueName: "suite|case|batch|none"),
        transform: { text in
            guard let isolation = Isolation(rawValue: text) else {
                throw ValidationError("--run-isolated wants suite, case, batch or none")
            }
            return isolation
        })
    var runIsolated = Isolation.suite

    @Option(
        name: [.customShort("j", allowingJoined: true), .long],
        help: ArgumentHelp(
            "Machines at once; as many as processors and memory allow without it.", valueName: "n"))
    var jobs: Int?

    @Option(help: ArgumentHelp("Run every case that often.", valueName: "n"))
    var `repeat`: Int?

    @Flag(help: "Repeat until a case fails: --repeat is then the most rounds, and no round begins after --timeout.")
    var untilFailure = false

    @Option(
        help: ArgumentHelp(
            "Suites and cases in a random order; =SEED repeats one. The seed is printed.", valueName: "seed"),
        transform: { text in
            if text == Self.randomSeed { return UInt64.random(in: 0...999_999_999) }
            guard let seed = UInt64(text) else { throw ValidationError("--shuffle wants a number as its seed") }
            return seed
        })
    var shuffle: UInt64?

    @Option(
        help: ArgumentHelp(
            "How often a failed case is run again alone, to tell failures from flakes; 0: not at all.",
            valueName: "n"))
    var reruns = 5

    @Flag(help: "Print the QEMU command line, ready to paste, and run nothing.")
    var dryRun = false

    @Flag(help: "Leave the machine running after the first failure, until interrupted.")
    var keepVmOnFailure = false

    @OptionGroup var outlets: ResultArguments

    @OptionGroup var archives: ArchiveArguments

    @Flag(name: [.customShort("v"), .long], help: "Show what agents and the kernel's console say, on stderr.")
    var verbose = false

    @OptionGroup(title: "When the kernel breaks") var crashes: CrashArguments

    /// What stands for a seed of our choice.
    static let randomSeed = "random"

    /// What stands for the selftests of the kernel's own tree.
    static let ownTree = "@"

    /// `--shuffle` and `--selftests` take a value only behind `=`: ArgumentParser would take the next word, a suite's name, for it.
    static func withOptionalValues(_ arguments: [String]) -> [String] {
        var isOver = false
        return arguments.map { word in
            if word == "--" { isOver = true }
            if isOver { return word }
            return switch word {
            case "--shuffle": "--shuffle=\(randomSeed)"
            case "--selftests": "--selftests=\(ownTree)"
            default: word
            }
        }
    }

    func validate() throws {
        try Limits.check(jobs: jobs)
        guard (1...1_000_000).contains(`repeat` ?? 1) else { throw ValidationError("--repeat wants 1 to 1000000") }
        guard (0...1000).contains(reruns) else { throw ValidationError("--reruns wants 0 to 1000") }
        try Limits.check(seconds: [("--timeout", timeout), ("-w", caseTimeout), ("--boot-timeout", bootTimeout)])
        try Limits.check(memory: memory, cpus: cpus)
        guard !program.isEmpty || file.isEmpty && env.isEmpty else {
            throw ValidationError("--file and --env are for a program behind --")
        }
    }

    func run() async throws {
        await Terminal.carryOut(perform)
    }

    private var memoryMiB: Int { memory ?? (selftests == nil ? 256 : Selftests.memoryMiB) }

    /// What -a and -d say.
    private func choice() throws(HarnessError) -> TestChoice {
        var choice = TestChoice()
        for text in allow { try choice.wanted.add(text) }
        for text in deny { try choice.unwanted.add(text) }
        return choice
    }

    private var options: RunOptions {
        var options = machines.options
        options.settings.memoryMiB = memoryMiB
        options.settings.cpus = cpus ?? (selftests == nil ? 1 : Selftests.cpus)
        options.runLimit = timeout.map { .seconds($0) }
        options.caseLimit = .seconds(caseTimeout ?? (selftests == nil ? 60 : Selftests.caseLimit))
        options.bootLimit = .seconds(bootTimeout)
        options.keepMachineOnFailure = keepVmOnFailure
        options.isolation = runIsolated
        options.jobs = jobs
        options.repeats = `repeat` ?? 1
        options.untilFailure = untilFailure
        options.seed = shuffle
        options.reruns = reruns
        options.verbose = verbose
        options.machineWords =
            (memory.map { ["--memory", "\($0)"] } ?? []) + (cpus.map { ["--cpus", "\($0)"] } ?? [])
            + machines.words
        return options
    }

    private func perform(_ cancellation: Cancellation) async throws(HarnessError) -> Int32 {
        var options = options
        options.crashes = try crashes.options()
        // Listing the built-in suites needs no kernel.
        let start = try MachineStart(list && agent.isEmpty ? [] : kernel, machines, cancellation)
        let (environment, guestFiles) = (start.environment, start.guestFiles)

        let what = try RunNames(names, expectsLoadFailure: expectLoadFailure)
        for remark in what.remarks { Terminal.log("bpftest: \(remark)") }
        let programs = try await programSelections(environment)
        let builtIn = Agent.builtIn(guestFiles)
        let described = try await Catalogue.describe(what.objects, guestFiles)
        let objects = Dictionary(uniqueKeysWithValues: described.map { ($0.object.suite, $0.object) })
        var offered = [(agent: builtIn, suites: try await Catalogue.builtIn(guestFiles) + described.map(\.suite))]
        if list, agent.isEmpty {
            start.giveUp()
            let suites = try select(offered, what, objects)
            return try show(suites + programs)
        }
        let (runner, kernels) = try await start.ready(options)
        if dryRun {
            for one in kernels { try Terminal.show(runner.commandLine(one) + "\n") }
            return 0
        }

        let work = try WorkFolder(environment: environment)
        defer { work.remove() }
        for (number, file) in agent.enumerated() {
            let foreign = Agent.file(FilePath(file), number: number)
            let first = kernels[0]
            let answer = await Runner.onThread {
                Result { () throws(HarnessError) in
                    try runner.list(foreign, on: first, work: work, log: Terminal.log)
                }
            }
            offered.append((foreign, try answer.get()))
        }
        let selections = try select(offered, what, objects) + programs
        if list { return try show(selections) }
        return try await run(runner, kernels, selections, work)
    }

    /// The programs behind `--` and of --selftests, with what they need.
    private func programSelections(_ environment: [String: String]) async throws(HarnessError) -> [Selection] {
        var selections: [Selection] = []
        if let selftests {
            var tests = try Selftests(named: selftests == Self.ownTree ? nil : selftests, kernels: kernel)
            var choice = try choice()
            for name in filter { try choice.wanted.add(name, anywhere: true) }
            selections += try await tests.selections(choice, environment: environment, memoryMiB: memoryMiB)
            for remark in tests.remarks { Terminal.log("bpftest: \(remark)") }
        }
        if !program.isEmpty {
            selections.append(
                try await Selection.program(
                    program, files: file, settings: env, environment: environment, memoryMiB: memoryMiB))
        }
        return selections
    }

    /// What is asked for by name; nothing where a program is asked for alone.
    private func select(
        _ offered: [(agent: Agent, suites: [SuiteListing])], _ what: RunNames, _ objects: [String: ObjectFile]
    ) throws(HarnessError) -> [Selection] {
        if !program.isEmpty || selftests != nil, names.isEmpty { return [] }
        let patterns = selftests == nil ? filter : []
        let selections = try Catalogue.select(offered, names: what.names, patterns: patterns, objects: objects)
        return selftests == nil ? try choice().narrowed(selections) : selections
    }

    private func run(
        _ runner: Runner, _ kernels: [PreparedKernel], _ selections: [Selection], _ work: WorkFolder
    ) async throws(HarnessError) -> Int32 {
        let jsonFile = try outlets.open()
        let archives = try self.archives.options()
        let (dialect, reports) = (outlets.format, outlets.report)
        let progress = Terminal.showProgress(environment: ProcessInfo.processInfo.environment)
        defer { progress?.ended() }
        let answer = await Runner.onThread {
            Result { () throws(HarnessError) in
                var sinks: [any ResultSink] = [TAPReporter(dialect: dialect, write: Terminal.results)]
                if let jsonFile { sinks.append(JSONLinesReporter(write: jsonFile.write)) }
                let description = RunDescription(kernels: kernels, qemu: runner.qemu, options: runner.options)
                let records = RunRecords(
                    description, environment: ProcessInfo.processInfo.environment, log: Terminal.log)
                sinks.append(records)
                let collector = reports.isEmpty ? nil : ResultCollector()
                if let collector { sinks.append(collector) }
                let archiver = archives.map { _ in FailureArchiver() }
                if let archiver { sinks.append(archiver) }
                let expected = Dictionary(
                    kernels.map { ($0.build.release, records.expectedDurations(kernel: $0.build.release)) },
                    uniquingKeysWith: { first, _ in first })
                let names = selections.flatMap { one in
                    one.cases.map { CaseID(suite: one.suite.suite, id: $0.id) }
                }
                let expectation = Expectation(
                    kernels: kernels.map(\.build.release), cases: names, repeats: runner.options.repeats,
                    recorded: { expected[$0]?[$1] })
                if let expectation { progress?.expect(expectation) }
                let journal = Journal(sinks: sinks, log: Terminal.log, observer: progress)
                let tally = Result { () throws(HarnessError) in
                    try ReportTarget.writing(reports, of: collector) { () throws(HarnessError) in
                        try runner.run(
                            kernels: kernels, selections: selections, journal: journal, work: work,
                            expected: { expected[$0]?[$1] })
                    }
                }
                if let archiver, let archives {
                    try archiver.pack(
                        archives, runner: runner, kernels: kernels, selections: selections, work: work,
                        log: { Terminal.log("bpftest: \($0)") })
                }
                return try tally.get()
            }
        }
        return try answer.get().exitCode
    }

    private func show(_ selections: [Selection]) throws(HarnessError) -> Int32 {
        for selection in selections {
            for one in selection.cases { try Terminal.show("\(selection.name(of: one.id))\n") }
        }
        return 0
    }
}

/// A file that results go to, opened before anything is run.
final class ResultFile: Sendable {
    private let file: OwnedFD

    init(_ path: String) throws(HarnessError) {
        do {
            file = try Descriptors.open(path, O_WRONLY | O_CREAT | O_TRUNC)
        } catch {
            throw .infrastructure("\(path) cannot be written: \(error) (\(error.name))")
        }
    }

    func write(_ text: String) throws {
        try Output.write(text, to: file.raw)
    }
}
