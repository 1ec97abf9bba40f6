// SPDX-License-Identifier: Apache-2.0
internal import Glibc
public import GuestProtocol
internal import LinuxIO
internal import SystemPackage

extension Machine {
    /// Starts a program in advance and waits until it is ready.
    ///
    /// - Returns: false when the program does not know how to be prepared, does not come to an end of it or ends.
    /// - Throws: when the machine or the protocol breaks.
    public func prepare(_ job: Job, limit: Duration = .seconds(20)) throws(MachineError) -> Bool {
        let deadline = ContinuousClock.now + limit
        send(.prepare(job))
        while true {
            guard let event = try next(until: deadline) else {
                // Its end comes as a refusal.
                send(.kill(id: job.id, signal: UInt8(SIGKILL)))
                return try answer(until: .now + .seconds(10)) == .prepared(id: job.id)
            }
            if let answer = try preparation(event) { return answer == .prepared(id: job.id) }
        }
    }

    private func answer(until deadline: ContinuousClock.Instant) throws(MachineError) -> GuestMessage? {
        while let event = try next(until: deadline) {
            if let answer = try preparation(event) { return answer }
        }
        throw .timedOut("the guest does not answer", console: console.tail())
    }

    /// The guest's answer to `prepare` or `freeze`, if an event is that.
    private func preparation(_ event: Event) throws(MachineError) -> GuestMessage? {
        switch event {
        case .message(let message):
            switch message {
            case .prepared, .refused, .frozen: return message
            case .log: return nil
            default: throw .violation("\(message.type) came while a program was prepared")
            }
        case .ended(let how): throw .qemuEnded(how, message: complaints, console: console.tail())
        case .console, .job, .monitor: return nil
        }
    }

    /// Freezes a machine that was started with `.bootToFreeze`: afterwards memory and state are in its files.
    ///
    /// The machine is ended by it. No job may be running.
    public func freeze(limit: Duration = .seconds(30)) throws(MachineError) {
        let deadline = ContinuousClock.now + limit
        send(.freeze)
        switch try answer(until: deadline) {
        case .frozen?: break
        case .refused(_, _, let reason)?: throw .refused("to freeze: \(reason)")
        default: throw .violation("an answer to freeze that is none")
        }
        sendMonitor("migrate-set-capabilities", arguments: Self.capabilities(events: true))
        sendMonitor("migrate", arguments: #"{"uri":"file:\#(Self.statePath)"}"#)
        while true {
            guard let event = try next(until: deadline) else {
                throw .timedOut("QEMU did not save the machine in \(limit.inSeconds) s", console: console.tail())
            }
            switch event {
            case .monitor(.event("MIGRATION", "completed")):
                kill()
                return
            case .monitor(.event("MIGRATION", "failed")):
                throw .qemu("QEMU could not save the machine: \(complaints)")
            case .monitor(.failure(_, let what)): throw .qemu("QEMU refused to save the machine: \(what)")
            case .ended(let how): throw .qemuEnded(how, message: complaints, console: console.tail())
            case .message, .monitor, .console, .job: continue
            }
        }
    }

    /// x-ignore-shared: the guest's memory is in a file and stays there.
    private static func capabilities(events: Bool) -> String {
        let names = events ? ["x-ignore-shared", "events"] : ["x-ignore-shared"]
        let list = names.map { #"{"capability":"\#($0)","state":true}"# }.joined(separator: ",")
        return #"{"capabilities":[\#(list)]}"#
    }

    /// Has QEMU load the state of the zygote. Nothing is waited for: QEMU finds the commands when it gets there, and
    /// says RESUME when the guest runs.
    func loadState() {
        sendMonitor("qmp_capabilities")
        sendMonitor("migrate-set-capabilities", arguments: Self.capabilities(events: false))
        sendMonitor("migrate-incoming", arguments: #"{"uri":"file:\#(Self.statePath)"}"#)
    }
}

extension HostMessage.Resumption {
    /// A new session at this moment.
    static func now() -> HostMessage.Resumption {
        var random = SystemRandomNumberGenerator()
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return HostMessage.Resumption(
            session: random.next() | 1, unixNanoseconds: UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec),
            entropy: (0..<entropyBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) })
    }
}
