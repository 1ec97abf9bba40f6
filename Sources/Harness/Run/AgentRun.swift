// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import GuestProtocol
internal import LinuxIO
internal import TAP
internal import VMRunner

/// One call of an agent in one machine: follows it to its end and says what became of each case.
struct AgentRun {
    /// What is to be said about a case; kernel and title are added by the caller.
    struct Finding {
        var id: String
        var outcome: Outcome
        var diagnostics: Diagnostics
        var duration: Duration
        /// The lines of the programs that had been loaded, as far as the agent was asked for them.
        var programs = BPFLines()
        /// Where the machine hung.
        var hang: HangState?
    }

    /// How the call ended for the machine.
    enum End {
        /// The machine can be used for more.
        case clean
        /// It cannot: its kernel broke, its agent hangs or was not waited for, or the machine is gone.
        case spoilt
    }

    let machine: Machine
    let suite: String
    let judge: Judge
    let options: RunOptions
    let runDeadline: ContinuousClock.Instant?
    let log: (String) -> Void
    /// Told of each case that begins.
    var announce: (CaseID) -> Void = { _ in }
    /// Have the agent tell the source lines of the programs that it loads.
    var reportsProgramLines = false
    private var scene: CrashScene

    private var waiting: [String]
    private var parser = TAPParser()
    private var splats: ConsoleReader
    private var current: (id: String, start: ContinuousClock.Instant)?
    /// A result that is not passed on yet: the kernel may still complain of what the case has left to it, until the next
    /// case begins or the agent's end has come.
    private var held: Finding?
    private var notes = Diagnostics()
    private var complaints: [UInt8] = []
    private var outputSeen: UInt64 = 0
    private var errorSeen: UInt64 = 0
    private var deadline: ContinuousClock.Instant
    private var guestAsked = false
    private var spoilt = false
    /// The guest has gone down, and QEMU has not ended with it.
    private var isDown = false
    private var hang: HangState?

    init(
        machine: Machine, suite: String, cases: [String], judge: Judge, options: RunOptions,
        runDeadline: ContinuousClock.Instant?, log: @escaping (String) -> Void, scene: CrashScene
    ) {
        self.scene = scene
        splats = ConsoleReader(allowlist: options.crashes.allowlist)
        self.machine = machine
        self.suite = suite
        self.judge = judge
        self.options = options
        self.runDeadline = runDeadline
        self.log = log
        waiting = cases
        deadline = .now + options.caseLimit
    }

    static let nextJob = JobNumbers()

    /// Starts the agent and reports each case as soon as its outcome is known.
    ///
    /// - Parameter isLast: nothing else comes in this machine: with the last result of an agent that settles, it is not
    ///   waited for the agent's end.
    /// - Throws: trouble of ours (QEMU gone, results not written, run out of time); everything that the guest can do
    ///   wrong is a finding.
    mutating func run(
        agent: Agent, isLast: Bool = false, report: (Finding) throws(HarnessError) -> Void
    ) throws(HarnessError) -> End {
        let job = Self.nextJob.next()
        let asked = reportsProgramLines && agent.isBuiltIn ? ["--report-lines"] : []
        if scene.keepsMachine { machine.keepWhenDown() }
        machine.send(
            .run(
                Job(
                    id: job, arguments: [agent.guestPath, "run"] + asked + [suite] + waiting,
                    environment: MachineFactory.environment, workingDirectory: "/tmp/bpftest-\(job)")))
        var ended: JobEnd?
        while true {
            if let ended, outputSeen >= ended.outputBytes, errorSeen >= ended.errorBytes {
                try finish(ended, report)
                return spoilt ? .spoilt : .clean
            }
            if spoilt { return .spoilt }
            if isLast, agent.isBuiltIn, waiting.isEmpty, held != nil {
                try release(report)
                return .spoilt
            }
            let event: Machine.Event?
            do {
                event = try machine.next(until: [deadline, runDeadline].compactMap { $0 }.min())
            } catch .cancelled {
                throw .cancelled
            } catch .violation(let what) {
                try blame(.agent, "the guest broke the protocol: \(what)", report)
                return .spoilt
            } catch {
                throw .infrastructure("\(error)")
            }
            guard let event else {
                if isDown {
                    try wentDown(report)
                    return .spoilt
                }
                if let runDeadline, runDeadline <= .now { throw Self.outOfTime(options) }
                // The case had no chance: not the kernel's fault.
                if !machine.runs { throw Self.notRestored("not done after \(options.caseLimit.inSeconds) s") }
                let what = ended == nil ? "no result" : "the agent ended, but its output did not all come"
                if ended == nil { lookAtHang() }
                try blame(.timeout, "\(what) after \(options.caseLimit.inSeconds) s (-w)", report)
                return .spoilt
            }
            switch event {
            case .console(let line):
                splats.read(line)
                if options.verbose { log("[console] \(line)") }
            case .job(.output, let bytes):
                outputSeen += UInt64(bytes.count)
                for event in parser.append(bytes) { try read(event, report) }
            case .job(.error, let bytes):
                errorSeen += UInt64(bytes.count)
                keep(bytes)
            case .message(.exited(let end)) where end.id == job:
                ended = end
                deadline = .now + .seconds(10)
            case .message(.refused(_, let errno, let reason)):
                try release(report)
                try blame(.agent, "\(reason)" + (errno == 0 ? "" : " (errno \(errno))"), report)
                return .clean
            case .message(.log(let text)): log(text)
            case .message: continue
            case .monitor(.failure(_, let what)) where !machine.runs: throw Self.notRestored(what)
            case .monitor(.event("SHUTDOWN", let reason)):
                guestAsked = reason?.hasPrefix("guest") ?? false
                if scene.keepsMachine, guestAsked {
                    // QEMU waits; what the guest had written before is on its way.
                    isDown = true
                    deadline = .now + .seconds(1)
                }
            case .monitor: continue
            case .ended(let how):
                try machineEnded(how, report)
                return .spoilt
            }
        }
    }

    static func notRestored(_ why: String) -> HarnessError {
        .infrastructure(
            "QEMU could not restore the machine: \(why) (bpftest zygotes prune has it made again, --no-zygotes does "
                + "without)")
    }

    static func outOfTime(_ options: RunOptions) -> HarnessError {
        .infrastructure("the run's time limit of \(options.runLimit?.inSeconds ?? "?") s is over (--timeout)")
    }

    /// Keeps the end of what the agent writes to stderr.
    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        if options.verbose { log("[agent] \(String(decoding: bytes, as: UTF8.self))") }
        complaints += bytes
        if complaints.count > 8192 { complaints.removeFirst(complaints.count - 4096) }
    }

    // MARK: What the agent says

    private mutating func read(
        _ event: TAPEvent, _ report: (Finding) throws(HarnessError) -> Void
    ) throws(HarnessError) {
        switch event {
        case .caseStarted(let id):
            try release(report)
            if let current, current.id != id {
                try blame(.agent, "the agent went on to \(id) without a result", of: current.id, report)
            }
            guard waiting.contains(id) else { return }
            current = (id, .now)
            announce(CaseID(suite: suite, id: id))
            deadline = .now + options.caseLimit
        case .diagnosticsBefore(_, let diagnostics): notes = diagnostics
        case .point(let depth, let point):
            guard depth == 0 else { return }
            try take(point, report)
        case .truncated(let what): notes["truncated"] = what
        case .comment(_, let text):
            if options.verbose { log("[agent] \(text)") } else if options.showsCaseLogs { log(text) }
        case .bailOut(let reason): notes["bail_out"] = reason
        case .version, .plan, .subtest, .yamlAfter: return
        case .other(let text):
            // Kept with the next failure: a program that prints something else says why it broke.
            if (notes["unparsed"]?.count ?? 0) < 2000 { notes["unparsed", default: ""] += text.prefix(400) + "\n" }
        }
    }

    private mutating func take(
        _ point: TestPoint, _ report: (Finding) throws(HarnessError) -> Void
    ) throws(HarnessError) {
        let id = point.description.split(separator: " ").first.map(String.init) ?? ""
        guard let expected = current?.id ?? waiting.first, expected == id else {
            notes["unexpected_result"] = point.line(dash: false)
            return
        }
        try release(report)
        let (outcome, diagnostics) = judge.judge(point, notes)
        hold(id, outcome, diagnostics)
    }

    private mutating func hold(_ id: String, _ outcome: Outcome, _ diagnostics: Diagnostics) {
        let start = current?.id == id ? current?.start : nil
        current = nil
        notes = Diagnostics()
        waiting.removeAll { $0 == id }
        deadline = .now + options.caseLimit
        held = Finding(
            id: id, outcome: outcome, diagnostics: diagnostics, duration: start.map { .now - $0 } ?? .zero)
    }

    /// Passes on the result that is held, if any, unless the kernel complained meanwhile: then that is what became of the
    /// case.
    private mutating func release(_ report: (Finding) throws(HarnessError) -> Void) throws(HarnessError) {
        guard let held else { return }
        self.held = nil
        var outcome = held.outcome
        var diagnostics = held.diagnostics
        // Not yet the complaints that belong to a case whose result is still to come.
        let later = Set(waiting.map { "\(suite)/\($0)" })
        let found = splats.take { during in during.map { !later.contains($0) } ?? true }
        if let first = found.first {
            // Decision 7: a splat fails the case during which it came, also when every assertion passed.
            if !outcome.isFailure { diagnostics["message"] = "the kernel complained while the case ran" }
            if outcome != .failed(.test) {
                diagnostics["expected"] = "no splat"
                diagnostics["observed"] = first.title
            }
            outcome = .failed(.kernel)
            diagnostics.add(found)
            spoilt = true
        }
        // A wrong answer and a missing feature are explained by themselves; a hang or a crash by the console.
        let explained = outcome == .failed(.test) || outcome == .failed(.absent)
        if outcome.isFailure, !explained, diagnostics["console"] == nil, found.isEmpty {
            let tail = machine.console.tail()
            if !tail.isEmpty { diagnostics["console"] = tail.joined(separator: "\n") }
        }
        if scene.wantsCore(outcome, complained: !found.isEmpty) {
            writeCore(held.id, &diagnostics)
        }
        var finding = Finding(id: held.id, outcome: outcome, diagnostics: diagnostics, duration: held.duration)
        if outcome.isFailure {
            finding.programs = splats.programs
            finding.hang = hang
            hang = nil
        }
        try report(finding)
    }

    // MARK: Crashes

    /// While QEMU is asked, the console may go on.
    private static func keepConsole(_ event: Machine.Event, _ splats: inout ConsoleReader) {
        if case .console(let line) = event { splats.read(line) }
    }

    private mutating func writeCore(_ id: String, _ diagnostics: inout Diagnostics) {
        var reader = splats
        scene.writeCore(machine, name: CaseID(suite: suite, id: id), &diagnostics) { Self.keepConsole($0, &reader) }
        splats = reader
    }

    /// Finds out where a machine is that gives no result, before it is ended.
    private mutating func lookAtHang() {
        let tail = machine.console.tail()
        if !tail.isEmpty { notes["console"] = tail.joined(separator: "\n") }
        var reader = splats
        var state = HangState.read(machine) { Self.keepConsole($0, &reader) }
        splats = reader
        if let id = underWay, scene.wantsCore(.failed(.timeout), complained: false) {
            var kept = notes
            writeCore(id, &kept)
            notes = kept
        }
        // A person who is to look at the machine wants it alive.
        if options.keepMachineOnFailure { machine.sendMonitor("cont") } else { state.sendNMI(machine) { _ in } }
        hang = state
    }

    /// The case that an agent was at, as far as can be told.
    ///
    /// A machine that goes down takes along what was still in its pipes, results too: the console, where each case is
    /// announced, then knows better how far the agent had come. Cases before that one stay to be run once more.
    private var underWay: String? {
        if let announced = splats.announced, announced.hasPrefix(suite + "/") {
            let id = String(announced.dropFirst(suite.count + 1))
            if waiting.contains(id) { return id }
        }
        return current?.id ?? waiting.first
    }

    /// Charges trouble to a case; without one named, to that under way or the next one due.
    private mutating func blame(
        _ blame: Outcome.Blame, _ message: String, of culprit: String? = nil,
        _ report: (Finding) throws(HarnessError) -> Void
    ) throws(HarnessError) {
        try release(report)
        guard let id = culprit ?? underWay else { return }
        var diagnostics = notes
        diagnostics["message"] = message
        if !complaints.isEmpty { diagnostics["stderr"] = String(decoding: complaints, as: UTF8.self) }
        hold(id, .failed(blame), diagnostics)
        try release(report)
    }

    // MARK: Ends

    private mutating func finish(
        _ ended: JobEnd, _ report: (Finding) throws(HarnessError) -> Void
    ) throws(HarnessError) {
        for event in parser.finish() { try read(event, report) }
        try release(report)
        guard !waiting.isEmpty || current != nil else { return }
        let how =
            switch ended.cause {
            case .exited(let status): "exit status \(status)"
            case .signalled(let signal): signalName(Int(signal))
            case .outputLimit: "killed: it wrote more than its limit of output"
            }
        try blame(.agent, "the agent ended (\(how)) before the case had a result", report)
        spoilt = true
    }

    private mutating func machineEnded(
        _ how: ProcessEnd, _ report: (Finding) throws(HarnessError) -> Void
    ) throws(HarnessError) {
        for event in parser.finish() { try read(event, report) }
        let console = machine.console.tail()
        guard guestAsked || !splats.complaints.isEmpty else {
            throw .infrastructure(
                (machine.runs ? "" : "the machine was not restored: ")
                    + "QEMU ended by itself (\(how)) while \(suite)/\(underWay ?? "?") ran"
                    + (machine.complaints.isEmpty ? "" : ": \(machine.complaints)")
                    + (console.isEmpty ? "" : "; console: \(console.suffix(3).joined(separator: " | "))"))
        }
        try wentDown(report)
    }

    private mutating func wentDown(_ report: (Finding) throws(HarnessError) -> Void) throws(HarnessError) {
        if isDown { for event in parser.finish() { try read(event, report) } }
        // It went down before the next case began: the last one has left it what it broke on.
        if let last = held, current == nil, splats.announced == "\(suite)/\(last.id)" {
            held?.outcome = .failed(.kernel)
            held?.diagnostics["message"] = "the machine went down after the case"
            return try release(report)
        }
        try blame(.kernel, "the machine went down while the case ran", report)
    }
}

extension Diagnostics {
    fileprivate subscript(key: String, default fallback: String) -> String {
        get { self[key] ?? fallback }
        set { self[key] = newValue }
    }
}
