// SPDX-License-Identifier: Apache-2.0

/// Hands out work to the workers: first what a kernel's machines are made from, then unit by unit.
final class Schedule: Sendable {
    enum Job: Sendable {
        /// Boot the kernel and make its machines' source.
        case makeSource(kernel: Int)
        case run(WorkUnit, MachineSource)

        var kernel: Int {
            switch self {
            case .makeSource(let kernel): kernel
            case .run(let unit, _): unit.kernel
            }
        }
    }

    /// How often everything is run.
    enum Rounds: Sendable {
        case fixed(Int)
        /// Until a case fails; never more than the limit, and no new round when the time is over.
        case untilFailure(limit: Int?, deadline: ContinuousClock.Instant?)
    }

    private enum Kernel {
        /// On its way.
        case awaited
        case unmade
        case making
        case ready(MachineSource)
        case broken
        /// Nothing of it is left to do.
        case done
    }

    private struct State {
        var kernels: [Kernel]
        var waiting: [WorkUnit]
        var urgent: [WorkUnit] = []
        /// Jobs handed out and not over, kernel by kernel: they may bring more.
        var underWay: [Int]
        var round = 0
        var failed = false
        var stopped = false
    }

    private let plan: Plan
    private let rounds: Rounds
    /// Kernels whose machines are kept at hand at a time.
    private let atOnce: Int
    private let state: Monitor<State>

    /// - Parameter atOnce: kernels that are worked on at a time: each needs memory for its frozen machines.
    init(_ plan: Plan, _ rounds: Rounds, atOnce: Int = .max) {
        self.plan = plan
        self.rounds = rounds
        self.atOnce = atOnce
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
                kernels: Array(repeating: .awaited, count: plan.kernels), waiting: Self.sorted(waiting),
                underWay: Array(repeating: 0, count: plan.kernels), round: round))
    }

    /// Kernel by kernel, as they are reported; of each the longest expected first, so that no long unit is left for the
    /// end; what takes about as long keeps its order, so that results can be reported early.
    private static func sorted(_ units: [WorkUnit]) -> [WorkUnit] {
        // Powers of two from 2 s on.
        let size = { (unit: WorkUnit) in 64 - max(unit.expected.components.seconds / 2, 0).leadingZeroBitCount }
        return units.enumerated()
            .sorted { left, right in
                (left.element.kernel, size(right.element), left.offset)
                    < (right.element.kernel, size(left.element), right.offset)
            }
            .map(\.element)
    }

    /// The next job; nil when there is nothing left and nothing more can come.
    func next() -> Job? {
        state.wait { state -> Job?? in
            if state.stopped { return .some(nil) }
            if let job = take(&state) { return .some(job) }
            let isComing = state.waiting.contains {
                if case .awaited = state.kernels[$0.kernel] { true } else { false }
            }
            guard !isComing, state.underWay.allSatisfy({ $0 == 0 }) else { return nil }
            guard let more = anotherRound(&state) else { return .some(nil) }
            state.waiting = more
            return .some(take(&state))
        }
    }

    private func take(_ state: inout State) -> Job? {
        guard let job = choose(&state) else { return nil }
        state.underWay[job.kernel] += 1
        return job
    }

    private func choose(_ state: inout State) -> Job? {
        if let unit = state.urgent.first, case .ready(let source) = state.kernels[unit.kernel] {
            state.urgent.removeFirst()
            return .run(unit, source)
        }
        // A kernel that is not there yet comes before the rest of another's work: that can be done beside it.
        let open = Set(state.waiting.lazy.map(\.kernel)).filter { kernel in
            switch state.kernels[kernel] {
            case .making, .ready: true
            case .awaited, .unmade, .broken, .done: false
            }
        }
        if open.count < atOnce {
            let unmade = state.waiting.first { if case .unmade = state.kernels[$0.kernel] { true } else { false } }
            if let kernel = unmade?.kernel {
                state.kernels[kernel] = .making
                return .makeSource(kernel: kernel)
            }
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
    ///
    /// - Returns: its kernel, if nothing of that is left to do.
    func finished(_ job: Job) -> Int? {
        state.change { state in
            let kernel = job.kernel
            state.underWay[kernel] -= 1
            guard case .fixed = rounds, state.underWay[kernel] == 0,
                !state.waiting.contains(where: { $0.kernel == kernel }),
                !state.urgent.contains(where: { $0.kernel == kernel })
            else { return nil }
            if case .ready = state.kernels[kernel] { state.kernels[kernel] = .done }
            return kernel
        }
    }

    /// A kernel is there: its machines can be made.
    func arrived(kernel: Int) {
        state.change { state in
            guard case .awaited = state.kernels[kernel] else { return }
            state.kernels[kernel] = .unmade
            // What is known of its cases' times could not be asked before.
            for index in state.waiting.indices where state.waiting[index].kernel == kernel {
                state.waiting[index].expected = plan.expected(state.waiting[index])
            }
            state.waiting = Self.sorted(state.waiting)
        }
    }

    /// - Parameter source: nil when the kernel does not boot, or could not be had: nothing of it is run.
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
