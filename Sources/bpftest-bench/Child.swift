// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import SystemPackage

/// A program that the bench starts, with its output in files; it and what it started end with this value at the latest.
///
/// It must be started and waited for by one thread, whose end would end it too.
final class Child {
    let pid: Int32
    private let process: OwnedFD
    private let outputFile: OwnedFD
    private let errorFile: OwnedFD
    private(set) var end: ProcessEnd?

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - arguments: with the program's absolute path first.
    ///   - environment: changes to our own.
    init(_ arguments: [String], environment changes: [String: String] = [:], directory: String? = nil) throws {
        let nothing = try Descriptors.open("/dev/null", O_RDWR)
        // Files and not pipes: virtme-ng has QEMU open its standard output by a name in /proc.
        outputFile = try Self.unnamedFile()
        errorFile = try Self.unnamedFile()
        let environment = ProcessInfo.processInfo.environment.merging(changes) { $1 }
        var spawn = Spawn(
            path: arguments[0], arguments: arguments, environment: environment.map { "\($0.key)=\($0.value)" })
        spawn.workingDirectory = directory
        spawn.descriptors = [0: nothing.raw, 1: outputFile.raw, 2: errorFile.raw]
        spawn.dieWithThread = true
        spawn.newSession = true
        pid = try spawn.start()
        do {
            process = try Descriptors.process(pid)
        } catch {
            Self.reap(pid)
            throw error
        }
    }

    deinit {
        if end == nil { Self.reap(pid) }
    }

    /// Kills the process group that the program leads, and buries the program.
    @discardableResult
    private static func reap(_ pid: Int32) -> CInt {
        // What left the group, such as bpftest's machines, dies with its parent.
        Glibc.kill(-pid, SIGKILL)
        Glibc.kill(pid, SIGKILL)
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status
    }

    private static func unnamedFile() throws -> OwnedFD {
        // O_TMPFILE, which Glibc's module leaves out: __O_TMPFILE | O_DIRECTORY.
        let temporary: CInt = 0o20_000_000 | O_DIRECTORY
        let directory = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        return try Descriptors.open(directory, O_RDWR | temporary, mode: 0o600)
    }

    /// Waits for the program's end.
    ///
    /// - Returns: nil when it has not ended after `limit`; it goes on then.
    func wait(_ limit: Duration) throws -> ProcessEnd? {
        if let end { return end }
        let deadline = ContinuousClock.now + limit
        var poller = Poller()
        poller.add(process.raw, .read)
        while try !poller.wait(deadline - .now) {
            if ContinuousClock.now >= deadline { return nil }
        }
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let how = ProcessEnd(waitStatus: status)
        end = how
        return how
    }

    /// Ends the program at once; nothing happens when it has ended.
    func kill() {
        if end == nil { end = ProcessEnd(waitStatus: Self.reap(pid)) }
    }

    /// What the program has printed so far.
    var output: String { Self.text(outputFile) }

    var error: String { Self.text(errorFile) }

    private static func text(_ file: borrowing OwnedFD) -> String {
        // Opened anew: a position of its own in the file that is being written.
        let bytes = (try? readFile("/proc/self/fd/\(file.raw)", limit: 64 << 20)) ?? []
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Where a program is, in PATH.
func locate(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
}
