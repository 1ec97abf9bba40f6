// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// One program of a job, from its start to its end; what it writes goes to the console, line by line.
final class JobCall {
    private let pid: Int32
    private let signals: OwnedFD
    private var output: Lines
    private var errors: Lines
    private var written = 0

    /// Bytes that are shown; and those after which a program is killed, as in a run.
    private static let shown = 1 << 20
    private static let limit = 64 << 20
    private static let lineLimit = 4096

    /// One pipe of the program's.
    private final class Lines {
        let pipe: OwnedFD
        let prefix: [UInt8]
        var partial: [UInt8] = []
        var count = 0
        var isOpen = true

        init(_ pipe: consuming OwnedFD, prefix: String) {
            self.pipe = pipe
            self.prefix = Array(prefix.utf8)
        }
    }

    init(_ call: JobFile.Call) throws {
        signals = try ChildSignals.open()
        let outputPipe = try Descriptors.pipe()
        let errorPipe = try Descriptors.pipe()
        let nothing = try Descriptors.open("/dev/null", O_RDONLY)
        Mounts.makeDirectories(call.directory)
        var spawn = Spawn(path: call.arguments[0], arguments: call.arguments, environment: call.environment)
        spawn.workingDirectory = call.directory
        spawn.descriptors = [0: nothing.raw, 1: outputPipe.second.raw, 2: errorPipe.second.raw]
        spawn.newSession = true
        pid = try spawn.start()
        output = Lines(outputPipe.first, prefix: "")
        errors = Lines(errorPipe.first, prefix: "# stderr: ")
    }

    /// Follows it to its end.
    ///
    /// - Parameter line: gets each line of its stdout.
    /// - Returns: `status N`, `signal N`, `output limit` or `timeout`.
    func run(until deadline: ContinuousClock.Instant, line: ([UInt8]) -> Void) throws -> String {
        var poller = Poller()
        var outcome: String?
        while outcome == nil {
            poller.removeAll()
            poller.add(signals.raw, .read)
            poller.add(output.isOpen ? output.pipe.raw : -1, .read)
            poller.add(errors.isOpen ? errors.pipe.raw : -1, .read)
            let left = deadline - .now
            guard left > .zero else {
                outcome = "timeout"
                break
            }
            guard try poller.wait(left) else { continue }
            if poller[1] != [] { try move(output, line) }
            if poller[2] != [] { try move(errors) { _ in } }
            if output.count > Self.limit || errors.count > Self.limit {
                outcome = "output limit"
            } else if poller[0] != [] {
                outcome = reap()
            }
        }
        // Whatever it left running would hold the pipes, and is no part of the next call's world.
        kill(-1, SIGKILL)
        if outcome != "timeout" {
            GracePeriods.pass()
            while output.isOpen, output.count <= Self.limit { try move(output, line) }
            while errors.isOpen, errors.count <= Self.limit { try move(errors) { _ in } }
        }
        end(output, line)
        end(errors) { _ in }
        return outcome ?? ""
    }

    /// Collects ended children, also those that lost their parents.
    ///
    /// - Returns: how the program ended; nil: it has not.
    private func reap() -> String? {
        ChildSignals.drain(signals)
        var outcome: String?
        while true {
            var status: CInt = 0
            let ended = unsafe waitpid(-1, &status, WNOHANG)
            guard ended > 0 else { return outcome }
            if ended == pid {
                let signal = clinux_term_signal(status)
                outcome = signal != 0 ? "signal \(signal)" : "status \(clinux_exit_status(status))"
            }
        }
    }

    private func move(_ lines: Lines, _ body: ([UInt8]) -> Void) throws {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = try lines.pipe.read(into: &buffer)
        lines.isOpen = count > 0
        lines.count += count
        for byte in buffer[..<count] {
            if byte == 0x0a {
                body(lines.partial)
                show(lines)
            } else if lines.partial.count < Self.lineLimit {
                lines.partial.append(byte)
            }
        }
    }

    private func end(_ lines: Lines, _ body: ([UInt8]) -> Void) {
        guard !lines.partial.isEmpty else { return }
        body(lines.partial)
        show(lines)
    }

    /// Writes a line, whole, before anything else is written.
    private func show(_ lines: Lines) {
        defer { lines.partial.removeAll(keepingCapacity: true) }
        guard written < Self.shown else { return }
        var line = lines.prefix
        // Lines of the kernel's begin with its time stamp, and nothing else may.
        if line.isEmpty, lines.partial.first == UInt8(ascii: "[") { line.append(UInt8(ascii: " ")) }
        // A console takes no terminal's commands from a job.
        line += lines.partial.map { $0 >= 0x20 || $0 == 0x09 ? $0 : UInt8(ascii: "?") }
        line.append(0x0a)
        written += line.count
        unsafe line.withUnsafeBytes { _ = unsafe write(1, $0.baseAddress, $0.count) }
        tcdrain(1)
    }
}
