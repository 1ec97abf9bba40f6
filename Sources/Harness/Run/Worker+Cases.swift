// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import LinuxIO
internal import SystemPackage
internal import TAP
internal import VMRunner

extension Worker {
    /// Runs a unit's cases; what fails goes back to the schedule, to be tried alone.
    func run(_ unit: WorkUnit, _ source: MachineSource) throws(HarnessError) {
        var before: [WorkUnit.Part] = []
        try carryOut(unit, source) { attempt, ran throws(HarnessError) in
            let confirm = attempt.result.outcome.isFailure && self.isToBeConfirmed(attempt.result.outcome)
            guard confirm else {
                var attempt = attempt
                self.explain(&attempt, source)
                self.report(attempt)
                return
            }
            before = ran
            self.schedule.add(
                urgent: WorkUnit(
                    kernel: unit.kernel, round: unit.round,
                    parts: [WorkUnit.Part(selection: attempt.selection, cases: [attempt.result.name.id])],
                    machine: unit.machine,
                    purpose: .confirm(attempt, before: before)))
        }
    }

    /// A kernel that lacks something lacks it always; one that did not boot had no chance to run the case.
    private func isToBeConfirmed(_ outcome: Outcome) -> Bool {
        context.options.reruns > 0 && !context.options.keepMachineOnFailure && outcome != .failed(.absent)
            && outcome != .failed(.boot)
    }

    private func report(_ attempt: Attempt) {
        if attempt.result.outcome.isFailure { schedule.sawFailure() }
        context.send(.attempt(attempt, worker: number))
    }

    // MARK: Confirming

    /// Finds out whether a failure is the case's own: runs it alone, each time in a machine that nothing has run in.
    func confirm(
        _ attempt: Attempt, _ unit: WorkUnit, _ before: [WorkUnit.Part], _ source: MachineSource
    ) throws(HarnessError) {
        // What crashed is told with the lines of the programs that it was in: the agent says them only when asked.
        crashKnowledge.reportsProgramLines = attempt.hang != nil || attempt.result.diagnostics["splat"] != nil
        crashKnowledge.isRunAgain = true
        defer {
            crashKnowledge.reportsProgramLines = false
            crashKnowledge.isRunAgain = false
        }
        var told = Retold(all: attempt.programs)
        var alone = Rerun(failed: 0, runs: 0)
        repeat {
            try rerun(unit, source, &alone, &told)
        } while alone.failed == 0 && alone.runs < context.options.reruns
        // The first alone passed and a later one failed: how often tells how flaky it is.
        while alone.runs > 1, alone.runs < context.options.reruns { try rerun(unit, source, &alone, &told) }
        var again: Rerun?
        if alone.failed == 0, !before.isEmpty {
            // What ran before it, and it: the same once more?
            var whole = unit
            whole.parts = before + unit.parts
            whole.purpose = .plain
            var result = Rerun(failed: 0, runs: 0)
            try rerun(whole, source, &result, &told, watching: attempt.result.name)
            again = result
        }
        var confirmed = attempt
        confirmed.programs = told.all
        explain(&confirmed, source, retold: attempt.programs.isEmpty ? told : nil)
        let verdict = Verdict(alone: alone, inOrder: again, before: names(before))
        verdict.explain(&confirmed.result)
        for index in confirmed.parts.indices where confirmed.parts[index].outcome.isFailure {
            verdict.explain(&confirmed.parts[index])
        }
        report(confirmed)
    }

    private func rerun(
        _ unit: WorkUnit, _ source: MachineSource, _ count: inout Rerun, _ told: inout Retold,
        watching name: CaseID? = nil
    ) throws(HarnessError) {
        var failed = false
        try carryOut(unit, source) { attempt, _ throws(HarnessError) in
            told.add(attempt)
            if name == nil || attempt.result.name == name { failed = attempt.result.outcome.isFailure }
        }
        count.runs += 1
        if failed { count.failed += 1 }
    }

    private func names(_ parts: [WorkUnit.Part]) -> [String] {
        parts.flatMap { part in part.cases.map { "\(context.selections[part.selection].suite.suite)/\($0)" } }
    }

    // MARK: Running

    /// Runs all cases of a unit in one machine, and in further ones where a case has spoilt it.
    ///
    /// - Parameter report: gets every case's outcome, and what ran before it in its machine.
    private func carryOut(
        _ unit: WorkUnit, _ common: MachineSource,
        report: (Attempt, [WorkUnit.Part]) throws(HarnessError) -> Void
    ) throws(HarnessError) {
        let source: MachineSource
        switch try self.source(for: unit, common) {
        case .success(let found): source = found
        case .failure(let broken):
            for part in unit.parts {
                for id in part.cases {
                    try report(bootFailure(unit, part.selection, id, broken.failure, broken.console), [])
                }
            }
            return
        }
        var machine: Machine?
        defer { if let machine { discard(machine) } }
        var ran: [WorkUnit.Part] = []
        for (number, part) in unit.parts.enumerated() {
            var waiting = part.cases
            ran.append(WorkUnit.Part(selection: part.selection, cases: []))
            while !waiting.isEmpty {
                if machine == nil {
                    let fresh = try freshMachine(unit.kernel, source)
                    ran = [WorkUnit.Part(selection: part.selection, cases: [])]
                    if let (failure, console) = fresh.failure {
                        for id in waiting {
                            try report(bootFailure(unit, part.selection, id, failure, console), ran)
                        }
                        break
                    }
                    machine = fresh.machine
                    if let machine { try bringObjects(unit, machine) }
                    try warmAhead(unit.kernel, source)
                }
                guard let current = machine else { break }
                let before = waiting.count
                let isLast = number == unit.parts.count - 1
                let end = try call(unit, part.selection, waiting, current, isLast: isLast) {
                    attempt throws(HarnessError) in
                    waiting.removeAll { $0 == attempt.result.name.id }
                    let others = ran.filter { !$0.cases.isEmpty }
                    ran[ran.count - 1].cases.append(attempt.result.name.id)
                    try report(attempt, others)
                    if attempt.result.outcome.isFailure, self.context.options.keepMachineOnFailure {
                        try self.keep(current)
                    }
                }
                if end == .spoilt || waiting.count == before {
                    discard(current)
                    machine = nil
                }
                // Called again it would settle nothing again, for ever.
                guard waiting.count < before else {
                    let suite = context.selections[part.selection].suite.suite
                    throw .infrastructure("\(suite): a call of the agent settled no case")
                }
            }
        }
    }

    /// Brings the object files of a unit's suites in, before anything runs: what the console says later belongs to cases.
    private func bringObjects(_ unit: WorkUnit, _ machine: Machine) throws(HarnessError) {
        let selections = Set(unit.parts.map(\.selection)).sorted().map { context.selections[$0] }
        let objects = selections.compactMap(\.object)
        let files = objects.flatMap(\.guestFiles) + selections.flatMap(\.files)
        guard !files.isEmpty else { return }
        do {
            try machine.push(files)
        } catch .cancelled {
            throw .cancelled
        } catch {
            let names = objects.count == 1 ? objects[0].given : "\(files.count) files"
            throw .infrastructure("\(names) could not be brought into the machine: \(error)")
        }
    }

    private func call(
        _ unit: WorkUnit, _ index: Int, _ cases: [String], _ machine: Machine, isLast: Bool,
        report: (Attempt) throws(HarnessError) -> Void
    ) throws(HarnessError) -> AgentRun.End {
        let selection = context.selections[index]
        if let program = selection.program {
            return try run(program, unit, index, cases[0], machine, report: report)
        }
        let kernel = context.name(unit.kernel)
        let send = context.send
        var call = AgentRun(
            machine: machine, suite: selection.suite.suite, cases: cases, judge: judge(unit.kernel),
            options: context.options, runDeadline: context.deadline, log: { send(.log($0)) }, scene: scene(kernel))
        call.reportsProgramLines = crashKnowledge.reportsProgramLines || context.options.crashes.reportsProgramLines
        let number = number
        call.announce = { send(.started($0, kernel: unit.kernel, worker: number)) }
        return try call.run(agent: selection.agent, isLast: isLast) { finding throws(HarnessError) in
            let id = CaseID(suite: selection.suite.suite, id: finding.id)
            var diagnostics = finding.diagnostics
            if finding.outcome.isFailure { diagnostics["run_alone"] = self.alone(selection, finding.id, unit.kernel) }
            let result = CaseResult(
                kernel: kernel, name: id, title: self.title(selection, finding.id), outcome: finding.outcome,
                diagnostics: diagnostics, duration: finding.duration)
            try report(
                Attempt(
                    kernel: unit.kernel, selection: index, round: unit.round, result: result,
                    programs: finding.programs,
                    hang: finding.hang))
        }
    }

    /// What is kept of a crash: of a case that is run again, what its first run left is there already.
    func scene(_ kernel: String) -> CrashScene {
        var options = context.options.crashes
        if crashKnowledge.isRunAgain { options.vmcore = .never }
        return CrashScene(options: options, kernel: kernel)
    }

    func judge(_ kernel: Int) -> Judge {
        let build = context.kernel(kernel).build
        return Judge(version: build.version, config: build.config)
    }

    private func title(_ selection: Selection, _ id: String) -> String {
        selection.cases.first { $0.id == id }?.title ?? ""
    }

    private func bootFailure(
        _ unit: WorkUnit, _ index: Int, _ id: String, _ failure: BootFailure, _ console: [String]
    ) -> Attempt {
        let selection = context.selections[index]
        let result = CaseResult.bootFailure(
            CaseID(suite: selection.suite.suite, id: id), title(selection, id), context.kernel(unit.kernel).build,
            failure, console)
        return Attempt(kernel: unit.kernel, selection: index, round: unit.round, result: result)
    }

    /// The command that runs a case alone.
    func alone(_ selection: Selection, _ id: String, _ kernel: Int) -> String {
        if let program = selection.program {
            let words = ["bpftest", "run", "-k", context.request.kernels[kernel].spec] + context.options.machineWords
            return (words + program.commandWords).map(shellQuoted).joined(separator: " ")
        }
        let agent = selection.agent
        let foreign = agent.isBuiltIn ? "" : " --agent \(shellQuoted(agent.file.string))"
        let turned = selection.object?.expectsLoadFailure == true ? " --expect-load-failure" : ""
        let own = context.kernel(kernel).arguments.flatMap { ["--append", $0] }
        let machine = (context.options.machineWords + own).map { " " + shellQuoted($0) }.joined()
        return "bpftest run -k \(shellQuoted(context.request.kernels[kernel].spec))\(machine)\(foreign)\(turned) "
            + shellQuoted(selection.name(of: id))
    }

    /// Leaves the machine as it is, for a person to look at, until interrupted.
    private func keep(_ machine: Machine) throws(HarnessError) {
        guard machine.end == nil else { return }
        let log = { (text: String) in self.context.send(.log(text)) }
        log("the machine is kept (QEMU is process \(machine.pid)); its console follows; ^C ends it")
        for line in machine.console.tail(50) { log("[console] \(line)") }
        do {
            while let event = try machine.next(until: nil) {
                switch event {
                case .console(let line): log("[console] \(line)")
                case .ended(let how):
                    log("QEMU ended: \(how)")
                    throw HarnessError.cancelled
                default: continue
                }
            }
        } catch {
            throw .cancelled
        }
    }
}

/// How often a case failed in how many further runs.
struct Rerun: Sendable, Equatable {
    var failed: Int
    var runs: Int
}

/// What further runs of a failed case say about its failure.
struct Verdict {
    /// Runs in a pristine machine.
    let alone: Rerun
    /// Runs after the cases that had run before it; nil where none had, or where it was not tried.
    let inOrder: Rerun?
    /// The cases that had run before it in its machine.
    let before: [String]

    enum Kind: String {
        case failure
        case orderDependent = "order-dependent"
        case flaky
    }

    var kind: Kind {
        if alone.failed == alone.runs { return .failure }
        if alone.failed > 0 || before.isEmpty { return .flaky }
        return inOrder?.failed == 0 ? .flaky : .orderDependent
    }

    /// Adds the verdict to a failed case's diagnostics.
    func explain(_ result: inout CaseResult) {
        result.diagnostics["verdict"] = text
        if kind == .orderDependent || kind == .flaky && !before.isEmpty {
            result.diagnostics["ran_before"] = Self.list(before)
        }
    }

    private var text: String {
        switch kind {
        case .failure: "failure: it fails alone in a pristine machine too"
        case .orderDependent:
            "order-dependent: alone it passed \(alone.runs) of \(alone.runs) times"
                + (inOrder.map { _ in ", after the same cases it failed again" } ?? "")
        case .flaky:
            "flaky: failed in \(1 + alone.failed + (inOrder?.failed ?? 0)) of \(1 + alone.runs + (inOrder?.runs ?? 0)) runs"
        }
    }

    /// All of a few, the last ones of many.
    private static func list(_ names: [String]) -> String {
        let shown = names.suffix(50)
        let left = names.count - shown.count
        return (left > 0 ? "(\(left) more) " : "") + shown.joined(separator: " ")
    }
}
