// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
public import GuestProtocol
public import LinuxIO
internal import SystemPackage

/// A running virtual machine: one QEMU process and the five sockets to it.
///
/// Everything is done by the thread that made it, in one `poll` loop: nothing is read before it is asked for, so a
/// flooding guest waits instead of filling our memory, and the kernel's console is always seen before the agent
/// output that came after it. The machine dies with that thread (parent-death signal), so with the program, however
/// that ends.
public final class Machine {
    /// Which of a job's outputs.
    public enum Stream: Sendable { case output, error }

    /// What a machine reports.
    public enum Event: Sendable {
        /// A whole line of the kernel's console.
        case console(String)
        /// Bytes that the running job wrote.
        case job(Stream, ArraySlice<UInt8>)
        case message(GuestMessage)
        case monitor(QMPMessage)
        /// QEMU is gone and everything it had written has been reported before.
        case ended(ProcessEnd)
    }

    public let settings: MachineSettings
    /// Where the kernel's console is written.
    public let consoleFile: String?
    /// It goes on where a frozen one stopped; false: it was booted.
    public let isRestored: Bool
    public internal(set) var console: ConsoleLog
    /// QEMU's process id; no longer valid after `.ended`.
    public let pid: Int32
    /// What QEMU itself complained about, bounded.
    public internal(set) var complaints = ""
    /// How QEMU ended; nil while it runs.
    public private(set) var end: ProcessEnd?
    /// CPU time of QEMU, known after its end.
    public private(set) var cpuTime = Duration.zero

    private let process: OwnedFD
    /// The far ends of its network cards; nil: it has none.
    private var wire: Wire?
    private let cancellation: Cancellation
    private let channels: [Channel]
    private var open: [Bool]
    private var outgoing: [UInt8] = []
    private var outgoingStart = 0
    private var encoder = FrameEncoder()
    private var decoder = FrameDecoder()
    private var monitor = QMPDecoder()
    private var pending: [Event] = []
    private var nextPending = 0
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    private var nextFile: UInt32 = 1
    var monitorCommands = 0
    /// What a job's stdin is read from, and how much of it may be under way still.
    var feed: Feed?
    /// What a machine that is being restored is to be sent once it runs; nil: it runs.
    private var held: [HostMessage]?

    /// Whether the guest runs: a restored one begins with it, when QEMU has loaded its state.
    public var runs: Bool { held == nil }

    /// One of the sockets to QEMU.
    final class Channel {
        enum Role: Int { case console, monitor, control, output, error, complaints }
        let role: Role
        let descriptor: OwnedFD

        init(_ role: Role, _ descriptor: consuming OwnedFD) {
            self.role = role
            self.descriptor = descriptor
        }
    }

    /// Starts QEMU.
    ///
    /// - Parameters:
    ///   - start: what it begins with.
    ///   - name: for QEMU's command line.
    ///   - consoleFile: where the kernel's console is written.
    ///   - cancellation: makes every later wait throw `.cancelled`.
    public init(
        qemu: QEMU, settings: MachineSettings, start: Start, name: String? = nil, consoleFile: String?,
        cancellation: Cancellation
    ) throws(MachineError) {
        self.settings = settings
        self.consoleFile = consoleFile
        if case .restore = start { isRestored = true } else { isRestored = false }
        self.cancellation = cancellation
        do {
            console = try ConsoleLog(file: consoleFile)
        } catch {
            throw .system("\(consoleFile ?? "console file") cannot be written", error)
        }
        let started = try Self.start(qemu, settings, start, name)
        pid = started.pid
        channels = started.channels
        wire = started.wire
        open = channels.map { _ in true }
        do {
            process = try Descriptors.process(pid)
        } catch {
            Self.killAndReap(started.pid)
            throw .system("pidfd_open", error)
        }
        if case .restore = start {
            held = []
            loadState()
        }
    }

    /// What a machine begins with.
    public enum Start {
        case boot(BootFiles)
        /// Boots in a mould, so that it can be frozen.
        case bootToFreeze(BootFiles, Zygote.Mould)
        case restore(Zygote)

        /// What QEMU finds under the numbers after the sockets'.
        fileprivate var descriptors: [CInt] {
            switch self {
            case .boot: []
            case .bootToFreeze(_, let mould): [mould.memory.raw, mould.state.raw]
            case .restore(let zygote): [zygote.memory.raw, zygote.state.raw]
            }
        }

        fileprivate var onCommandLine: QEMUCommandLine.Start {
            switch self {
            case .boot(let files): .boot(files)
            case .bootToFreeze(let files, _): .bootInFile(files, memory: Machine.memoryPath)
            case .restore: .restore(memory: Machine.memoryPath)
            }
        }
    }

    // Inside QEMU. Opened anew through /proc, so that each user of a file has a position of its own in it.
    private static let firstFile: CInt = 8
    static let memoryPath = "/proc/self/fd/8"
    static let statePath = "/proc/self/fd/9"

    deinit {
        if end == nil { Self.killAndReap(pid) }
    }

    private static func killAndReap(_ pid: Int32) {
        Glibc.kill(pid, SIGKILL)
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    private static func start(
        _ qemu: QEMU, _ settings: MachineSettings, _ begin: Start, _ name: String?
    ) throws(MachineError) -> (pid: Int32, channels: [Channel], wire: Wire?) {
        do {
            let roles: [Channel.Role] = [.console, .monitor, .control, .output, .error]
            var ours: [Channel] = []
            var theirs: [Channel] = []
            for role in roles {
                let pair = try Descriptors.socketPair()
                // Room for a few frames, so that pushing a file is not one wake-up for each 200 KiB.
                if role == .control { setSendBuffer(pair.first.raw, 4 << 20) }
                try pair.first.setNonBlocking()
                ours.append(Channel(role, pair.first))
                theirs.append(Channel(role, pair.second))
            }
            if case .bootToFreeze(_, let mould) = begin { try mould.clear() }
            let complaints = try Descriptors.pipe()
            try complaints.first.setNonBlocking()
            let nothing = try Descriptors.open("/dev/null", O_RDWR)
            ours.append(Channel(.complaints, complaints.first))
            let numbers = QEMUCommandLine.Channels(console: 3, qmp: 4, control: 5, output: 6, error: 7)
            let line = QEMUCommandLine(
                qemu: qemu, settings: settings, start: begin.onCommandLine, wiring: .inherited(numbers),
                name: name)
            // An empty environment but for what QEMU needs to find temporary space: nothing of the user's leaks in.
            var spawn = Spawn(path: qemu.path, arguments: line.arguments, environment: ["PATH=/usr/bin:/bin"])
            spawn.descriptors = [0: nothing.raw, 1: nothing.raw, 2: complaints.second.raw]
            for (index, channel) in theirs.enumerated() {
                spawn.descriptors[CInt(3 + index)] = channel.descriptor.raw
            }
            for (index, file) in begin.descriptors.enumerated() { spawn.descriptors[firstFile + CInt(index)] = file }
            spawn.dieWithThread = true
            spawn.newSession = true
            let wiring = settings.cards.isEmpty ? nil : try Wiring(cards: settings.cards)
            wiring?.add(to: &spawn, from: numbers.wire)
            let pid = try spawn.start()
            do {
                return (pid, ours, try wiring?.connect())
            } catch {
                killAndReap(pid)
                throw error
            }
        } catch let error as SpawnError {
            throw .qemu("\(error)")
        } catch let error as Errno {
            throw .system("no sockets for QEMU", error)
        } catch {
            throw .qemu("\(error)")
        }
    }

    private static func setSendBuffer(_ descriptor: CInt, _ size: CInt) {
        var size = size
        // Best effort: the kernel clamps it to net.core.wmem_max.
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
    }

    // MARK: Events

    /// The next thing that happens.
    ///
    /// - Parameter deadline: nil waits for ever.
    /// - Returns: nil at the deadline.
    /// - Throws: `.cancelled`; `.violation` when the guest breaks the protocol; both leave the machine to be killed.
    public func next(until deadline: ContinuousClock.Instant?) throws(MachineError) -> Event? {
        while true {
            if nextPending < pending.count {
                defer {
                    nextPending += 1
                    if nextPending == pending.count {
                        pending.removeAll(keepingCapacity: true)
                        nextPending = 0
                    }
                }
                return pending[nextPending]
            }
            if let end {
                return .ended(end)
            }
            guard try pump(until: deadline) else { return nil }
        }
    }

    /// Polls once, reads what came and sends what can be sent.
    ///
    /// - Returns: false at the deadline.
    private func pump(until deadline: ContinuousClock.Instant?) throws(MachineError) -> Bool {
        if cancellation.isCancelled { throw .cancelled }
        var poller = Poller()
        poller.add(cancellation.descriptor, .read)
        poller.add(process.raw, .read)
        for (index, channel) in channels.enumerated() {
            let wantsRoom = channel.role == .control && outgoingStart < outgoing.count
            poller.add(open[index] ? channel.descriptor.raw : -1, wantsRoom ? [.read, .write] : .read)
        }
        poller.add(held == nil ? feed?.pollable ?? -1 : -1, .read)
        let limit = deadline.map { $0 - .now }
        do {
            guard try poller.wait(limit) else {
                return deadline.map { $0 > .now } ?? true
            }
        } catch {
            throw .system("poll", error)
        }
        if poller[0] != [] { throw .cancelled }
        for (index, channel) in channels.enumerated() where open[index] {
            let state = poller[2 + index]
            if channel.role == .control, state.contains(.write) { flush(index) }
            if !state.isDisjoint(with: [.read, .hangUp]) { try drainOnce(index) }
        }
        if poller[2 + channels.count] != [] { readFeed() }
        if poller[1] != [] { try finish() }
        return true
    }

    /// Reads a channel once. What the console held at that moment is reported first: it came before.
    private func drainOnce(_ index: Int) throws(MachineError) {
        let channel = channels[index]
        let count: Int
        do {
            count = try channel.descriptor.read(into: &buffer)
        } catch {
            if error == .resourceTemporarilyUnavailable { return }
            // ECONNRESET: QEMU went away with bytes of ours unread. The end of the stream all the same.
            open[index] = false
            return
        }
        if count == 0 {
            open[index] = false
            return
        }
        // A copy of what came, so that the next read does not copy the whole buffer.
        let bytes = ArraySlice(Array(buffer[..<count]))
        if channel.role == .output || channel.role == .control {
            // Everything printed before these bytes is in the console's socket by now.
            while open[0], try drainConsole() {}
        }
        switch channel.role {
        case .console: for line in console.append(bytes) { pending.append(.console(line)) }
        case .output: pending.append(.job(.output, bytes))
        case .error: pending.append(.job(.error, bytes))
        case .complaints:
            if complaints.utf8.count < 16384 { complaints += String(decoding: bytes, as: UTF8.self) }
        case .monitor:
            guard let messages = monitor.append(bytes) else { throw .violation("QEMU's monitor does not speak QMP") }
            for message in messages {
                // A machine that is restored has sent it without waiting for the greeting.
                if message == .greeting, monitorCommands == 0 { sendMonitor("qmp_capabilities") }
                if case .event("RESUME", _) = message { tellGuest() }
                pending.append(.monitor(message))
            }
        case .control: try decode(bytes)
        }
    }

    private func drainConsole() throws(MachineError) -> Bool {
        do {
            let count = try channels[0].descriptor.read(into: &buffer)
            if count == 0 {
                open[0] = false
                return false
            }
            for line in console.append(buffer[..<count]) { pending.append(.console(line)) }
            return true
        } catch {
            if error != .resourceTemporarilyUnavailable { open[0] = false }
            return false
        }
    }

    private func decode(_ bytes: ArraySlice<UInt8>) throws(MachineError) {
        decoder.append(bytes)
        do {
            while let frame = try decoder.next() {
                let message = try GuestMessage(type: frame.type, payload: frame.payload)
                if case .inputTaken(let id, let count) = message {
                    try taken(Int(count), of: id)
                } else {
                    pending.append(.message(message))
                }
            }
        } catch {
            throw .violation("\(error)")
        }
    }

    /// QEMU has ended: what is left in the sockets, then the end itself.
    private func finish() throws(MachineError) {
        for index in channels.indices {
            while open[index] {
                let before = open[index]
                try drainRest(index)
                if before == open[index] { break }
            }
        }
        for line in console.finish() { pending.append(.console(line)) }
        var status: CInt = 0
        var usage = rusage()
        while unsafe wait4(pid, &status, 0, &usage) < 0, errno == EINTR {}
        cpuTime =
            .seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + .microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        let how = ProcessEnd(waitStatus: status)
        end = how
        wire = nil
        pending.append(.ended(how))
    }

    /// Reads a channel whose writer is gone to its end.
    private func drainRest(_ index: Int) throws(MachineError) {
        // Bounded by what the socket can hold; the writer is gone.
        var rounds = 0
        while open[index], rounds < 1024 {
            rounds += 1
            try drainOnce(index)
        }
        open[index] = false
    }

    // MARK: Sending

    /// Queues a message; it leaves while events are waited for.
    public func send(_ message: HostMessage) {
        if held != nil {
            held?.append(message)
            return
        }
        enqueue(encoder.frame(message.type, payload: message.payload()))
    }

    /// Begins a restored guest's new life: what its memory cannot know first, then what has been waiting.
    private func tellGuest() {
        guard let waiting = held else { return }
        held = nil
        let resumption = HostMessage.Resumption.now()
        encoder.begin(session: resumption.session)
        decoder = FrameDecoder(session: resumption.session)
        send(.resume(resumption))
        for message in waiting { send(message) }
    }

    private func enqueue(_ bytes: [UInt8]) {
        if outgoingStart == outgoing.count {
            outgoing.removeAll(keepingCapacity: true)
            outgoingStart = 0
        }
        outgoing += bytes
    }

    private func flush(_ index: Int) {
        do {
            let count = try channels[index].descriptor.write(outgoing, from: outgoingStart)
            outgoingStart += count
        } catch {
            // EAGAIN comes back with the next poll; EPIPE and ECONNRESET mean that QEMU is going, which its end says.
            if error != .resourceTemporarilyUnavailable { outgoingStart = outgoing.count }
        }
    }

    /// Sends a command to QEMU's monitor; its reply comes as an event.
    @discardableResult
    public func sendMonitor(_ command: String, arguments: String = "{}") -> Int {
        monitorCommands += 1
        guard let index = channels.firstIndex(where: { $0.role == .monitor }), open[index] else {
            return monitorCommands
        }
        do {
            // A command is far smaller than the socket's buffer, which is empty but for other commands.
            try channels[index].descriptor.writeAll(
                QMPMessage.command(command, arguments: arguments, id: monitorCommands))
        } catch {
            open[index] = false
        }
        return monitorCommands
    }

    // MARK: Files

    /// Brings files into the guest.
    ///
    /// Blocks until the guest has stored and checked all of them. No job may be running.
    /// - Parameter limit: time for all of them together.
    /// - Throws: `.refused` with the guest's reason; `.timedOut`; `.qemuEnded`.
    public func push(_ files: [GuestFile], limit: Duration = .seconds(60)) throws(MachineError) {
        let deadline = ContinuousClock.now + limit
        try waitUntilItRuns(deadline)
        var waiting: [UInt32: String] = [:]
        for file in files {
            let id = nextFileNumber()
            waiting[id] = file.path
            try push(file, id, deadline)
        }
        while !waiting.isEmpty {
            guard let event = try next(until: deadline) else {
                throw .timedOut(
                    "pushing \(files.count) files took longer than \(limit.inSeconds) s", console: console.tail())
            }
            switch event {
            case .message(.fileStored(let id)):
                guard waiting.removeValue(forKey: id) != nil else { throw .violation("file \(id) was not under way") }
            case .message(.refused(let id, let errno, let reason)):
                let name = errno == 0 ? "" : " (\(Errno(rawValue: CInt(truncatingIfNeeded: errno)).name))"
                throw .refused("\(waiting[id] ?? "file \(id)"): \(reason)\(name)")
            case .message(.log), .console, .monitor, .job: continue
            case .message(let other): throw .violation("\(other.type) came while files were pushed")
            case .ended(let how): throw .qemuEnded(how, message: complaints, console: console.tail())
            }
        }
    }

    func nextFileNumber() -> UInt32 {
        defer { nextFile += 1 }
        return nextFile
    }

    /// A machine that is being restored takes no files before it runs: their data is not held back as messages are.
    private func waitUntilItRuns(_ deadline: ContinuousClock.Instant) throws(MachineError) {
        while held != nil, end == nil {
            guard try pump(until: deadline) else {
                throw .timedOut("the machine was not restored in time", console: console.tail())
            }
            for case .monitor(.failure(_, let what)) in pending[nextPending...] {
                throw .qemu("QEMU could not restore the machine: \(what)")
            }
        }
    }

    private func push(_ file: GuestFile, _ id: UInt32, _ deadline: ContinuousClock.Instant) throws(MachineError) {
        let source: GuestFile.Reader
        do {
            source = try GuestFile.Reader(file.source)
        } catch {
            throw .system("\(file.source) cannot be read", error)
        }
        send(.putFile(id: id, path: file.path, mode: file.mode, size: UInt64(source.size)))
        var prefix = ByteWriter()
        prefix.append(id)
        var checksum = XXH64()
        while true {
            let chunk: [UInt8]
            do {
                chunk = try source.next(512 << 10)
            } catch {
                throw .system("\(file.source) cannot be read", error)
            }
            if chunk.isEmpty { break }
            unsafe chunk.withUnsafeBytes { unsafe checksum.update($0) }
            enqueue(encoder.header(.fileData, length: 4 + chunk.count))
            enqueue(prefix.bytes)
            enqueue(chunk)
            while outgoing.count - outgoingStart > 1 << 20, end == nil {
                guard try pump(until: deadline) else {
                    throw .timedOut("the guest does not take \(file.path)", console: console.tail())
                }
            }
        }
        send(.fileEnd(id: id, checksum: checksum.digest))
    }

    // MARK: Ending

    /// Ends the machine at once and waits for QEMU's end.
    public func kill() {
        guard end == nil else { return }
        Glibc.kill(pid, SIGKILL)
        var status: CInt = 0
        var usage = rusage()
        while unsafe wait4(pid, &status, 0, &usage) < 0, errno == EINTR {}
        cpuTime =
            .seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + .microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
        end = ProcessEnd(waitStatus: status)
        wire = nil
    }
}
