// SPDX-License-Identifier: Apache-2.0
internal import TAP
internal import VMRunner

extension Worker {
    /// Runs a user's program, the only case of its suite, in a machine that has its files.
    func run(
        _ program: ProgramCall, _ unit: WorkUnit, _ index: Int, _ id: String, _ machine: Machine,
        report: (Attempt) throws(HarnessError) -> Void
    ) throws(HarnessError) -> AgentRun.End {
        let selection = context.selections[index]
        let suite = selection.suite.suite
        let kernel = context.name(unit.kernel)
        let send = context.send
        send(.started(CaseID(suite: suite, id: id), kernel: unit.kernel, worker: number))
        var run = ProgramRun(
            machine: machine, judge: judge(unit.kernel), options: context.options, runDeadline: context.deadline,
            log: { send(.log($0)) }, scene: scene(kernel))
        let name = CaseID(suite: suite, id: id)
        let found = try run.run(program, job: AgentRun.nextJob.next(), name: name, title: selection.suite.title)
        let command = alone(selection, id, unit.kernel)
        let result = { (point: ProgramPoint) in
            var diagnostics = point.diagnostics
            if point.outcome.isFailure { diagnostics["run_alone"] = command }
            return CaseResult(
                kernel: kernel, name: CaseID(suite: suite, id: point.id), title: point.title, outcome: point.outcome,
                diagnostics: diagnostics, duration: point.duration)
        }
        try report(
            Attempt(
                kernel: unit.kernel, selection: index, round: unit.round, result: result(found.whole),
                parts: found.points.map(result)))
        return found.isClean ? .clean : .spoilt
    }
}
