// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import GuestProtocol
internal import LinuxIO
internal import VMRunner

/// One job in one machine, followed to whatever end it comes to. The guest is hostile: nothing that it does is an error
/// of ours.
struct JobSession {
    enum End {
        case finished(JobEnd)
        /// The guest could not start it.
        case refused(errno: UInt32, reason: String)
        /// The time was over; `hasEnded`: the job had ended, and its output did not all come.
        case late(hasEnded: Bool)
        case violation(String)
        /// The guest's kernel ended the machine, by a panic or on somebody's request.
        case down
        /// QEMU is gone by itself.
        case lost(ProcessEnd)
        /// The whole run's time is over.
        case runOver
    }

    let machine: Machine
    /// Gets guest's own remarks.
    let log: (String) -> Void
    var splats = ConsoleReader()
    /// QEMU does not end with the guest: the machine is paused then.
    var keepsMachine = false

    init(machine: Machine, log: @escaping (String) -> Void) {
        self.machine = machine
        self.log = log
    }

    /// Starts the job and passes on what it writes.
    ///
    /// - Parameters:
    ///   - limit: asked before each wait: when the job is late.
    ///   - onConsole: the kernel's console, line by line, always before output that came after it.
    ///   - onOutput: what the job writes; what it throws ends the session.
    /// - Throws: trouble of ours: cancelled, QEMU not able to restore the machine, what `onOutput` throws.
    mutating func run(
        _ job: Job, limit: () -> ContinuousClock.Instant?, runDeadline: ContinuousClock.Instant? = nil,
        onConsole: (String) -> Void = { _ in },
        onOutput: (Machine.Stream, ArraySlice<UInt8>) throws(HarnessError) -> Void
    ) throws(HarnessError) -> End {
        machine.send(.run(job))
        defer { machine.stopFeeding() }
        var ended: JobEnd?
        var end = ContinuousClock.now
        var seen: (output: UInt64, error: UInt64) = (0, 0)
        var guestAsked = false
        var isDown = false
        while true {
            if let ended, seen.output >= ended.outputBytes, seen.error >= ended.errorBytes { return .finished(ended) }
            // What has been written before the end is in the ports by then.
            let deadline = isDown ? end + .seconds(1) : ended == nil ? limit() : end + .seconds(10)
            let event: Machine.Event?
            do {
                event = try machine.next(until: [deadline, runDeadline].compactMap { $0 }.min())
            } catch .cancelled {
                throw .cancelled
            } catch .violation(let what) {
                return .violation(what)
            } catch {
                throw .infrastructure("\(error)")
            }
            guard let event else {
                if !machine.runs { throw AgentRun.notRestored("not done in the time that the job has") }
                if isDown { return .down }
                if let runDeadline, runDeadline <= .now { return .runOver }
                return .late(hasEnded: ended != nil)
            }
            switch event {
            case .console(let line):
                splats.read(line)
                onConsole(line)
            case .job(.output, let bytes):
                seen.output += UInt64(bytes.count)
                try onOutput(.output, bytes)
            case .job(.error, let bytes):
                seen.error += UInt64(bytes.count)
                try onOutput(.error, bytes)
            case .message(.exited(let how)) where how.id == job.id:
                ended = how
                end = .now
                machine.stopFeeding()
            case .message(.refused(_, let errno, let reason)): return .refused(errno: errno, reason: reason)
            case .message(.log(let text)): log(text)
            case .message: continue
            case .monitor(.failure(_, let what)) where !machine.runs: throw AgentRun.notRestored(what)
            case .monitor(.event("SHUTDOWN", let reason)):
                guestAsked = reason?.hasPrefix("guest") ?? false
                if keepsMachine, guestAsked {
                    isDown = true
                    end = .now
                }
            case .monitor: continue
            case .ended(let how): return guestAsked || !splats.complaints.isEmpty ? .down : .lost(how)
            }
        }
    }
}

/// The end of a stream of bytes.
struct OutputTail {
    private static let limit = 4096
    private var bytes: [UInt8] = []
    private var isCut = false

    mutating func append(_ more: ArraySlice<UInt8>) {
        bytes += more.suffix(Self.limit)
        isCut = isCut || more.count > Self.limit || bytes.count > Self.limit
        if bytes.count > 2 * Self.limit { bytes.removeFirst(bytes.count - Self.limit) }
    }

    /// nil where nothing came.
    var text: String? {
        if bytes.isEmpty { return nil }
        return (isCut ? "…" : "") + String(decoding: bytes.suffix(Self.limit), as: UTF8.self)
    }
}
