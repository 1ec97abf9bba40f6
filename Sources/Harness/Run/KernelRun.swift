// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage
internal import TAP
internal import VMRunner

/// All selected suites on one kernel, on the calling thread.
final class KernelRun {
    private let kernel: PreparedKernel
    private let selections: [Selection]
    private let options: RunOptions
    private let factory: MachineFactory
    private let journal: Journal
    private let judge: Judge
    private let deadline: ContinuousClock.Instant?
    private var machine: Machine?
    private var tally = Tally()
    /// The accelerator as the report has it.
    private var reported: Accelerator?

    init(
        kernel: PreparedKernel, selections: [Selection], options: RunOptions, factory: MachineFactory,
        journal: Journal, deadline: ContinuousClock.Instant?
    ) {
        self.kernel = kernel
        self.selections = selections
        self.options = options
        self.factory = factory
        self.journal = journal
        self.deadline = deadline
        judge = Judge(version: kernel.build.version, config: kernel.build.config)
    }

    /// The name in reports.
    private var name: String { kernel.build.release }

    func run() throws(HarnessError) {
        defer { machine?.kill() }
        let notes: [String]
        do {
            notes = try makeMachine()
        } catch {
            try reportBootFailure(error)
            return
        }
        reported = factory.accelerator
        let comments = ["accelerator: \(factory.reason)"] + notes.map { "guest: \($0)" }
        try journal.tell { try $0.kernelStarted(name, suites: selections.count, comments: comments) }
        for selection in selections { try run(selection) }
        try journal.tell { try $0.kernelFinished(name, tally: tally) }
        if let machine { endGracefully(machine) }
    }

    /// - Throws: only what is the kernel's fault.
    private func makeMachine() throws(HarnessError.Boot) -> [String] {
        journal.observer?.idle(worker: 0, doing: "booting \(name)")
        do {
            let made = try factory.make()
            machine = made.machine
            return made.notes
        } catch .boot(let failure, let console) {
            throw .kernel(failure, console)
        } catch .cancelled {
            throw .ours(.cancelled)
        } catch {
            let console = error.console.isEmpty ? "" : "; console: " + error.console.suffix(5).joined(separator: " | ")
            throw .ours(.infrastructure("\(error)\(console)"))
        }
    }

    private func endGracefully(_ machine: Machine) {
        var late = SplatWatch()
        machine.powerOff(onConsole: { late.read($0) })
        for splat in late.splats { journal.log("\(name): while powering off: \(splat.title)") }
        self.machine = nil
    }

    // MARK: Boot failures

    private func reportBootFailure(_ error: HarnessError.Boot) throws(HarnessError) {
        switch error {
        case .ours(let error): throw error
        case .kernel(let failure, let console):
            // The kernel's fault, and the one result that there is about it.
            let result = bootResult(CaseID(suite: "boot", id: "boot"), "the kernel boots to its init", failure, console)
            tally.count(result.outcome)
            let comments = ["accelerator: \(factory.reason)"]
            try journal.tell { try $0.kernelStarted(name, suites: 1, comments: comments) }
            try journal.tell { try $0.suiteStarted("boot", cases: 1) }
            try journal.record(result)
            try journal.tell { try $0.suiteFinished("boot", tally: tally) }
            try journal.tell { try $0.kernelFinished(name, tally: tally) }
        }
    }

    private func bootResult(
        _ id: CaseID, _ title: String, _ failure: BootFailure, _ console: [String]
    ) -> CaseResult {
        var diagnostics = Diagnostics()
        diagnostics["message"] = "the kernel did not boot: \(failure)"
        diagnostics["expected"] = "hello from the guest's init"
        diagnostics["observed"] = "\(failure)"
        diagnostics["kernel"] = kernel.build.origin
        if let hint = BootHint.of(failure, kernel.build.config) { diagnostics["hint"] = hint }
        if !console.isEmpty { diagnostics["console"] = console.joined(separator: "\n") }
        return CaseResult(
            kernel: name, name: id, title: title, outcome: .failed(.boot), diagnostics: diagnostics)
    }

    // MARK: Suites

    private func run(_ selection: Selection) throws(HarnessError) {
        try journal.tell { try $0.suiteStarted(selection.suite.suite, cases: selection.cases.count) }
        var suiteTally = Tally()
        let titles = Dictionary(selection.cases.map { ($0.id, $0.title) }, uniquingKeysWith: { first, _ in first })
        var waiting = selection.cases.map(\.id)
        var order = InOrder(selection.cases.map(\.id))
        while !waiting.isEmpty {
            let before = waiting.count
            if let (failure, console) = try machineForMore() {
                for id in waiting {
                    let result = bootResult(
                        CaseID(suite: selection.suite.suite, id: id), titles[id] ?? "", failure, console)
                    suiteTally.count(result.outcome)
                    for one in order.add(result) { try journal.record(one) }
                }
                break
            }
            guard let machine else { break }
            var call = AgentRun(
                machine: machine, suite: selection.suite.suite, cases: waiting, judge: judge, options: options,
                runDeadline: deadline, log: journal.log)
            call.announce = { [name, journal] in journal.observer?.started($0, kernel: name, worker: 0) }
            let end = try call.run(agent: selection.agent) { finding throws(HarnessError) in
                waiting.removeAll { $0 == finding.id }
                let id = CaseID(suite: selection.suite.suite, id: finding.id)
                var diagnostics = finding.diagnostics
                if finding.outcome.isFailure { diagnostics["run_alone"] = alone(id, selection.agent) }
                let result = CaseResult(
                    kernel: name, name: id, title: titles[finding.id] ?? "", outcome: finding.outcome,
                    diagnostics: diagnostics, duration: finding.duration)
                suiteTally.count(result.outcome)
                for one in order.add(result) { try journal.record(one) }
            }
            if suiteTally.failed > 0, options.keepMachineOnFailure { try keep(machine) }
            if end == .spoilt || waiting.count == before {
                machine.kill()
                self.machine = nil
            }
            // Called again it would settle nothing again, for ever.
            guard waiting.count < before else {
                throw .infrastructure("\(selection.suite.suite): a call of the agent settled no case")
            }
        }
        tally.add(suiteTally)
        try journal.tell { try $0.suiteFinished(selection.suite.suite, tally: suiteTally) }
    }

    /// Sees to it that there is a machine.
    ///
    /// - Returns: how the kernel failed to boot this time: it booted before, and every machine is a new one.
    private func machineForMore() throws(HarnessError) -> (BootFailure, [String])? {
        guard machine == nil else { return nil }
        do {
            _ = try makeMachine()
            return nil
        } catch {
            switch error {
            case .ours(let error): throw error
            case .kernel(let failure, let console): return (failure, console)
            }
        }
    }

    /// The command that runs a case alone.
    private func alone(_ id: CaseID, _ agent: Agent) -> String {
        let foreign = agent.isBuiltIn ? "" : " --agent \(shellQuoted(agent.file.string))"
        let machine = options.machineWords.map { " " + shellQuoted($0) }.joined()
        return "bpftest run -k \(shellQuoted(kernel.spec))\(machine)\(foreign) \(id)"
    }

    /// Leaves the machine as it is, for a person to look at, until interrupted.
    private func keep(_ machine: Machine) throws(HarnessError) {
        guard machine.end == nil else { return }
        journal.log("the machine is kept (QEMU is process \(machine.pid)); its console follows; ^C ends it")
        for line in machine.console.tail(50) { journal.log("[console] \(line)") }
        do {
            while let event = try machine.next(until: nil) {
                switch event {
                case .console(let line): journal.log("[console] \(line)")
                case .ended(let how):
                    journal.log("QEMU ended: \(how)")
                    throw HarnessError.cancelled
                default: continue
                }
            }
        } catch {
            throw .cancelled
        }
    }
}

/// Holds back results until those of the cases before them are there.
struct InOrder {
    private var due: ArraySlice<String>
    private var held: [String: CaseResult] = [:]

    init(_ ids: [String]) {
        due = ids[...]
    }

    /// - Returns: what can be reported now, in order.
    mutating func add(_ result: CaseResult) -> [CaseResult] {
        held[result.name.id] = result
        var ready: [CaseResult] = []
        while let next = due.first, let one = held.removeValue(forKey: next) {
            ready.append(one)
            due.removeFirst()
        }
        return ready
    }
}

extension HarnessError {
    /// Why there is no machine: the kernel's fault, or ours.
    enum Boot: Error {
        case kernel(BootFailure, [String])
        case ours(HarnessError)
    }
}

/// The likely cause of a failed boot, where the config or the message tells.
enum BootHint {
    static func of(_ failure: BootFailure, _ config: KernelConfig?) -> String? {
        switch failure {
        case .noInit:
            "the guest image was not unpacked or its init cannot run: CONFIG_BLK_DEV_INITRD and CONFIG_BINFMT_ELF must be y"
        case .initFailed:
            config == nil
                ? "the kernel's config is unknown: put it beside the image (config-RELEASE or .config), so that what is "
                    + "missing can be said before booting; its modules go to lib/modules/RELEASE beside it, or --modules"
                : "modules the config has as =m must be at hand: lib/modules/RELEASE beside the image, or --modules DIR"
        case .hung: "the console's last lines say how far it came; --boot-timeout gives it longer"
        case .panicked, .ended, .wrongVersion: nil
        }
    }
}
