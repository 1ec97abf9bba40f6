// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import VMRunner

/// Carries out a run over all its kernels.
public struct Runner: Sendable {
    public var qemu: QEMU
    public var guestFiles: GuestFiles
    public var folders: Folders
    public var options: RunOptions
    public var cancellation: Cancellation
    public var environment: [String: String]

    /// - Parameter environment: the process's: limits of the cache may be named in it.
    public init(
        qemu: QEMU, guestFiles: GuestFiles, folders: Folders, options: RunOptions, cancellation: Cancellation,
        environment: [String: String]
    ) {
        self.environment = environment
        self.qemu = qemu
        self.guestFiles = guestFiles
        self.folders = folders
        self.options = options
        self.cancellation = cancellation
    }

    /// Runs the selections on each kernel, with as many workers as options, processors and memory allow.
    ///
    /// Blocks its thread, which reports: call it on a thread made for it (`onThread`).
    /// - Returns: the counts over all kernels; a bail-out has been reported when this throws.
    public func run(
        kernels: [PreparedKernel], selections: [Selection], journal: Journal, work: WorkFolder,
        expected: @escaping @Sendable (String, CaseID) -> Duration? = { _, _ in nil }
    ) throws(HarnessError) -> Tally {
        var request = RunRequest(kernels: kernels.map { KernelSlot($0) }, selections: selections)
        request.expected = { kernel, name in expected(kernel.build.release, name) }
        return try run(request, journal: journal, work: work)
    }

    /// Carries out a request, whose kernels may still be on their way.
    ///
    /// Blocks its thread, which reports: call it on a thread made for it (`onThread`).
    /// - Returns: the counts over all kernels; a kernel that could not be had counts as one failure. A bail-out has been
    ///   reported when this throws.
    public func run(
        _ request: RunRequest, journal: Journal, work: WorkFolder
    ) throws(HarnessError) -> Tally {
        let selections = request.selections
        let kernels = request.kernels
        let deadline = options.runLimit.map { ContinuousClock.now + $0 }
        let plan = Plan(
            seed: options.seed, isolation: options.isolation, kernels: kernels.count,
            cases: selections.map { $0.cases.map(\.id) }, machines: selections.map { machine($0.suite) },
            alone: selections.map { selection in
                // What a program leaves behind is anybody's guess: only who wants one machine for all has it shared.
                let isProgram = selection.program != nil && options.isolation == .batch
                return Set(selection.cases.filter { isProgram || $0.alone == true }.map(\.id))
            },
            leavesOut: { kernel, selection, id in
                request.leavesOut(kernel, CaseID(suite: selections[selection].suite.suite, id: id))
            },
            expected: { kernel, selection, id in
                kernels[kernel].prepared.flatMap {
                    request.expected($0, CaseID(suite: selections[selection].suite.suite, id: id))
                }
            })
        let rounds: Schedule.Rounds =
            options.untilFailure
            ? .untilFailure(limit: options.repeats > 1 ? options.repeats : nil, deadline: deadline)
            : .fixed(options.repeats)
        let events = Monitor<[RunEvent]>([])
        let memory = MemoryUse(folders: folders)
        let processors = ProcessInfo.processInfo.activeProcessorCount
        let wanted = options.jobs ?? memory.machines(options.settings, processors: processors)
        // A worker more than there are machines to run would only take the work of one that has a machine already.
        let first = plan.units(round: 0)
        let units = options.untilFailure ? wanted : first.count * options.repeats
        let workers = options.keepMachineOnFailure ? 1 : max(1, min(wanted, units))
        let schedule = Schedule(plan, rounds, atOnce: workers)
        let context = RunContext(
            request: request, options: options,
            deadline: options.untilFailure ? nil : deadline, factory: factories(selections, work),
            kinds: MachineKinds(),
            warmsAhead: options.usesZygotes && workers * options.settings.cpus < processors, memory: memory,
            cache: folders.cache, environment: environment,
            send: { event in events.change { $0.append(event) } })
        let cases = first.reduce(0) { $0 + $1.parts.reduce(0) { $0 + $1.cases.count } }
        journal.observer?.planned(cases * (options.untilFailure ? 1 : options.repeats))
        defer {
            journal.observer?.ended()
            memory.save()
        }
        do throws(HarnessError) {
            let orders = kernels.indices.map { plan.order(kernel: $0, round: 0) }
            let description =
                request.plan
                ?? RunPlan(
                    kernels.indices.map { kernel in
                        let suites = orders[kernel].map { selections[$0.selection].suite.suite }
                        return PlannedKernel(context.identity(kernel), suites: suites)
                    }, started: Date())
            let count = orders.filter { !$0.isEmpty }.count
            try journal.tell { try $0.runStarted(description, kernels: count) }
            if let seed = options.seed { try journal.tell { try $0.comment("order: --shuffle=\(seed)") } }
            for number in 0..<workers {
                Self.startThread("bpftest-\(number)") {
                    Worker(number: number, context: context, schedule: schedule).run()
                }
            }
            for (number, slot) in kernels.enumerated() {
                slot.whenFilled { result in
                    switch result {
                    case .success: schedule.arrived(kernel: number)
                    case .failure(let error):
                        events.change { $0.append(.kernelMissing(number, error)) }
                        schedule.made(nil, kernel: number)
                    }
                }
            }
            let report = Report(
                context: context, orders: orders, rounds: options.untilFailure ? nil : options.repeats,
                journal: journal)
            try follow(events, workers, schedule, report, context, journal)
            try report.finish()
            if options.untilFailure {
                try journal.tell { try $0.comment("rounds: \(schedule.roundsBegun)") }
            }
            try journal.tell { try $0.runFinished(tally: journal.tally) }
            return journal.tally
        } catch {
            // The reader of the results must learn that they are not complete; when they cannot be written either,
            // the error itself still reaches the caller.
            try? journal.tell { try $0.bailedOut("\(error)") }
            throw error
        }
    }

    /// Reports what the workers say until the last one has ended.
    ///
    /// - Throws: the first trouble; by then all workers have ended, and their machines with them.
    private func follow(
        _ events: Monitor<[RunEvent]>, _ workers: Int, _ schedule: Schedule, _ report: Report, _ context: RunContext,
        _ journal: Journal
    ) throws(HarnessError) {
        var running = workers
        var trouble: HarnessError?
        while running > 0 {
            let batch = events.wait { (waiting: inout [RunEvent]) -> [RunEvent]? in
                if waiting.isEmpty { return nil }
                defer { waiting = [] }
                return waiting
            }
            for event in batch {
                do throws(HarnessError) {
                    switch event {
                    case .ended: running -= 1
                    case .trouble(let error): throw error
                    case .log(let text): journal.log(text)
                    case .started(let name, let kernel, let worker):
                        journal.observer?.started(name, kernel: context.name(kernel), worker: worker)
                    case .idle(let worker, let doing): journal.observer?.idle(worker: worker, doing: doing)
                    // After trouble nothing more is reported: it would look as if it were all.
                    case .kernelReady(let kernel, let comments) where trouble == nil:
                        try report.kernelReady(kernel, comments: comments)
                    case .kernelMissing(let kernel, let error) where trouble == nil:
                        // Interrupted, or the other kernels' results would be lost with it.
                        if case .cancelled = error { throw error }
                        try report.kernelMissing(kernel, error)
                    case .kernelBroken(let kernel, let failure, let console, let comments) where trouble == nil:
                        try report.kernelBroken(kernel, failure, console: console, comments: comments)
                    case .attempt(let attempt, let worker) where trouble == nil:
                        journal.observer?.finished(attempt.result, worker: worker)
                        try report.add(attempt)
                    case .kernelReady, .kernelMissing, .kernelBroken, .attempt: continue
                    }
                } catch {
                    if trouble == nil { trouble = error }
                    // Whoever runs a case now sees it at once.
                    schedule.stop()
                    cancellation.abandon()
                }
            }
        }
        if let trouble { throw trouble }
    }

    /// What a suite's machines must have, as far as this QEMU can give it; cases that miss a card say so.
    private func machine(_ suite: SuiteListing) -> MachineKind {
        let cards = (suite.cards ?? []).compactMap { NetworkCard(rawValue: $0) }
        return MachineKind(cpus: suite.cpus ?? 1, cards: cards.filter { $0.isSupported(by: qemu) })
    }

    /// What a worker makes a kernel's machines with.
    private func factories(
        _ selections: [Selection], _ work: WorkFolder
    ) -> RunContext.MakesFactory {
        // A program finds a guest in which nothing else runs: its agent is none.
        let agents = selections.filter { $0.program == nil }.map(\.agent).reduce(into: [Agent]()) {
            if !$0.contains($1) { $0.append($1) }
        }
        let frozen = selections.flatMap(\.frozenFiles).reduce(into: [String: GuestFile]()) { $0[$1.path] = $1 }
        let files = frozen.values.sorted { $0.path < $1.path }
        return { [self] (kernel, machine, log) throws(HarnessError) in
            var runner = self
            runner.options.settings.cpus = max(options.settings.cpus, machine.cpus)
            runner.options.settings.cards = machine.cards
            runner.options.settings.kernelArguments += kernel.arguments
            return try runner.factory(kernel, agents, work, files: files, log)
        }
    }

    func factory(
        _ kernel: PreparedKernel, _ agents: [Agent], _ work: WorkFolder, files: [GuestFile] = [],
        _ log: @escaping @Sendable (String) -> Void
    ) throws(HarnessError) -> MachineFactory {
        let zygotes = ZygoteStore(folders: folders, environment: environment, log: log)
        return try MachineFactory(
            qemu: qemu, kernel: kernel, agents: agents, further: files, guestFiles: guestFiles, options: options,
            memory: AcceleratorMemory(folders: folders), zygotes: options.usesZygotes ? zygotes : nil, work: work,
            cancellation: cancellation, log: log)
    }

    private static func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let thread = Thread(block: body)
        thread.stackSize = 8 << 20
        thread.name = name
        thread.start()
    }

    /// Runs a body on a thread of its own and waits for it without holding one of the concurrency runtime's.
    public static func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            startThread("bpftest-run") { continuation.resume(returning: body()) }
        }
    }
}
