// SPDX-License-Identifier: Apache-2.0

/// Hands out work to the workers: first what a kernel's machines are made from, then unit by unit.
final class Schedule: Sendable {
    enum Job: Sendable {
        /// Boot the kernel and make its machines' source.
        case makeSource(kernel: Int)
        case run(WorkUnit, MachineSource)
    }

    /// How often everything is run.
    enum Rounds: Sendable {
        case fixed(Int)
        /// Until a case fails; never more than the limit, and no new round when the time is over.
        case untilFailure(limit: Int?, deadline: ContinuousClock.Instant?)
    }

    private enum Kernel {
        case unmade
        case making
        case ready(MachineSource)
        case broken
    }

    private struct State {
        var kernels: [Kernel]
        var waiting: [WorkUnit]
        var urgent: [WorkUnit] = []
        /// Jobs handed out and not over: they may bring more.
        var underWay = 0
        var round = 0
        var failed = false
        var stopped = false
    }

    private let plan: Plan
    private let rounds: Rounds
    private let state: Monitor<State>

    init(_ plan: Plan, _ rounds: Rounds) {
        self.plan = plan
        self.rounds = rounds
        var waiting: [WorkUnit] = []
        var round = 0
        if case .fixed(let count) = rounds {
            for number in 0..<count { waiting += plan.units(round: number) }
            round = count - 1
        } else {
            waiting = plan.units(round: 0)
        }
        state = Monitor(
            State(
                kernels: Array(repeating: .unmade, count: plan.kernels), waiting: Self.sorted(waiting), round: round))
    }

    /// Longest expected first, so that no long unit is left for the end; what takes about as long keeps its order, so
    /// that results can be reported early.
    private static func sorted(_ units: [WorkUnit]) -> [WorkUnit] {
        // Powers of two from 2 s on.
        let size = { (unit: WorkUnit) in 64 - max(unit.expected.components.seconds / 2, 0).leadingZeroBitCount }
        return units.enumerated().sorted { (size($1.element), $0.offset) < (size($0.element), $1.offset) }
            .map(\.element)
    }

    /// The next job; nil when there is nothing left and nothing more can come.
    func next() -> Job? {
        state.wait { state -> Job?? in
            if state.stopped { return .some(nil) }
            if let job = Self.take(&state) {
                state.underWay += 1
                return .some(job)
            }
            guard state.underWay == 0 else { return nil }
            guard let more = anotherRound(&state) else { return .some(nil) }
            state.waiting = more
            guard let job = Self.take(&state) else { return .some(nil) }
            state.underWay += 1
            return .some(job)
        }
    }

    private static func take(_ state: inout State) -> Job? {
        if let unit = state.urgent.first, case .ready(let source) = state.kernels[unit.kernel] {
            state.urgent.removeFirst()
            return .run(unit, source)
        }
        // A kernel that is not there yet comes before the rest of another's work: that can be done beside it.
        if let kernel = state.kernels.firstIndex(where: { if case .unmade = $0 { true } else { false } }),
            state.waiting.contains(where: { $0.kernel == kernel })
        {
            state.kernels[kernel] = .making
            return .makeSource(kernel: kernel)
        }
        for (index, unit) in state.waiting.enumerated() {
            guard case .ready(let source) = state.kernels[unit.kernel] else { continue }
            state.waiting.remove(at: index)
            return .run(unit, source)
        }
        return nil
    }

    private func anotherRound(_ state: inout State) -> [WorkUnit]? {
        guard case .untilFailure(let limit, let deadline) = rounds, !state.failed else { return nil }
        guard state.round + 1 < limit ?? .max, deadline.map({ $0 > .now }) ?? true else { return nil }
        state.round += 1
        return Self.sorted(plan.units(round: state.round))
    }

    /// Rounds begun so far.
    var roundsBegun: Int { state.change { $0.round + 1 } }

    /// A job is over, whatever became of it.
    func finished() {
        state.change { $0.underWay -= 1 }
    }

    /// - Parameter source: nil when the kernel does not boot: nothing of it is run.
    func made(_ source: MachineSource?, kernel: Int) {
        state.change { state in
            state.kernels[kernel] = source.map { .ready($0) } ?? .broken
            if source == nil { state.waiting.removeAll { $0.kernel == kernel } }
        }
    }

    /// Work that goes before all other.
    func add(urgent unit: WorkUnit) {
        state.change { $0.urgent.append(unit) }
    }

    /// A case has failed for good.
    func sawFailure() {
        state.change { $0.failed = true }
    }

    /// No more jobs.
    func stop() {
        state.change { $0.stopped = true }
    }
}
