// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// A program under way, and the pipes that its output comes through.
///
/// The pipes stand between the program and the ports so that the ports are free for the next job at once, and so
/// that what has been passed on is counted: the host knows when it has seen everything.
final class RunningJob {
    private(set) var id: UInt32
    let pid: Int32
    let output: Relay
    let error: Relay
    /// What the host sends for its stdin; nil: it has none.
    let input: InputRelay?
    /// Says on the console how much stdout there was.
    private let marks: OutputMarks?
    private var limit: UInt64
    private var overLimit = false

    /// Starts the program.
    ///
    /// - Parameter further: descriptors that the program gets, by its numbers.
    init(_ request: Job, also further: [CInt: CInt] = [:]) throws {
        let outputPipe = try Descriptors.pipe()
        let errorPipe = try Descriptors.pipe()
        let nothing = try Descriptors.open("/dev/null", O_RDONLY)
        input = request.takesInput ? try InputRelay() : nil
        // Without them complaints are charged by time of arrival.
        marks = request.marksOutput ? try? OutputMarks() : nil
        Mounts.makeDirectories(request.workingDirectory)
        var spawn = Spawn(
            path: request.arguments[0], arguments: request.arguments, environment: request.environment)
        spawn.workingDirectory = request.workingDirectory
        spawn.descriptors = [
            0: input?.jobsEnd ?? nothing.raw, 1: outputPipe.second.raw, 2: errorPipe.second.raw,
        ]
        spawn.descriptors.merge(further) { $1 }
        spawn.newSession = true
        pid = try spawn.start()
        input?.jobStarted()
        id = request.id
        limit = request.outputLimit
        output = Relay(outputPipe.first)
        error = Relay(errorPipe.first)
    }

    /// Makes a program that was started in advance another job's.
    func become(_ request: Job) {
        id = request.id
        limit = request.outputLimit
        output.startCounting()
        error.startCounting()
    }

    /// Moves what there is of its stdout.
    @discardableResult
    func moveOutput(to port: borrowing OwnedFD, through buffer: inout [UInt8]) throws(Errno) -> Bool {
        let more = try output.move(to: port, through: &buffer)
        if more { marks?.mark(output.moved) }
        return more
    }

    /// Kills a job that writes too much.
    ///
    /// - Returns: whether it has.
    @discardableResult
    func enforceLimit() -> Bool {
        guard !overLimit, output.moved > limit || error.moved > limit else { return overLimit }
        overLimit = true
        kill(-pid, SIGKILL)
        return true
    }

    /// Passes on what the pipes hold by now, of a program that has done its work and lives on.
    ///
    /// - Returns: nil where it has written too much: it is killed, and its end is still to come.
    func settle(
        output outputPort: borrowing OwnedFD, error errorPort: borrowing OwnedFD, buffer: inout [UInt8]
    ) throws -> JobEnd? {
        while true {
            var poller = Poller()
            poller.add(output.descriptor, .read)
            poller.add(error.descriptor, .read)
            guard try poller.wait(.zero) else { break }
            if poller[0] != [] { try moveOutput(to: outputPort, through: &buffer) }
            if poller[1] != [] { try error.move(to: errorPort, through: &buffer) }
            if enforceLimit() { return nil }
        }
        // What it has used is known when it ends.
        return JobEnd(
            id: id, cause: .exited(status: 0), outputBytes: output.moved, errorBytes: error.moved, userMicroseconds: 0,
            systemMicroseconds: 0, maximumResidentKiB: 0)
    }

    /// Passes on what the pipes still hold, after the job and all that it started are gone.
    func finish(
        _ status: CInt, _ usage: rusage, output outputPort: borrowing OwnedFD, error errorPort: borrowing OwnedFD,
        buffer: inout [UInt8]
    ) throws -> JobEnd {
        while try moveOutput(to: outputPort, through: &buffer), output.moved <= limit {}
        while try error.move(to: errorPort, through: &buffer), error.moved <= limit {}
        let signal = clinux_term_signal(status)
        let cause: JobEnd.Cause
        if overLimit || output.moved > limit || error.moved > limit {
            cause = .outputLimit
        } else if signal != 0 {
            cause = .signalled(UInt8(signal))
        } else {
            cause = .exited(status: UInt8(clinux_exit_status(status)))
        }
        return JobEnd(
            id: id, cause: cause, outputBytes: output.moved, errorBytes: error.moved,
            userMicroseconds: microseconds(usage.ru_utime), systemMicroseconds: microseconds(usage.ru_stime),
            maximumResidentKiB: UInt64(clamping: usage.ru_maxrss))
    }

    private func microseconds(_ time: timeval) -> UInt64 {
        UInt64(clamping: time.tv_sec) * 1_000_000 + UInt64(clamping: time.tv_usec)
    }
}

/// One pipe of a job, on its way to a port.
final class Relay {
    private let pipe: OwnedFD
    private(set) var moved: UInt64 = 0
    private var ended = false

    init(_ pipe: consuming OwnedFD) {
        self.pipe = pipe
    }

    /// What to poll; -1 after the end.
    var descriptor: CInt { ended ? -1 : pipe.raw }

    /// What comes from now on is another job's.
    func startCounting() { moved = 0 }

    /// Moves what is there.
    ///
    /// - Returns: false at the end of the stream.
    @discardableResult
    func move(to port: borrowing OwnedFD, through buffer: inout [UInt8]) throws(Errno) -> Bool {
        guard !ended else { return false }
        let count = try pipe.read(into: &buffer)
        try port.writeAll(buffer, count: count)
        moved += UInt64(count)
        ended = count == 0
        return !ended
    }
}

/// Ended children, as something that can be polled.
enum ChildSignals {
    /// Blocks SIGCHLD and makes a descriptor that becomes readable when one is due.
    static func open() throws(Errno) -> OwnedFD {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGCHLD)
        _ = unsafe sigprocmask(SIG_BLOCK, &set, nil)
        return OwnedFD(adopting: try Errno.check(unsafe signalfd(-1, &set, CInt(SFD_CLOEXEC) | CInt(SFD_NONBLOCK))))
    }

    /// Takes what is pending, so that the next poll waits for the next child.
    static func drain(_ descriptor: borrowing OwnedFD) {
        var info = signalfd_siginfo()
        while unsafe withUnsafeMutableBytes(of: &info, { unsafe read(descriptor.raw, $0.baseAddress, $0.count) }) > 0 {}
    }
}
