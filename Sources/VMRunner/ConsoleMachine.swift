// SPDX-License-Identifier: Apache-2.0
internal import Glibc
public import LinuxIO
internal import SystemPackage

/// A machine without a host on the other side: QEMU with its console on stdout, from its start to its end.
///
/// It gets an empty stdin, an empty environment and no descriptor of ours, and dies with the calling thread.
public struct ConsoleMachine: Sendable {
    public struct Outcome: Sendable, Equatable {
        /// All that the console said, up to `consoleLimit`.
        public var console: [UInt8]
        /// What QEMU itself complained about.
        public var complaints: String
        /// nil: it was killed, at its limit or because it flooded its console.
        public var end: ProcessEnd?
    }

    public var qemu: QEMU
    /// Without QEMU's own path.
    public var arguments: [String]
    /// From QEMU's start to its end.
    public var limit: Duration
    /// Whether it is told to end by QEMU's monitor when its time is over: the recording of one that is killed has no end.
    public var hasMonitor = false

    /// Bytes after which a machine is killed.
    public static let consoleLimit = 64 << 20
    /// Time for QEMU to end when it has been told to.
    private static let farewell = Duration.seconds(30)

    public init(qemu: QEMU, arguments: [String], limit: Duration) {
        self.qemu = qemu
        self.arguments = arguments
        self.limit = limit
    }

    /// Blocks until QEMU has ended.
    ///
    /// - Parameter onConsole: gets the console as it comes, and may say how long the machine has from then on, within
    ///   its limit: what it still says is not waited for longer.
    /// - Throws: `.cancelled`; `.system` and `.qemu` where it cannot be started.
    public func run(
        _ cancellation: Cancellation, onConsole: (ArraySlice<UInt8>) -> Duration? = { _ in nil }
    ) throws(MachineError) -> Outcome {
        do {
            return try follow(cancellation, onConsole)
        } catch let error as MachineError {
            throw error
        } catch let error as SpawnError {
            throw .qemu("\(error)")
        } catch let error as Errno {
            throw .system("QEMU's pipes", error)
        } catch {
            throw .qemu("\(error)")
        }
    }

    private func follow(
        _ cancellation: Cancellation, _ onConsole: (ArraySlice<UInt8>) -> Duration?
    ) throws -> Outcome {
        let output = try Descriptors.pipe()
        let errors = try Descriptors.pipe()
        let monitor = try Descriptors.socketPair()
        let pid = try start(output: output.second, errors: errors.second, monitor: monitor.second)
        var isOver = false
        defer { if !isOver { _ = Self.reap(pid, killing: true) } }
        let process = try Descriptors.process(pid)
        try output.first.setNonBlocking()
        try errors.first.setNonBlocking()
        var outcome = Outcome(console: [], complaints: "", end: nil)
        var complaints: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        let latest = ContinuousClock.now + limit
        var deadline = latest
        var hasBeenTold = false
        var poller = Poller()
        poller.add(cancellation.descriptor, .read)
        poller.add(process.raw, .read)
        poller.add(output.first.raw, .read)
        poller.add(errors.first.raw, .read)
        var hasEnded = false
        while !hasEnded, outcome.console.count < Self.consoleLimit {
            let left = deadline - .now
            if left <= .zero {
                guard hasMonitor, !hasBeenTold else { break }
                hasBeenTold = true
                deadline = .now + Self.farewell
                // One that is gone needs no telling: its end shows next.
                try? monitor.first.writeAll(
                    QMPMessage.command("qmp_capabilities", id: 1) + QMPMessage.command("quit", id: 2))
                continue
            }
            guard try poller.wait(left) else { continue }
            if poller[0] != [] { throw MachineError.cancelled }
            // Seen before the pipes are read: all that it wrote is in them.
            hasEnded = poller[1] != []
            while let count = Self.take(output.first, &chunk) {
                outcome.console += chunk[..<count]
                if let rest = onConsole(chunk[..<count]), !hasBeenTold { deadline = min(latest, .now + rest) }
                if outcome.console.count >= Self.consoleLimit { break }
            }
            while let count = Self.take(errors.first, &chunk) {
                if complaints.count < 16384 { complaints += chunk[..<count] }
            }
        }
        isOver = true
        let status = Self.reap(pid, killing: !hasEnded)
        outcome.end = hasEnded ? ProcessEnd(waitStatus: status) : nil
        outcome.complaints = String(decoding: complaints, as: UTF8.self)
        return outcome
    }

    private func start(
        output: borrowing OwnedFD, errors: borrowing OwnedFD, monitor: borrowing OwnedFD
    ) throws -> Int32 {
        let nothing = try Descriptors.open("/dev/null", O_RDONLY)
        var line = [qemu.path] + arguments
        if hasMonitor { line += ["-chardev", "socket,id=monitor,fd=3", "-mon", "chardev=monitor,mode=control"] }
        var spawn = Spawn(path: qemu.path, arguments: line, environment: ["PATH=/usr/bin:/bin"])
        spawn.descriptors = [0: nothing.raw, 1: output.raw, 2: errors.raw]
        if hasMonitor { spawn.descriptors[3] = monitor.raw }
        spawn.dieWithThread = true
        spawn.newSession = true
        return try spawn.start()
    }

    /// - Returns: nil where nothing is there, and at the end.
    private static func take(_ pipe: borrowing OwnedFD, _ chunk: inout [UInt8]) -> Int? {
        // An error is EAGAIN: nothing is there.
        guard let count = try? pipe.read(into: &chunk), count > 0 else { return nil }
        return count
    }

    private static func reap(_ pid: Int32, killing: Bool) -> CInt {
        if killing { Glibc.kill(pid, SIGKILL) }
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status
    }

    /// Gives the machine our terminal, and waits for its end.
    ///
    /// - Parameter beside: another program, which is started when the machine runs and gets the terminal instead.
    public func runInteractively(
        beside: (path: String, arguments: [String], environment: [String])? = nil
    ) throws(MachineError) -> ProcessEnd {
        do {
            let nothing = try Descriptors.open("/dev/null", O_RDWR)
            var spawn = Spawn(path: qemu.path, arguments: [qemu.path] + arguments, environment: ["PATH=/usr/bin:/bin"])
            spawn.descriptors = beside == nil ? [0: 0, 1: 1, 2: 2] : [0: nothing.raw, 1: 2, 2: 2]
            spawn.dieWithThread = true
            let pid = try spawn.start()
            guard let beside else { return ProcessEnd(waitStatus: Self.reap(pid, killing: false)) }
            defer { _ = Self.reap(pid, killing: true) }
            var other = Spawn(path: beside.path, arguments: beside.arguments, environment: beside.environment)
            other.descriptors = [0: 0, 1: 1, 2: 2]
            other.dieWithThread = true
            return ProcessEnd(waitStatus: Self.reap(try other.start(), killing: false))
        } catch let error as SpawnError {
            throw .qemu("\(error)")
        } catch {
            throw .qemu("\(error)")
        }
    }
}
