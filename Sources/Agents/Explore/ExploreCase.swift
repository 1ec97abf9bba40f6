// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Exploration
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// A case that explores, or runs a script again.
struct ExploreCase<Tested: System, Source: StepSource, Letters: Alphabet>
where Source.Subject == Tested.Subject, Letters.Subject == Tested.Subject {
    let subject: String
    let target: String
    let system: Tested
    /// What a run of the suites takes.
    var seeds: [UInt64] = [1]
    var count = 4000

    func run(_ test: Test) throws {
        guard let request = try ExploreRequest.read() else {
            for seed in seeds { try explore(test, seed, count) }
            return
        }
        if let text = request.script {
            try replay(test, try Script(text))
        } else if let length = request.length {
            try exhaust(test, length, request.range)
        } else {
            try explore(test, request.seed, request.count)
        }
    }

    private func exhaust(_ test: Test, _ length: Int, _ range: Range<Int>) throws {
        let start = ContinuousClock.now
        var told = start
        let explorer = Explorer(system) { number in
            guard .now - told > .seconds(10) else { return }
            told = .now
            test.log("\(target): came to \(number); --from \(number) goes on from there")
        }
        let result = try explorer.exhaust(Letters.self, length: length, range: range)
        test.log(
            "\(target): \(Letters.steps.count) different calls, sequences up to length \(length): "
                + "\(result.states) states, \(result.pairs) pairs of state and call, \(result.tried) tried in "
                + "\(result.steps) operations, \(Self.rate(result.steps, .now - start)) a second")
        if let divergence = result.divergence { report(test, divergence, nil) }
    }

    private func explore(_ test: Test, _ seed: UInt64, _ count: Int) throws {
        let start = ContinuousClock.now
        var told = start
        let explorer = Explorer(system) { steps in
            guard .now - told > .seconds(10) else { return }
            told = .now
            test.log("\(target): \(steps) of \(count) operations, \(Self.rate(steps, .now - start)) a second")
        }
        let outcome = try explorer.explore(Source.self, seed: seed, count: count)
        test.log(
            "\(target): seed \(seed), \(outcome.steps) operations, \(outcome.succeeded) of them successful, "
                + "\(Self.rate(outcome.steps, .now - start)) a second")
        if let divergence = outcome.divergence { report(test, divergence, seed) }
    }

    private func replay(_ test: Test, _ script: Script) throws {
        let steps: [Tested.Subject.Step] = try script.steps()
        let divergence = try Explorer(system).replay(steps)
        test.log("\(target): \(divergence?.steps.count ?? steps.count) of \(steps.count) steps taken")
        if let divergence { report(test, divergence, script.seed) }
    }

    private func report(_ test: Test, _ divergence: Divergence<Tested.Subject.Step>, _ seed: UInt64?) {
        let script = Script(
            subject: subject, target: target, kernel: kernelRelease(), seed: seed,
            steps: divergence.steps.map(\.description))
        let remarks = [
            "After the last step (\(divergence.originalCount) before it was shrunk):",
            "kernel: \(divergence.observed)", "model:  \(divergence.expected)",
        ]
        test.note("script", script.text(remarks: remarks))
        test.fail(
            "kernel and model say the same after each of these steps: "
                + divergence.steps.map(\.description).joined(separator: "; "),
            expected: divergence.expected, observed: divergence.observed)
    }

    private static func rate(_ steps: Int, _ time: Duration) -> Int {
        let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
        return seconds > 0 ? Int(Double(steps) / seconds) : 0
    }

    private func kernelRelease() -> String {
        var names = utsname()
        guard unsafe uname(&names) == 0 else { return "?" }
        return unsafe withUnsafeBytes(of: &names.release) { raw in
            unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
