// SPDX-License-Identifier: Apache-2.0
internal import Harness

/// What is known of a run that goes on: no clock, no terminal.
struct ProgressBoard: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// What a worker does, and since when.
    struct Worker: Sendable {
        var activity: String
        var since: Instant
        /// When its case got a result.
        var until: Instant?
    }

    private(set) var began: Instant?
    private(set) var total = 0
    private(set) var tally = Tally()
    private var workers: [Int: Worker] = [:]
    var expectation: Expectation?
    /// How much of the expectation is done.
    private var doneWeight = 0.0
    private var lastFinish: Instant?

    mutating func planned(_ total: Int, at now: Instant) {
        began = now
        self.total = total
    }

    mutating func started(_ name: CaseID, kernel: String, worker: Int, at now: Instant) {
        workers[worker] = Worker(activity: DisplayWidth.harmless("\(kernel) \(name)"), since: now)
    }

    mutating func idle(worker: Int, doing: String?, at now: Instant) {
        workers[worker] = doing.map { Worker(activity: DisplayWidth.harmless($0), since: now) }
    }

    mutating func finished(_ result: CaseResult, worker: Int, at now: Instant) {
        tally.count(result)
        doneWeight += expectation.map { $0.of(result.kernel, result.name) } ?? 1
        lastFinish = now
        workers[worker]?.until = now
    }

    /// The workers that do something, in order.
    ///
    /// One whose case has just ended is among them: most begin the next case at once, and a line that goes and comes
    /// back ten times a second is hard on the eyes.
    func busy(at now: Instant) -> [(number: Int, worker: Worker)] {
        workers.filter { $0.value.until.map { now - $0 < .milliseconds(300) } ?? true }
            .sorted { $0.key < $1.key }.map { (number: $0.key, worker: $0.value) }
    }

    /// What the pace of the run so far promises for the rest of it; nil as long as that would be a guess.
    ///
    /// Between two results it counts down.
    func timeLeft(at now: Instant) -> Duration? {
        let whole = expectation?.total ?? Double(total)
        guard let began, let lastFinish, whole > 0, tally.total < total else { return nil }
        let spent = lastFinish - began
        let share = doneWeight / whole
        guard spent >= .seconds(2), share >= 0.01, share < 1 else { return nil }
        let left = spent * ((1 - share) / share) - (now - lastFinish)
        return left >= .seconds(1) ? left : nil
    }
}
