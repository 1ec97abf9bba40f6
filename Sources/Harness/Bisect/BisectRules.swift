// SPDX-License-Identifier: Apache-2.0

/// What a verdict on a kernel means for a search.
struct BisectRules: Sendable, Equatable {
    var goodIsOlder: Bool
    /// The bad end itself fails only sometimes: what is looked for is a failure of that kind.
    var takesSometimes = false

    /// Which of the ends a kernel is like; nil for what cannot be judged.
    ///
    /// A case that fails now and then, where the bad end fails always, is another failure or an accident: it tells
    /// nothing about the one that is looked for.
    func side(_ trial: BisectTrial) -> BisectSearch.Side? {
        switch trial.verdict {
        case .good: goodIsOlder ? .older : .newer
        case .bad where trial.failsSometimes && !takesSometimes: nil
        case .bad: goodIsOlder ? .newer : .older
        case .skipped: nil
        }
    }

    /// The verdict, for a person.
    func word(_ trial: BisectTrial) -> String {
        switch side(trial) {
        case nil: "passed over"
        case .older?, .newer?: trial.verdict == .good ? "good" : "bad"
        }
    }

    /// A search between ends that do not differ would find something, and it would be wrong.
    ///
    /// - Parameters:
    ///   - kernel: what `-k` takes.
    ///   - making: how that kernel is made; nil: `-k` finds it.
    /// - Throws: `.usage` for an end that is not as was said.
    static func check(
        _ trial: BisectTrial, isGood: Bool, _ name: String, kernel: String, making: String? = nil
    ) throws(HarnessError) {
        switch (trial.verdict, isGood) {
        case (.good, true), (.bad, false): return
        case (.skipped, _):
            throw .usage("\(name) was given as \(isGood ? "good" : "bad"), but it cannot be judged: \(trial.summary)")
        case (.bad, true):
            let lines = (trial.failures(on: kernel) + (making.map { [$0] } ?? [])).joined(separator: "\n")
            let how = trial.failsSometimes ? "it fails sometimes" : "it is bad"
            throw .usage("\(name) was given as good, but \(how): \(trial.summary)\n\(lines)")
        case (.good, false):
            throw .usage(
                "\(name) was given as bad, but it is good: \(trial.summary) (where it fails only sometimes, --repeat N "
                    + "tries it N times)")
        }
    }

    /// What to know of a search for a failure that comes only sometimes; nil where the bad end fails always.
    var remark: String? {
        takesSometimes
            ? "the bad end fails only sometimes: a kernel on which the cases pass may be bad all the same; --repeat N "
                + "tries each kernel N times"
            : nil
    }
}
