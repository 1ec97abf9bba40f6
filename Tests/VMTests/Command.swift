// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import SystemPackage
import Testing

/// bpftest as a user calls it, in a temporary folder of its own.
///
/// A QEMU's name holds the process id of its bpftest, so that `expectNothingLeft` finds those of this call and no other.
final class Command {
    let folder: String
    private var pid: Int32 = 0
    private var output: Shared?
    private var errors: Shared?
    private(set) var stdout = ""
    private(set) var stderr = ""
    private var end: ProcessEnd?

    /// The executable and its guest files, from the build folder that the tests are run from.
    static let build: String = {
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        var folder = FilePath(executable)
        // The test bundle is a file in .build/TRIPLE/release, or is loaded by a helper that has its path as argument.
        for argument in CommandLine.arguments where argument.contains("/.build") && argument.contains(".xctest") {
            folder = FilePath(argument)
        }
        while !folder.string.hasSuffix("release"), !folder.string.hasSuffix("debug"), folder.removeLastComponent() {}
        return folder.string
    }()

    init() throws {
        folder = NSTemporaryDirectory() + "/bpftest-tests-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit {
        if end == nil, pid > 0 {
            kill(pid, SIGKILL)
            reap()
        }
        for path in [folder, folder + ".state"] { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Starts `bpftest ARGUMENTS`.
    ///
    /// - Parameters:
    ///   - standardOutput: a file for stdout instead of what `stdout` collects.
    ///   - terminal: a descriptor for stderr, and for stdout unless that goes to a file.
    func start(
        _ arguments: [String], environment: [String: String] = [:], standardOutput: String? = nil,
        terminal: CInt? = nil
    ) throws {
        var settings = ProcessInfo.processInfo.environment
        settings["TMPDIR"] = folder
        // The records of whoever runs the tests are not theirs.
        settings["BPFTEST_STATE"] = folder + ".state"
        settings.merge(environment) { $1 }
        let words = [Self.build + "/bpftest"] + arguments
        let outputs = try Descriptors.pipe()
        let complaints = try Descriptors.pipe()
        let nothing = try Descriptors.open("/dev/null", O_RDWR)
        let theirOutput = outputs.second
        let theirErrors = complaints.second
        let file = try Descriptors.open(standardOutput ?? "/dev/null", O_WRONLY)
        var spawn = Spawn(
            path: words[0], arguments: words, environment: settings.map { "\($0.key)=\($0.value)" })
        spawn.descriptors = [
            0: nothing.raw, 1: standardOutput == nil ? terminal ?? theirOutput.raw : file.raw,
            2: terminal ?? theirErrors.raw,
        ]
        pid = try spawn.start()
        output = Shared(outputs.first)
        errors = Shared(complaints.first)
    }

    func signal(_ number: Int32) {
        kill(pid, number)
    }

    var processID: Int32 { pid }

    /// Reads on until stdout or stderr holds the text.
    func waits(for text: String, limit: Duration = .seconds(120)) throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while !stdout.contains(text), !stderr.contains(text) {
            guard try read(until: deadline) else { return false }
        }
        return true
    }

    /// Reads to the end and waits for the exit status.
    func finish(limit: Duration = .seconds(300)) throws -> ProcessEnd {
        let deadline = ContinuousClock.now + limit
        while try read(until: deadline) {}
        guard output == nil, errors == nil else {
            kill(pid, SIGKILL)
            end = reap()
            Issue.record("bpftest did not end in \(limit); stderr: \(stderr.suffix(2000))")
            return .signalled(9)
        }
        let how = reap()
        end = how
        return how
    }

    /// No child may be left unwaited for: Swift Testing, which looks for the end of its own among all, would find this
    /// one again and again.
    @discardableResult
    private func reap() -> ProcessEnd {
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return ProcessEnd(waitStatus: status)
    }

    /// - Returns: false when both outputs are at their end, or at the deadline.
    private func read(until deadline: ContinuousClock.Instant) throws -> Bool {
        var poller = Poller()
        poller.add(output?.fd.raw ?? -1, .read)
        poller.add(errors?.fd.raw ?? -1, .read)
        if output == nil, errors == nil { return false }
        guard try poller.wait(deadline - .now) else { return deadline > .now }
        if poller[0] != [] { if let text = try take(&output) { stdout += text } else { output = nil } }
        if poller[1] != [] { if let text = try take(&errors) { stderr += text } else { errors = nil } }
        return true
    }

    private func take(_ end: inout Shared?) throws -> String? {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = try end?.fd.read(into: &chunk) ?? 0
        return count == 0 ? nil : String(decoding: chunk[..<count], as: UTF8.self)
    }

    /// Runs to the end.
    @discardableResult
    func run(
        _ arguments: [String], environment: [String: String] = [:], standardOutput: String? = nil,
        limit: Duration = .seconds(300)
    ) throws -> ProcessEnd {
        try start(arguments, environment: environment, standardOutput: standardOutput)
        return try finish(limit: limit)
    }

    /// QEMU processes of this call.
    func machines() -> [Int32] {
        processes { $0.contains("-name bpftest-\(pid)-") && $0.contains("-nodefaults") }
    }

    private func processes(_ matches: (String) -> Bool) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { pid in
            guard let bytes = try? readFile("/proc/\(pid)/cmdline") else { return false }
            return matches(String(decoding: bytes.map { $0 == 0 ? 32 : $0 }, as: UTF8.self))
        }
    }

    /// States that the call has left neither a process nor a file.
    func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(machines().isEmpty, "a QEMU is left", sourceLocation: sourceLocation)
        let files = try FileManager.default.contentsOfDirectory(atPath: folder)
        #expect(files.isEmpty, "temporary files are left", sourceLocation: sourceLocation)
    }
}

/// A descriptor that can be kept in an optional.
final class Shared {
    let fd: OwnedFD

    init(_ fd: consuming OwnedFD) {
        self.fd = fd
    }
}

/// Real machines: one at a time, as each wants a processor.
@Suite(.serialized, .timeLimit(.minutes(20)))
enum MachineTests {}
