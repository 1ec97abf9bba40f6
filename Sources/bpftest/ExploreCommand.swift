// SPDX-License-Identifier: Apache-2.0
internal import ArgumentParser
internal import Exploration
internal import Foundation
internal import Harness
internal import LinuxIO
internal import TAP
internal import VMRunner

struct ExploreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explore", abstract: "Random calls on a kernel, each compared with a model of what it must do.",
        discussion: """
            A divergence is shrunk to few steps, which are saved as a script. Exit status as of run: 0 kernel and \
            model agree, 1 they do not, 2 wrong call, 3 trouble of bpftest or its machines, 4 nothing to explore.
            """)

    @Argument(help: ArgumentHelp("What to explore: \(Self.subjects).", valueName: "subject"))
    var subject: String?

    @Option(
        name: [.customShort("k"), .long],
        help: ArgumentHelp("A kernel, as for run. Repeatable.", valueName: "kernel"))
    var kernel: [String] = ["6.12"]

    @Option(help: ArgumentHelp("What the subject's calls are on; all of its targets without it.", valueName: "target"))
    var target: String?

    @Option(help: ArgumentHelp("Of the random operations; one is chosen and said without it.", valueName: "n"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("How many operations for each target.", valueName: "n"))
    var ops = 20_000

    @Flag(help: "Instead of random operations: every sequence of calls up to --length, over few programs and links.")
    var exhaustive = false

    @Option(help: ArgumentHelp("How many calls a sequence has at most, with --exhaustive.", valueName: "n"))
    var length = 3

    @Option(help: ArgumentHelp("The number to go on from, with --exhaustive.", valueName: "n"))
    var from = 0

    @Option(help: ArgumentHelp("The number to stop before, with --exhaustive.", valueName: "n"))
    var to: Int?

    @Option(help: ArgumentHelp("Run a saved script again.", valueName: "file"))
    var replay: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Where the script of a divergence goes; explore-SUBJECT-TARGET-KERNEL.script without it.",
            valueName: "file"))
    var output: String?

    @OptionGroup
    var machines: MachineArguments

    @Option(help: ArgumentHelp("Time for each target, in seconds.", valueName: "secs"))
    var timeout: Double?

    @Flag(name: [.customShort("v"), .long], help: "Show what agents and the kernel's console say, on stderr.")
    var verbose = false

    private static var subjects: String {
        Explorations.targets.map { "\($0.subject) (\($0.targets.joined(separator: ", ")))" }.joined(separator: ", ")
    }

    func validate() throws {
        guard subject != nil || replay != nil else { throw ValidationError("what is to be explored? \(Self.subjects)") }
        guard subject == nil || replay == nil else { throw ValidationError("--replay knows its subject") }
        guard (1...1_000_000_000).contains(ops) else { throw ValidationError("--ops wants 1 to 1000000000") }
        guard (1...6).contains(length) else { throw ValidationError("--length wants 1 to 6") }
        guard from >= 0, (to ?? Int.max) >= from else { throw ValidationError("--from wants to come before --to") }
        try Limits.check(seconds: [("--timeout", timeout)])
    }

    func run() async throws {
        await Terminal.carryOut(perform)
    }

    /// The subject, its targets, and what to do on each.
    private func plan() throws(HarnessError) -> (String, [String], ExplorationRequest) {
        if let replay {
            let script = try ExplorationRequest.script(replay)
            return (script.subject, [script.target], ExplorationRequest(.replay(script)))
        }
        let subject = subject ?? ""
        let targets: [String]
        do {
            targets = try Explorations.targets(of: subject, only: target)
        } catch {
            throw .usage("\(error)")
        }
        if exhaustive {
            return (
                subject, targets, ExplorationRequest(.exhaustive(length: length, range: from..<(to ?? Int.max)))
            )
        }
        let seed = seed ?? UInt64.random(in: 0...999_999_999)
        Terminal.log("bpftest: seed \(seed)")
        return (subject, targets, ExplorationRequest(.random(seed: seed, operations: ops)))
    }

    private func perform(_ cancellation: Cancellation) async throws(HarnessError) -> Int32 {
        let (subject, targets, request) = try plan()
        let start = try MachineStart(kernel, machines, cancellation)
        let guestFiles = start.guestFiles
        let suite = "explore.\(subject)"
        var selections = try Catalogue.select(
            [(agent: .builtIn(guestFiles), suites: try await Catalogue.builtIn(guestFiles))],
            names: targets.map { "\(suite)/\($0)" }, patterns: [])
        for index in selections.indices { selections[index].files = [request.guestFile] }
        let (runner, kernels) = try await start.ready(options)
        let work = try WorkFolder(environment: start.environment)
        defer { work.remove() }
        let chosen = selections
        let file = output
        let isReplay = replay != nil
        let answer = await Runner.onThread {
            Result { () throws(HarnessError) in
                let keeper = ScriptKeeper(
                    path: { result in
                        let release = kernels.first { result.kernel.hasPrefix($0.build.release) }?.build.release
                        return file ?? "explore-\(subject)-\(result.name.id)-\(release ?? "kernel").script"
                    }, log: Terminal.log)
                // A script that is run again is there already.
                let keepsScripts = !isReplay || file != nil
                let reporter = TAPReporter(dialect: .tap, write: Terminal.results)
                let journal = Journal(sinks: keepsScripts ? [reporter, keeper] : [reporter], log: Terminal.log)
                return try runner.run(kernels: kernels, selections: chosen, journal: journal, work: work)
            }
        }
        return try answer.get().exitCode
    }

    private var options: RunOptions {
        var options = machines.options
        // A hundred operations a second would be very slow; shrinking comes on top.
        options.caseLimit = .seconds(timeout ?? (exhaustive ? 86_400 : Double(ops) / 100 + 600))
        options.reruns = 0
        options.verbose = verbose
        options.showsCaseLogs = true
        return options
    }
}
