// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Foundation
internal import Harness
internal import LinuxIO
internal import SystemPackage
internal import TAP
internal import TerminalUI
internal import VMRunner

/// `bpftest matrix`: what bpftest.toml says, over all its kernels.
struct MatrixCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "matrix", abstract: "Run what bpftest.toml says over all its kernels, and compare.",
        discussion: """
            Kernels that the cache lacks are fetched while others run. Exit status as of run; with a baseline, 1 means \
            that a case is newly failing or gone. docs/matrix.md has the form of bpftest.toml.
            """)

    @Option(help: ArgumentHelp("The configuration.", valueName: "file"))
    var config = MatrixConfig.usualName

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp("Only this kernel of the configuration. Repeatable.", valueName: "kernel"))
    var kernel: [String] = []

    @OptionGroup
    var kernelSources: SourceOptions

    @Option(
        name: [.customShort("t"), .long],
        help: ArgumentHelp(
            "Only cases whose SUITE/CASE matches this glob or contains this text. Repeatable.", valueName: "glob"))
    var filter: [String] = []

    @Option(
        name: [.customShort("j", allowingJoined: true), .long],
        help: ArgumentHelp("Machines at once.", valueName: "n"))
    var jobs: Int?

    @Option(
        help: ArgumentHelp("Only the i-th of n parts of the plan.", valueName: "i/n"),
        transform: { text in
            guard let shard = Shard(text) else { throw ValidationError("--shard wants i/n, such as 2/8") }
            return shard
        })
    var shard: Shard?

    @Option(
        help: ArgumentHelp("Print what would run as JSON, for a workflow's jobs, and run nothing.", valueName: "json"))
    var plan: String?

    @Option(help: ArgumentHelp("With --plan: into how many parts; one for each kernel without it.", valueName: "n"))
    var shards: Int?

    @Option(help: ArgumentHelp("Expected results, instead of the configuration's.", valueName: "file"))
    var baseline: String?

    @Flag(help: "Take this run's results as what is expected from now on.")
    var updateBaseline = false

    @OptionGroup var outlets: ResultArguments

    @Option(help: ArgumentHelp("Who runs it: local, or slurm: one array job of a cluster.", valueName: "local|slurm"))
    var backend = "local"

    @Option(
        help: ArgumentHelp(
            "With slurm: a folder that the nodes share; given again, it goes on where it stopped.", valueName: "dir"))
    var backendDir = "bpftest-slurm"

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("With slurm: an option for sbatch, such as --partition=ci. Repeatable.", valueName: "option")
    )
    var backendOption: [String] = []

    @OptionGroup var boot: BootArguments

    @OptionGroup var archives: ArchiveArguments

    @Flag(help: "No archives of failures; without it they go to \(Self.archiveFolder), or where --archive says.")
    var noArchive = false

    @Flag(name: [.customShort("v"), .long], help: "Show what agents and the kernel's console say, on stderr.")
    var verbose = false

    @OptionGroup(title: "When the kernel breaks") var crashes: CrashArguments

    /// Where archives go without a word.
    static let archiveFolder = "bpftest-archives"

    func validate() throws {
        try Limits.check(jobs: jobs)
        guard (1...10_000).contains(shards ?? 1) else { throw ValidationError("--shards wants 1 to 10000") }
        if let plan, plan != "json" { throw ValidationError("--plan wants json") }
        guard ["local", "slurm"].contains(backend) else { throw ValidationError("--backend wants local or slurm") }
        if backend == "slurm", shard != nil { throw ValidationError("--shard is what --backend slurm gives its tasks") }
    }

    func run() async throws {
        await Terminal.carryOut(perform)
    }

    /// - Parameter sources: words that name the kernel sources of the configuration.
    private func options(_ config: MatrixConfig, _ sources: [String]) -> RunOptions {
        let defaults = config.defaults
        var options = boot.options
        options.settings.memoryMiB = defaults.memoryMiB ?? options.settings.memoryMiB
        options.settings.cpus = defaults.cpus ?? options.settings.cpus
        options.settings.kernelArguments = defaults.append + boot.append
        options.runLimit = defaults.runSeconds.map { .seconds($0) }
        options.caseLimit = defaults.caseSeconds.map { .seconds($0) } ?? options.caseLimit
        options.bootLimit = defaults.bootSeconds.map { .seconds($0) } ?? options.bootLimit
        options.isolation = defaults.isolation ?? .batch
        options.jobs = jobs ?? defaults.jobs
        options.reruns = defaults.reruns ?? options.reruns
        options.verbose = verbose
        options.machineWords =
            (defaults.memoryMiB.map { ["--memory", "\($0)"] } ?? [])
            + (defaults.cpus.map { ["--cpus", "\($0)"] } ?? []) + defaults.append.flatMap { ["--append", $0] }
            + boot.words + kernelSources.words + sources
        return options
    }

    private func perform(_ cancellation: Cancellation) async throws(HarnessError) -> Int32 {
        let start = try MachineStart(cancellation)
        var config = try MatrixConfig.read(FilePath(self.config))
        let sources = config.sources == KernelSources() ? [] : ["--sources", self.config]
        config.sources = try kernelSources.read().adding(config.sources)
        let store = KernelStore(folders: start.folders, sources: config.sources) { Terminal.log("bpftest: \($0)") }
        try await config.expandKernels(only: kernel, store)
        let selections = try await config.selections(
            start.guestFiles, filter: filter, environment: start.environment
        ) { Terminal.log("bpftest: \($0)") }
        let matrix = MatrixRun(config, selections: selections, shard: shard, today: MatrixRun.today())
        if plan != nil {
            try Terminal.show(matrix.plan.json(shards: shards ?? config.kernels.count) + "\n")
            return 0
        }
        let baselineFile = (baseline ?? config.baseline.map(config.path)).map { FilePath($0) }
        // A wrong file shows now, and not after an hour.
        let expected = try expectations(baselineFile)
        let jsonFile = try outlets.open()
        if backend == "slurm" {
            return try conclude(try await onSlurm(matrix, jsonFile), matrix, expected, baselineFile)
        }
        let archives = try noArchive ? nil : self.archives.options(usual: Self.archiveFolder)
        var options = options(config, sources)
        options.crashes = try crashes.options()
        let (runner, _) = try await start.ready(options)
        let work = try WorkFolder(environment: start.environment)
        defer { work.remove() }
        let slots = matrix.kernels.map { KernelSlot(spec: $0) }
        // Given up with the run, and with the task that this is.
        async let prepared: Void = matrix.prepare(slots, start.guestFiles, start.folders) {
            Terminal.log("bpftest: \($0)")
        }
        let outcome = try await run(runner, matrix, slots, work, jsonFile, archives)
        await prepared
        return try conclude(outcome, matrix, expected, baselineFile)
    }

    private func expectations(_ file: FilePath?) throws(HarnessError) -> Baseline? {
        guard let file else {
            if updateBaseline { throw .usage("--update-baseline wants a file: --baseline, or 'baseline' in \(config)") }
            return nil
        }
        if updateBaseline { try ReportTarget.check(file) }
        if FileManager.default.fileExists(atPath: file.string) { return try Baseline.read(file) }
        if updateBaseline { return Baseline() }
        if baseline != nil { throw .usage("the baseline \(file) is not there: --update-baseline makes it") }
        Terminal.log("bpftest: the baseline \(file) is not there yet: --update-baseline makes it")
        return nil
    }

    private func run(
        _ runner: Runner, _ matrix: MatrixRun, _ slots: [KernelSlot], _ work: WorkFolder, _ jsonFile: ResultFile?,
        _ archives: ArchiveOptions?
    ) async throws(HarnessError) -> RunResults {
        let environment = ProcessInfo.processInfo.environment
        let progress = Terminal.showProgress(environment: environment)
        defer { progress?.ended() }
        let dialect = outlets.format
        let answer = await Runner.onThread {
            Result { () throws(HarnessError) in
                let collector = ResultCollector()
                let records = RunRecords(
                    RunDescription(kernels: [], qemu: runner.qemu, options: runner.options), environment: environment,
                    log: Terminal.log)
                records.finds { name in
                    slots.lazy.compactMap(\.prepared).first { $0.build.release == name }.map { .init($0) }
                }
                var sinks: [any ResultSink] = [
                    TAPReporter(dialect: dialect, write: Terminal.results), collector, records,
                ]
                if let jsonFile { sinks.append(JSONLinesReporter(write: jsonFile.write)) }
                if GitHubActions.isHere(environment) { sinks.append(GitHubActions(write: Terminal.results)) }
                let archiver = archives.map { _ in FailureArchiver() }
                if let archiver { sinks.append(archiver) }
                let journal = Journal(sinks: sinks, log: Terminal.log, observer: progress)
                var request = matrix.request(slots)
                let times = ExpectedTimes(environment: environment)
                request.expected = { kernel, name in times.of(name, kernel: kernel.build.release) }
                let tally = Result { () throws(HarnessError) in
                    try runner.run(request, journal: journal, work: work)
                }
                if let archiver, let archives {
                    try archiver.pack(
                        archives, runner: runner, kernels: slots.compactMap(\.prepared),
                        selections: matrix.selections, work: work, log: { Terminal.log("bpftest: \($0)") })
                }
                _ = try tally.get()
                return collector.results
            }
        }
        return try answer.get()
    }

    /// Has a cluster run it; what it found is told as if it had been found here.
    private func onSlurm(_ matrix: MatrixRun, _ jsonFile: ResultFile?) async throws(HarnessError) -> RunResults {
        let count = shards ?? matrix.plan.jobs
        let log: @Sendable (String) -> Void = { Terminal.log("bpftest: \($0)") }
        let command =
            [try Terminal.executable().string, "matrix", "--config", absolutePath(self.config)]
            + kernel.flatMap { ["-k", $0] } + filter.flatMap { ["-t", $0] } + boot.allWords
            + kernelSources.absoluteWords(absolutePath) + (jobs.map { ["-j", "\($0)"] } ?? [])
            + archives.words(absolutePath) + (noArchive ? ["--no-archive"] : []) + crashes.words(absolutePath)
        let cluster = SlurmBackend(
            folder: FilePath(absolutePath(backendDir)), plan: matrix.plan.json(shards: count), shards: count,
            command: command, options: backendOption, note: log)
        let results = try await cluster.run()
        try Self.tell(results, outlets.format == .ktap ? .ktap : .tap, Terminal.results)
        if let jsonFile { try Self.tell(results, .jsonl, jsonFile.write) }
        return results
    }

    private static func tell(
        _ results: RunResults, _ format: ReportFormat, _ write: @escaping (String) throws -> Void
    ) throws(HarnessError) {
        do {
            try format.render(results, to: write)
        } catch {
            throw .infrastructure("results cannot be written: \(error)")
        }
    }

    /// Reports, the comparison with the baseline, and the exit status that follows.
    private func conclude(
        _ results: RunResults, _ matrix: MatrixRun, _ expected: Baseline?, _ file: FilePath?
    ) throws(HarnessError) -> Int32 {
        for one in outlets.report { try one.write(results) }
        var summary = matrix.summary(of: results)
        var code = matrix.exitCode(of: results)
        if let expected, let file {
            let found = Baseline(results)
            let comparison = BaselineComparison(
                baseline: expected, results: found, isPlanned: matrix.isPlanned, isKnown: results.isKnown)
            if updateBaseline {
                var new = expected
                new.update(with: found, isPlanned: matrix.isPlanned)
                try new.write(file)
                summary.append("\(file) is up to date")
            } else {
                summary += comparison.lines
                if code != 3 { code = comparison.isGood ? (code == 1 ? 0 : code) : 1 }
            }
        }
        for line in summary { Terminal.log(line) }
        if GitHubActions.isHere(ProcessInfo.processInfo.environment) {
            var page = ""
            try Self.tell(results, .markdown) { page += $0 }
            try GitHubActions.summarise(
                page + "\n```\n" + summary.joined(separator: "\n") + "\n```\n",
                environment: ProcessInfo.processInfo.environment)
        }
        return code
    }
}
