// SPDX-License-Identifier: Apache-2.0
internal import Glibc
public import GuestProtocol
internal import LinuxIO
internal import SystemPackage

extension Machine {
    /// What a guest is given to answer a question while it gets a program ready, and how long it is left alone in between.
    private static let silence = Duration.seconds(15)
    private static let pause = Duration.seconds(3)

    /// Starts a program in advance and waits until it is ready.
    ///
    /// A program may take its time; a guest that says nothing at all has a kernel that hangs, and is not waited for.
    /// - Parameter slow: is called once, when it has taken so long.
    /// - Returns: false when the program does not know how to be prepared, does not come to an end of it or ends.
    /// - Throws: when the machine or the protocol breaks; `.timedOut` when the guest answers nothing any more.
    public func prepare(
        _ job: Job, limit: Duration = .seconds(20), slow: (after: Duration, tell: () -> Void)? = nil
    ) throws(MachineError) -> Bool {
        let start = ContinuousClock.now
        var deadline = start + limit
        var tellAt = slow.map { start + $0.after }
        var isKilled = false
        var isReady: Bool?
        var question: UInt32?
        var questionAt = start + Self.pause
        send(.prepare(job))
        while true {
            // The answer to a question comes before whatever is asked next.
            if let isReady, question == nil { return isReady }
            guard let event = try next(until: min(deadline, questionAt, tellAt ?? deadline)) else {
                let now = ContinuousClock.now
                if let when = tellAt, now >= when {
                    slow?.tell()
                    tellAt = nil
                } else if now >= deadline {
                    guard !isKilled else { throw .timedOut("the guest does not answer", console: console.tail()) }
                    // Its end comes as a refusal.
                    send(.kill(id: job.id, signal: UInt8(SIGKILL)))
                    isKilled = true
                    deadline = now + .seconds(10)
                } else if now >= questionAt {
                    guard question == nil else {
                        throw .timedOut(
                            "the guest has answered nothing for \(Self.silence.inSeconds) s: its kernel hangs",
                            console: console.tail())
                    }
                    question = ask()
                    questionAt = now + Self.silence
                }
                continue
            }
            if case .message(.refused(let id, _, _)) = event, id == question {
                question = nil
                questionAt = .now + Self.pause
            } else if let answer = try preparation(event) {
                isReady = answer == .prepared(id: job.id)
            }
        }
    }

    /// Has the guest say something: a file that nobody can create is refused at once, and nothing is left of it.
    private func ask() -> UInt32 {
        let id = nextFileNumber()
        send(.putFile(id: id, path: "/", mode: 0, size: 0))
        return id
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
