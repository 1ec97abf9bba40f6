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

    @Option(
        help: "The form of the results on stdout: tap (version 14) or ktap.",
        transform: { text in
            guard let dialect = TAPDialect(rawValue: text) else { throw ValidationError("--format wants tap or ktap") }
            return dialect
        })
    var format = TAPDialect.tap

    @Option(help: ArgumentHelp("Results as JSON lines too, into a file.", valueName: "file"))
    var json: String?

    @Option(
        help: ArgumentHelp(
            "A report into a file when the run has ended: tap, ktap, junit, json, markdown or html. Repeatable.",
            valueName: "format=file"),
        transform: { text in
            do throws(HarnessError) {
                return try ReportTarget(argument: text)
            } catch {
                throw ValidationError("\(error)")
            }
        })
    var report: [ReportTarget] = []

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

    @Flag(help: "Emulate also where KVM works.")
    var disableKvm = false

    @OptionGroup var archives: ArchiveArguments

    @Flag(help: "No archives of failures; without it they go to \(Self.archiveFolder), or where --archive says.")
    var noArchive = false

    @Flag(name: [.customShort("v"), .long], help: "Show what agents and the kernel's console say, on stderr.")
    var verbose = false

    @OptionGroup(title: "When the kernel breaks") var crashes: CrashArguments

    /// Where archives go without a word.
    static let archiveFolder = "bpftest-archives"

    func validate() throws {
        guard (1...1000).contains(jobs ?? 1) else { throw ValidationError("-j wants 1 to 1000") }
        guard (1...10_000).contains(shards ?? 1) else { throw ValidationError("--shards wants 1 to 10000") }
        if let plan, plan != "json" { throw ValidationError("--plan wants json") }
        guard ["local", "slurm"].contains(backend) else { throw ValidationError("--backend wants local or slurm") }
        if backend == "slurm", shard != nil { throw ValidationError("--shard is what --backend slurm gives its tasks") }
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

    private func configuration() throws(HarnessError) -> MatrixConfig {
        var config = try MatrixConfig.read(FilePath(self.config))
        for one in kernel where !config.kernels.contains(one) {
            throw .usage("\(self.config) has no kernel \(one); it has: \(config.kernels.joined(separator: ", "))")
        }
        config.sources = try kernelSources.read().adding(config.sources)
        if !kernel.isEmpty { config.kernels = config.kernels.filter { kernel.contains($0) } }
        return config
    }

    private func options(_ config: MatrixConfig) -> RunOptions {
        let defaults = config.defaults
        var options = RunOptions()
        options.settings.memoryMiB = defaults.memoryMiB ?? options.settings.memoryMiB
        options.settings.cpus = defaults.cpus ?? options.settings.cpus
        options.settings.kernelArguments = defaults.append
        options.accelerator = disableKvm ? .tcg : nil
        options.runLimit = defaults.runSeconds.map { .seconds($0) }
        options.caseLimit = defaults.caseSeconds.map { .seconds($0) } ?? options.caseLimit
        options.bootLimit = defaults.bootSeconds.map { .seconds($0) } ?? options.bootLimit
        options.isolation = defaults.isolation ?? options.isolation
        options.jobs = jobs ?? defaults.jobs
        options.reruns = defaults.reruns ?? options.reruns
        options.verbose = verbose
        options.machineWords =
            (defaults.memoryMiB.map { ["--memory", "\($0)"] } ?? [])
            + (defaults.cpus.map { ["--cpus", "\($0)"] } ?? []) + (disableKvm ? ["--disable-kvm"] : [])
            + defaults.append.flatMap { ["--append", $0] }
        return options
    }

    private func perform() async throws(HarnessError) -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        let folders = Folders(environment: environment)
        var config = try configuration()
        let store = KernelStore(folders: folders, sources: config.sources) { Terminal.log("bpftest: \($0)") }
        config.kernels = try await store.expand(config.kernels)
        let guestFiles = try GuestFiles.locate(environment: environment)
        let selections = try await config.selections(
            guestFiles, filter: filter, environment: environment
        ) { Terminal.log("bpftest: \($0)") }
        let matrix = MatrixRun(config, selections: selections, shard: shard, today: MatrixRun.today())
        if plan != nil {
            return try Self.print(matrix.plan.json(shards: shards ?? config.kernels.count) + "\n")
        }
        let baselineFile = (baseline ?? config.baseline.map(config.path)).map { FilePath($0) }
        // A wrong file shows now, and not after an hour.
        let expected = try expectations(baselineFile)
        for one in report { try one.check() }
        if backend == "slurm" {
            return try conclude(try await onSlurm(matrix), matrix, expected, baselineFile)
        }
        let jsonFile = try json.map { (path) throws(HarnessError) in try ResultFile(path) }

        let cancellation = try RunCommand.cancellation()
        let qemu = try RunCommand.qemu(environment)
        var options = options(config)
        options.crashes = try crashes.options()
        let slots = matrix.kernels.map { KernelSlot(spec: $0) }
        let preparation = Task {
            await matrix.prepare(slots, guestFiles, folders) { Terminal.log("bpftest: \($0)") }
        }
        Interrupts.stop(cancellation) { preparation.cancel() }
        defer { preparation.cancel() }
        let runner = Runner(
            qemu: qemu, guestFiles: guestFiles, folders: folders, options: options, cancellation: cancellation,
            environment: environment)
        let work = try WorkFolder(environment: environment)
        defer { work.remove() }
        let outcome = try await run(runner, matrix, slots, work, jsonFile)
        return try conclude(outcome, matrix, expected, baselineFile)
    }

    private func expectations(_ file: FilePath?) throws(HarnessError) -> Baseline? {
        guard let file else {
            if updateBaseline { throw .usage("--update-baseline wants a file: --baseline, or 'baseline' in \(config)") }
            return nil
        }
        if FileManager.default.fileExists(atPath: file.string) { return try Baseline.read(file) }
        if updateBaseline { return Baseline() }
        if baseline != nil { throw .usage("the baseline \(file) is not there: --update-baseline makes it") }
        Terminal.log("bpftest: the baseline \(file) is not there yet: --update-baseline makes it")
        return nil
    }

    private func run(
        _ runner: Runner, _ matrix: MatrixRun, _ slots: [KernelSlot], _ work: WorkFolder, _ jsonFile: ResultFile?
    ) async throws(HarnessError) -> RunResults {
        let environment = ProcessInfo.processInfo.environment
        let progress = Terminal.showProgress(environment: environment)
        defer { progress?.ended() }
        let dialect = format
        let archives = try noArchive ? nil : self.archives.options(usual: Self.archiveFolder)
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
    private func onSlurm(_ matrix: MatrixRun) async throws(HarnessError) -> RunResults {
        let count = shards ?? matrix.plan.jobs
        let log: @Sendable (String) -> Void = { Terminal.log("bpftest: \($0)") }
        var command = [ProcessInfo.processInfo.arguments[0], "matrix", "--config", Self.absolute(self.config)]
        if let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") { command[0] = path }
        command +=
            kernel.flatMap { ["-k", $0] } + filter.flatMap { ["-t", $0] } + (disableKvm ? ["--disable-kvm"] : [])
        command += kernelSources.absoluteWords(Self.absolute)
        command += jobs.map { ["-j", "\($0)"] } ?? []
        let cluster = SlurmBackend(
            folder: FilePath(Self.absolute(backendDir)), plan: matrix.plan.json(shards: count), shards: count,
            command: command, options: backendOption, note: log)
        let following = Task { () -> Result<RunResults, HarnessError> in
            do throws(HarnessError) {
                return .success(try await cluster.run())
            } catch {
                return .failure(error)
            }
        }
        Interrupts.stop(try RunCommand.cancellation()) { following.cancel() }
        let results = try await following.value.get()
        try Self.tell(results, format == .ktap ? .ktap : .tap, Terminal.results)
        if let json {
            let file = try ResultFile(json)
            try Self.tell(results, .jsonl, file.write)
        }
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

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    /// Reports, the comparison with the baseline, and the exit status that follows.
    private func conclude(
        _ results: RunResults, _ matrix: MatrixRun, _ expected: Baseline?, _ file: FilePath?
    ) throws(HarnessError) -> Int32 {
        for one in report { try one.write(results) }
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

    private static func print(_ text: String) throws(HarnessError) -> Int32 {
        do {
            try Terminal.results(text)
        } catch {
            throw .infrastructure("\(error)")
        }
        return 0
    }
}
