// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GRDB
internal import GuestProtocol
internal import Synchronization
internal import SystemPackage

/// Writes one run into the records, on a thread of its own.
final class RecordsWriter: Sendable {
    /// When to write, and how long to wait.
    struct Limits: Sendable {
        /// Results that are written at once.
        var batch = 50
        /// How old a result may get in memory.
        var delay = Duration.milliseconds(500)
        /// How long the end of a run waits for records that another process holds.
        var end = Duration.seconds(5)
        /// Events that are kept while they cannot be written.
        var backlog = 100_000
        /// Called on the writing thread after each attempt, with what went wrong.
        var attempted: @Sendable (RecordsError?) -> Void = { _ in }
    }

    enum Event: Sendable {
        case kernel(RunDescription.Kernel, accelerator: String?)
        case result(RecordedResult)
        case end(exit: Int32?, bailOut: String?, at: Date)
    }

    private struct State {
        var waiting: [Event] = []
        var hasStarted = false
        /// The run has ended: when to stop trying.
        var deadline: ContinuousClock.Instant?
        /// Nothing can be written any more.
        var hasGivenUp = false
        var complaint: String?
        /// Why the last attempt to write failed, while it may still succeed.
        var trouble: RecordsError?
    }

    private let file: RecordsFile
    private let limits: Limits
    private let description: RunDescription
    private let began = Date()
    private let state = Mutex(State())
    /// An event has come, or the end.
    private let wakeUp = DispatchSemaphore(value: 0)
    /// The end has come: no time to lose.
    private let hurry = DispatchSemaphore(value: 0)
    private let done = DispatchSemaphore(value: 0)

    init(file: RecordsFile, description: RunDescription, limits: Limits) {
        self.file = file
        self.description = description
        self.limits = limits
    }

    /// What is wrong with the records, if anything.
    var complaint: String? { state.withLock { $0.complaint } }

    func start() {
        let isFirst = state.withLock { state in
            defer { state.hasStarted = true }
            return !state.hasStarted
        }
        guard isFirst else { return }
        let thread = Thread { [self] in
            var session = RecordsSession(file: file, description: description, started: began)
            run(&session)
            session.close()
            done.signal()
        }
        thread.name = "bpftest-records"
        thread.start()
    }

    func add(_ event: Event) {
        let isWanted = state.withLock { state in
            if state.hasGivenUp { return false }
            state.waiting.append(event)
            return true
        }
        if isWanted { wakeUp.signal() }
    }

    /// Waits for the thread to write all that it was given.
    func finish() {
        // A run that ended before it began.
        start()
        state.withLock { $0.deadline = .now + limits.end }
        hurry.signal()
        wakeUp.signal()
        // The thread heeds the deadline itself; SQLite or the file system may hold it up for longer.
        guard done.wait(timeout: .now() + (limits.end + file.patience * 2) / .seconds(1)) == .timedOut else { return }
        state.withLock { state in
            state.complaint = state.complaint ?? lost(state, "the file does not answer")
        }
    }

    // MARK: The thread

    private func run(_ session: inout RecordsSession) {
        // Opened at once, so that trouble is known early and an interrupted run is seen to have begun.
        attempt([], &session)
        while true {
            let (batch, isEnd) = nextBatch()
            if !batch.isEmpty { attempt(batch, &session) }
            let (isOver, hasTrouble) = state.withLock { state in
                if state.hasGivenUp { return (true, false) }
                guard let deadline = state.deadline else { return (false, state.trouble != nil) }
                if state.waiting.isEmpty { return (true, false) }
                guard deadline < .now else { return (false, true) }
                state.complaint = state.complaint ?? lost(state, state.trouble.map { "\($0)" } ?? "no time left")
                return (true, true)
            }
            if isOver { return }
            // Nobody tells when another process lets go, or when the disk has room again.
            if hasTrouble { _ = hurry.wait(timeout: .now() + (isEnd ? 0.05 : limits.delay / .seconds(1))) }
        }
    }

    /// Waits until there is enough to write, or something old enough, or the end.
    private func nextBatch() -> (events: [Event], isEnd: Bool) {
        var oldest: ContinuousClock.Instant?
        while true {
            let (count, isEnd) = state.withLock { ($0.waiting.count, $0.deadline != nil) }
            if count > 0 { oldest = oldest ?? .now }
            let age = oldest.map { ContinuousClock.now - $0 } ?? .zero
            if isEnd || count >= limits.batch || (count > 0 && age >= limits.delay) {
                return (
                    state.withLock { state in
                        defer { state.waiting = [] }
                        return state.waiting
                    }, isEnd
                )
            }
            if oldest == nil {
                wakeUp.wait()
            } else {
                _ = wakeUp.wait(timeout: .now() + (limits.delay - age) / .seconds(1))
            }
        }
    }

    private func attempt(_ batch: [Event], _ session: inout RecordsSession) {
        var damage: String?
        do throws(RecordsError) {
            do throws(RecordsError) {
                try session.write(batch)
            } catch .damaged(let text) {
                let aside = try session.setAside()
                damage =
                    "the records in \(file.path) were damaged (\(text)): they are now "
                    + (aside.map { "\($0)" } ?? "moved aside by another bpftest") + ", and new ones begin"
                try session.write(batch)
            }
            state.withLock { state in
                state.trouble = nil
                state.complaint = state.complaint ?? damage
            }
            limits.attempted(nil)
        } catch .passing(let text) {
            putBack(batch, .passing(text))
            limits.attempted(.passing(text))
        } catch {
            giveUp([damage, "\(error)"].compactMap(\.self).joined(separator: "; "))
            limits.attempted(error)
        }
    }

    private func putBack(_ batch: [Event], _ trouble: RecordsError) {
        state.withLock { state in
            state.trouble = trouble
            state.waiting.insert(contentsOf: batch, at: 0)
            guard state.waiting.count > limits.backlog else { return }
            state.complaint = state.complaint ?? lost(state, "\(trouble)")
            state.hasGivenUp = true
            state.waiting = []
        }
    }

    private func giveUp(_ reason: String) {
        state.withLock { state in
            state.hasGivenUp = true
            state.waiting = []
            state.complaint =
                state.complaint
                ?? "this run is not recorded in \(file.path): \(reason) (BPFTEST_STATE names another place)"
        }
    }

    private func lost(_ state: State, _ reason: String) -> String {
        let results = state.waiting.count { if case .result = $0 { true } else { false } }
        return "\(results) results of this run are not recorded in \(file.path): \(reason)"
    }
}
