// SPDX-License-Identifier: Apache-2.0

/// One call of a script, in words that can be read back.
public protocol ScriptStep: Sendable, Equatable, CustomStringConvertible {
    /// Reads what `description` wrote, on one line.
    init(text: String) throws(ScriptError)
    /// The same call with less in it; tried when a script is shrunk.
    var simpler: [Self] { get }
}

extension ScriptStep {
    public var simpler: [Self] { [] }
}

/// How much of the state is looked at after a step.
public enum Depth: Sendable {
    /// What the step was about.
    case near
    /// Everything that can be asked for.
    case far
    /// Also what only shows when something runs.
    case deep
}

/// What the kernel is to do, as a value: written from the specification, without any input or output.
public protocol Model {
    associatedtype Step: ScriptStep
    /// State as it can be seen from outside, in full or in part.
    associatedtype View: Equatable & CustomStringConvertible

    init()
    /// The step with numbers in the place of words like "the right revision", which only the model knows.
    func concrete(_ step: Step) -> Step
    /// - Parameter step: concrete.
    mutating func apply(_ step: Step) -> Answer
    func view(after step: Step, _ depth: Depth) -> View
    /// Whether everything is to be looked at after this step.
    func isDrastic(_ step: Step) -> Bool
}

extension Model {
    public func concrete(_ step: Step) -> Step { step }
    public func isDrastic(_ step: Step) -> Bool { false }
}

/// Makes up steps; what it knows of the model makes good ones likely.
public protocol StepSource {
    associatedtype Subject: Model
    init()
    mutating func next(_ model: Subject, _ random: inout RandomSource) -> Subject.Step
}

/// What is to behave as the model does.
public protocol System {
    associatedtype Subject: Model
    /// A new model of what this system is after `reset`: systems of one kind may differ.
    var fresh: Subject { get }
    /// Goes back to the state that a new model has.
    func reset() throws
    func apply(_ step: Subject.Step) throws -> Answer
    func view(after step: Subject.Step, _ depth: Depth) throws -> Subject.View
    /// Lets go of everything.
    ///
    /// - Returns: what is left all the same, in words; nil: nothing, as it should be.
    func leftOver() throws -> String?
}

extension System {
    public var fresh: Subject { Subject() }
}

/// The first step after which the two did not say the same.
public struct Divergence<Step: ScriptStep>: Sendable {
    /// From a fresh state; the last one is where they part.
    public var steps: [Step]
    /// What the system said and showed.
    public var observed: String
    /// What the model did.
    public var expected: String
    /// Steps before it was shrunk.
    public var originalCount: Int
}

/// Runs a system and its model side by side.
public struct Explorer<Tested: System> {
    public typealias Subject = Tested.Subject
    public typealias Step = Subject.Step

    private let system: Tested
    /// Told now and then how many steps have been taken.
    private let progress: (Int) -> Void
    /// Steps between two looks at everything.
    public var farEvery = 16
    public var deepEvery = 64
    /// Steps from one fresh state to the next.
    public var episode = 2000
    /// Steps that shrinking may take.
    public var shrinkingBudget = 60_000

    public init(_ system: Tested, progress: @escaping (Int) -> Void = { _ in }) {
        self.system = system
        self.progress = progress
    }

    var fresh: Subject { system.fresh }

    func begin() throws { try system.reset() }

    func report(_ steps: Int) { progress(steps) }

    /// What became of random steps.
    public struct Outcome {
        public var steps: Int
        /// How many of them succeeded: a measure of how far they get.
        public var succeeded: Int
        public var divergence: Divergence<Step>?
    }

    /// Takes random steps until one diverges, which is shrunk.
    public func explore<Source: StepSource>(
        _ kind: Source.Type, seed: UInt64, count: Int
    ) throws -> Outcome where Source.Subject == Subject {
        var random = RandomSource(seed: seed)
        var outcome = Outcome(steps: 0, succeeded: 0)
        while outcome.steps < count {
            var source = Source()
            var model = system.fresh
            try system.reset()
            var taken: [Step] = []
            let length = min(episode, count - outcome.steps)
            taken.reserveCapacity(length)
            for number in 1...length {
                let step = source.next(model, &random)
                taken.append(step)
                let concrete = model.concrete(step)
                var depth = Depth.near
                if number % farEvery == 0 { depth = .far }
                if number % deepEvery == 0 || number == length || model.isDrastic(concrete) { depth = .deep }
                outcome.steps += 1
                let (answer, difference) = try take(concrete, &model, depth)
                if answer == .none { outcome.succeeded += 1 }
                if let difference {
                    outcome.divergence = try shrink(
                        Divergence(
                            steps: taken, observed: difference.observed, expected: difference.expected,
                            originalCount: taken.count))
                    return outcome
                }
                if outcome.steps % 1024 == 0 { progress(outcome.steps) }
            }
            if let divergence = try leak(taken) {
                outcome.divergence = try shrink(divergence)
                return outcome
            }
        }
        return outcome
    }

    /// Takes the steps of a script, looking at everything after each.
    ///
    /// - Returns: nil where system and model agree to the end.
    public func replay(_ steps: [Step]) throws -> Divergence<Step>? {
        var model = system.fresh
        try system.reset()
        for (index, step) in steps.enumerated() {
            let (_, difference) = try take(model.concrete(step), &model, .deep)
            if let difference {
                return Divergence(
                    steps: Array(steps[...index]), observed: difference.observed, expected: difference.expected,
                    originalCount: steps.count)
            }
        }
        return try leak(steps)
    }

    /// What the system keeps when all is over.
    func leak(_ steps: [Step]) throws -> Divergence<Step>? {
        try system.leftOver().map { what in
            Divergence(steps: steps, observed: what, expected: "nothing is left", originalCount: steps.count)
        }
    }

    typealias Difference = (observed: String, expected: String)

    /// One step of both; what differs is put in words.
    func take(
        _ step: Step, _ model: inout Subject, _ depth: Depth
    ) throws -> (ErrorNumber, Difference?) {
        let expected = model.apply(step)
        let observed = try system.apply(step)
        let shown = model.view(after: step, depth)
        let seen = try system.view(after: step, depth)
        if expected == observed, shown == seen { return (observed.errno, nil) }
        return (observed.errno, ("\(observed); \(seen)", "\(expected); \(shown)"))
    }

    // MARK: Shrinking

    /// Leaves out and simplifies steps as long as the two still part, each time from a fresh state.
    ///
    /// - Source: Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", 2002 (ddmin).
    public func shrink(_ found: Divergence<Step>) throws -> Divergence<Step> {
        var budget = shrinkingBudget
        // Looking at everything after each step may show it sooner; not showing it at all means that it needs the
        // pace of the exploration, and the script is kept as it is.
        guard var best = try attempt(found.steps, &budget) else { return found }
        var chunk = max(1, best.steps.count / 2)
        while budget > 0 {
            var shorter = false
            var start = 0
            while start < best.steps.count, budget > 0 {
                var fewer = best.steps
                fewer.removeSubrange(start..<min(start + chunk, fewer.count))
                if !fewer.isEmpty, let still = try attempt(fewer, &budget) {
                    best = still
                    shorter = true
                } else {
                    start += chunk
                }
            }
            if chunk > 1 {
                chunk = max(1, min(chunk / 2, best.steps.count / 2))
            } else if !shorter {
                guard try simplify(&best, &budget) else { break }
            }
        }
        best.originalCount = found.originalCount
        return best
    }

    private func attempt(_ steps: [Step], _ budget: inout Int) throws -> Divergence<Step>? {
        budget -= steps.count
        return try replay(steps)
    }

    /// - Returns: whether a step became simpler.
    private func simplify(_ best: inout Divergence<Step>, _ budget: inout Int) throws -> Bool {
        for index in best.steps.indices {
            for simpler in best.steps[index].simpler where budget > 0 {
                var steps = best.steps
                steps[index] = simpler
                if let still = try attempt(steps, &budget) {
                    best = still
                    return true
                }
            }
        }
        return false
    }
}
