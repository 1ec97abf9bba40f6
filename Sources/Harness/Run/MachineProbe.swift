// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import VMRunner

/// Single machines of a kernel outside of a run: for measuring what one costs.
public final class MachineProbe {
    private let runner: Runner
    private let kernel: PreparedKernel
    private let source: MachineSource
    private let judge: Judge

    /// Finds or makes what the machines come from; with `RunOptions.usesZygotes` off, each is booted.
    public init(
        _ runner: Runner, kernel: PreparedKernel, agents: [Agent], work: WorkFolder,
        log: @escaping @Sendable (String) -> Void
    ) throws(HarnessError) {
        self.runner = runner
        self.kernel = kernel
        judge = Judge(version: kernel.build.version, config: kernel.build.config)
        let factory = try runner.factory(kernel, agents, work, log)
        do {
            source = try factory.source()
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    /// A machine in which cases have been run.
    public struct Run {
        /// Still there, until it is killed or let go of.
        public let machine: Machine
        /// From starting QEMU to the outcome of the first case.
        public let untilFirstResult: Duration
        /// The cases with their outcomes, as they came.
        public let outcomes: [(id: String, outcome: Outcome)]
    }

    /// Starts a machine and runs cases in it.
    ///
    /// - Throws: `.infrastructure` when the machine does not start or no case has a result.
    public func run(_ selection: Selection) throws(HarnessError) -> Run {
        let start = ContinuousClock.now
        let machine: Machine
        do {
            machine = try source.machine()
        } catch {
            throw .infrastructure("\(error)")
        }
        var call = AgentRun(
            machine: machine, suite: selection.suite.suite, cases: selection.cases.map(\.id), judge: judge,
            options: runner.options, runDeadline: nil, log: { _ in },
            scene: CrashScene(options: CrashOptions(), kernel: ""))
        var first: Duration?
        var outcomes: [(id: String, outcome: Outcome)] = []
        _ = try call.run(agent: selection.agent, isLast: true) { finding throws(HarnessError) in
            if first == nil { first = .now - start }
            outcomes.append((finding.id, finding.outcome))
        }
        guard let first else { throw .infrastructure("no result of \(selection.suite.suite)") }
        return Run(machine: machine, untilFirstResult: first, outcomes: outcomes)
    }
}
