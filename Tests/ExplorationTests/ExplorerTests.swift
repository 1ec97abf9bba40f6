// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Exploration

/// A counter that is added to and cleared.
enum CounterStep: ScriptStep {
    case add(Int)
    case clear

    var description: String {
        switch self {
        case .add(let number): "add \(number)"
        case .clear: "clear"
        }
    }

    init(text: String) throws(ScriptError) {
        let words = text.split(separator: " ")
        if words == ["clear"] {
            self = .clear
        } else if words.count == 2, words[0] == "add", let number = Int(words[1]) {
            self = .add(number)
        } else {
            throw ScriptError("unknown operation \(words.first ?? "")")
        }
    }

    init(_ number: Int) { self = .add(number) }

    var simpler: [CounterStep] {
        if case .add(let number) = self, number > 1 { [.add(1)] } else { [] }
    }
}

struct CounterModel: Model, Equatable {
    var total = 0

    mutating func apply(_ step: CounterStep) -> Answer {
        switch step {
        case .add(let number): total += number
        case .clear: total = 0
        }
        return .success
    }

    func view(after step: CounterStep, _ depth: Depth) -> String { "\(total)" }
}

struct CounterSource: StepSource {
    mutating func next(_ model: CounterModel, _ random: inout RandomSource) -> CounterStep {
        random.chance(10) ? .clear : .add(1 + random.below(9))
    }
}

/// Forgets a step of nine that comes, at whatever distance, after three of seven since the last clearing.
final class FaultyCounter: System {
    typealias Subject = CounterModel
    var total = 0
    var sevens = 0
    var resets = 0
    var isFaulty = true
    var leak: String?

    func reset() {
        total = 0
        sevens = 0
        resets += 1
    }

    func apply(_ step: CounterStep) -> Answer {
        switch step {
        case .add(9) where sevens >= 3 && isFaulty: break
        case .add(let number):
            total += number
            if number == 7 { sevens += 1 }
        case .clear: (total, sevens) = (0, 0)
        }
        return .success
    }

    func view(after step: CounterStep, _ depth: Depth) -> String { "\(total)" }
    func leftOver() -> String? { leak }
}

@Suite("The engine of explorations")
struct ExplorerTests {
    @Test("a divergence is found and shrunk to the steps that it takes, in their order")
    func shrinks() throws {
        let outcome = try Explorer(FaultyCounter()).explore(CounterSource.self, seed: 3, count: 100_000)
        let found = try #require(outcome.divergence)
        #expect(found.steps == [.add(7), .add(7), .add(7), .add(9)])
        #expect(found.observed == "0; 21")
        #expect(found.expected == "0; 30")
        #expect(found.originalCount >= 4)
    }

    @Test("the script of a divergence diverges when it is run again, and a system without the fault agrees")
    func replays() throws {
        let steps: [CounterStep] = [.add(7), .add(1), .add(7), .add(7), .add(9), .clear]
        let found = try #require(try Explorer(FaultyCounter()).replay(steps))
        #expect(found.steps == Array(steps.prefix(5)))
        let healthy = FaultyCounter()
        healthy.isFaulty = false
        #expect(try Explorer(healthy).replay(steps) == nil)
    }

    @Test("the same seed takes the same steps")
    func isDeterministic() throws {
        func steps(_ seed: UInt64) -> [CounterStep] {
            var random = RandomSource(seed: seed)
            var source = CounterSource()
            return (0..<200).map { _ in source.next(CounterModel(), &random) }
        }
        #expect(steps(5) == steps(5))
        #expect(steps(5) != steps(6))
    }

    @Test("agreement is counted, and every episode begins with a fresh state")
    func counts() throws {
        let healthy = FaultyCounter()
        healthy.isFaulty = false
        var told: [Int] = []
        let outcome = try Explorer(healthy) { told.append($0) }.explore(CounterSource.self, seed: 1, count: 5000)
        #expect(outcome.divergence == nil)
        #expect(outcome.steps == 5000)
        #expect(outcome.succeeded == 5000)
        #expect(healthy.resets == 3)
        #expect(!told.isEmpty)
    }

    @Test("what a system keeps at the end is a divergence")
    func leaks() throws {
        let leaking = FaultyCounter()
        leaking.isFaulty = false
        leaking.leak = "something is left"
        let found = try #require(
            try Explorer(leaking).explore(CounterSource.self, seed: 1, count: 100).divergence)
        #expect(found.observed == "something is left")
        #expect(found.steps.count == 1)
    }

    @Test("a divergence that shows only at the pace of the exploration is kept as it was found")
    func keepsWhatDoesNotReplay() throws {
        let healthy = FaultyCounter()
        healthy.isFaulty = false
        let found = Divergence(steps: [CounterStep.add(1)], observed: "a", expected: "b", originalCount: 1)
        #expect(try Explorer(healthy).shrink(found).observed == "a")
    }
}

@Suite("Scripts")
struct ScriptTests {
    @Test("what is written can be read, remarks and all")
    func roundTrip() throws {
        let script = Script(
            subject: "mprog", target: "tcx", kernel: "6.12.1", seed: 42, steps: ["attach A.ingress P1", "close L1"])
        let again = try Script(script.text(remarks: ["kernel: 0", "two\nlines"]))
        #expect(again.subject == "mprog")
        #expect(again.target == "tcx")
        #expect(again.kernel == "6.12.1")
        #expect(again.seed == 42)
        #expect(try again.steps(as: MprogStep.self).map(\.description) == ["attach A.ingress P1", "close L1"])
    }

    @Test(
        "a broken script is refused, with the reason",
        arguments: [
            ("", "begins with"), ("subject: mprog\ntarget: tcx\n", "no steps"),
            ("subject: mprog\ntarget: tcx\nfly L1\n", "line 3: unknown operation fly"),
            ("colour: red\n", "line 1: unknown key colour"),
            ("subject: mprog\ntarget: tcx\nseed: x\nclose L1\n", "no number"),
            ("subject: mprog\ntarget: tcx\nclose L99\n", "line 3: L99 is no link"),
            ("subject: mprog\ntarget: tcx\nattach A.ingress P1 flags BEFOR\n", "unknown flag BEFOR"),
            ("subject: mprog\ntarget: tcx\nattach A.ingress P1 extra\n", "unknown word extra"),
            ("subject: mprog\ntarget: tcx\nclose L1 L2\n", "L2 was not expected"),
            ("subject: mprog\ntarget: moon\nclose L1\n", "mprog has no target moon"),
            ("subject: cheese\ntarget: tcx\nclose L1\n", "nothing to explore that is called cheese"),
        ])
    func refuses(_ text: String, _ reason: String) {
        let error = #expect(throws: ScriptError.self) {
            try Explorations.check(try Script(text))
        }
        #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }
}
