// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
public import VMRunner

/// One plain command in one machine, with its input and its output passed through as they come.
public struct Execution: Sendable {
    /// How it ended.
    public enum End: Sendable, Equatable {
        case exited(Int)
        case signalled(Int)
        /// The guest could not start it.
        case notStarted(errno: Int, reason: String)
        case panicked
        case timedOut
        /// The machine went away without a panic: it was reset or powered off, or its guest broke the protocol.
        case lost(String)
        /// Nobody reads our stdout any more.
        case unread

        /// What the command's caller gets: the command's own status, or one of those that other runners of machines use.
        public var exitCode: Int32 {
            switch self {
            case .exited(let status): Int32(status)
            // As shells have it.
            case .signalled(let number): Int32(128 + number)
            case .notStarted(let errno, _): errno == Int(Errno.noSuchFileOrDirectory.rawValue) ? 127 : 126
            case .panicked: 255
            case .timedOut: 124
            case .lost: 128
            case .unread: 141
            }
        }
    }

    /// The command, and what it finds in the machine.
    public struct Command: Sendable {
        /// Program, by its path in the guest, and arguments.
        public var arguments: [String]
        public var files: [GuestFile]
        public var environment: [String]
    }

    public var command: Command
    public var options: RunOptions
    /// Time for the command; nil: no limit.
    public var limit: Duration?
    /// What is passed on as its stdin; nil: there is nothing to read.
    public var input: CInt?
    /// What to tell a person, on stderr.
    public var log: @Sendable (String) -> Void
    /// Gets the command's output as it comes; false where nobody reads it any more.
    public var output: @Sendable (Machine.Stream, ArraySlice<UInt8>) throws -> Bool

    public init(
        command: Command, options: RunOptions, limit: Duration?, input: CInt?,
        log: @escaping @Sendable (String) -> Void,
        output: @escaping @Sendable (Machine.Stream, ArraySlice<UInt8>) throws -> Bool
    ) {
        self.command = command
        self.options = options
        self.limit = limit
        self.input = input
        self.log = log
        self.output = output
    }

    /// Runs it in a machine of the kernel's; blocks its thread, with which the machine ends.
    ///
    /// - Throws: trouble before the command ran: no machine, a kernel that does not boot, files that do not fit.
    public func run(on kernel: PreparedKernel, with runner: Runner, work: WorkFolder) throws(HarnessError) -> End {
        let factory = try runner.factory(kernel, [], work, log)
        let machine: Machine
        do {
            machine = try factory.source { $0.kill() }.machine()
            try machine.push(command.files)
        } catch .cancelled {
            throw .cancelled
        } catch {
            let console = error.console.isEmpty ? "" : "\n  " + error.console.suffix(8).joined(separator: "\n  ")
            throw .infrastructure("\(kernel.build.release): \(error)\(console)")
        }
        defer { machine.kill() }
        return try follow(machine)
    }

    private struct Unread: Error {}

    private func follow(_ machine: Machine) throws(HarnessError) -> End {
        let id = AgentRun.nextJob.next()
        let job = Job(
            id: id, arguments: command.arguments, environment: command.environment, workingDirectory: "/tmp",
            // What is passed on is not kept: there is nothing to protect.
            outputLimit: .max, takesInput: input != nil)
        if let input { machine.feed(job: id, from: input) }
        let deadline = limit.map { ContinuousClock.now + $0 }
        var session = JobSession(machine: machine, log: log)
        let console = Box(0)
        var isUnread = false
        let end: JobSession.End
        do {
            end = try session.run(job, limit: { deadline }) { line in
                console.value += 1
                if options.verbose { log("[console] \(line)") }
            } onOutput: { stream, bytes throws(HarnessError) in
                do {
                    if try output(stream, bytes) { return }
                } catch {
                    throw .infrastructure("\(error)")
                }
                isUnread = true
                throw .cancelled
            }
        } catch {
            if isUnread { return .unread }
            throw error
        }
        return conclude(end, machine, session.splats)
    }

    private func conclude(_ end: JobSession.End, _ machine: Machine, _ splats: ConsoleReader) -> End {
        let hasPanicked = splats.complaints.contains(where: \.hasPanicked)
        for splat in splats.complaints {
            log("bpftest: the kernel complained while the command ran: \(splat.title)")
            for line in splat.lines { log("  \(line)") }
        }
        switch end {
        case .finished(let how):
            switch how.cause {
            case .exited(let status): return .exited(Int(status))
            case .signalled(let signal):
                log("bpftest: the command was killed by \(signalName(Int(signal)))")
                return .signalled(Int(signal))
            case .outputLimit: return .lost("the guest killed the command over an output limit that it was not given")
            }
        case .refused(let errno, let reason):
            log("bpftest: \(reason)")
            return .notStarted(errno: Int(errno), reason: reason)
        case .late, .runOver:
            log("bpftest: the command did not end in \(limit?.inSeconds ?? "?") s (--timeout); its machine is ended")
            return .timedOut
        case .down where hasPanicked:
            log("bpftest: the kernel panicked")
            return .panicked
        case .down: return lost("the machine was reset or powered off", machine)
        case .lost(let how): return lost("QEMU ended by itself (\(how))", machine)
        case .violation(let what): return lost("the guest broke the protocol: \(what)", machine)
        }
    }

    private func lost(_ what: String, _ machine: Machine) -> End {
        let said = machine.complaints.isEmpty ? "" : ": \(machine.complaints.prefix(400))"
        log("bpftest: \(what) while the command ran\(said)")
        return .lost(what)
    }
}

extension Execution.Command {
    /// A command of a command line: a program of the host with all that it needs; or one that the guest has.
    ///
    /// A word with a slash is a file here if there is one, else the path of one in the guest. A word without is looked up
    /// in PATH.
    /// - Throws: `.usage` for what cannot be run.
    public init(
        _ words: [String], files: [String], settings: [String], environment: [String: String], memoryMiB: Int
    ) async throws(HarnessError) {
        guard let word = words.first, !word.isEmpty else { throw .usage("there is no command behind --") }
        var closure = try await ProgramClosure(environment: environment)
        // First, so that a command of theirs is found.
        try closure.add(files: files, settings: settings)
        var program = word
        if closure.files.contains(where: { $0.path == word }) {
            // Brought in by --file under that name.
        } else if word.contains("/") {
            let isThere = FileManager.default.fileExists(atPath: word)
            guard isThere || word.hasPrefix("/") else { throw .usage("\(word) does not exist") }
            if isThere { program = try closure.add(program: FilePath(word)) }
        } else {
            guard let found = ProgramClosure.find(word, environment: environment) else {
                let hint = FileManager.default.fileExists(atPath: word) ? " (there is ./\(word))" : ""
                throw .usage("\(word) is not in PATH\(hint)")
            }
            program = try closure.add(program: FilePath(found))
        }
        try closure.check(memoryMiB: memoryMiB)
        arguments = [program] + words.dropFirst()
        self.files = closure.files
        self.environment = ProgramCall.environment(folders: closure.folders, settings: settings)
    }
}
