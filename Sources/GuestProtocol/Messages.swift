// SPDX-License-Identifier: Apache-2.0

/// The protocol's version: both sides must have the same.
public let guestProtocolVersion: UInt32 = 4

/// Bytes of a job's stdin that may be under way: the host sends more when the guest says that the job took some.
public let inputWindow = 256 << 10

/// Names of the virtio-serial ports, as the guest finds them in /sys/class/virtio-ports/*/name.
public enum PortName {
    public static let control = "org.bpftest.control"
    public static let standardOutput = "org.bpftest.stdout"
    public static let standardError = "org.bpftest.stderr"
    /// Only in machines with network cards: docs/drivers.md.
    public static let wire = "org.bpftest.wire"
    /// Those that every machine has.
    public static let all = [control, standardOutput, standardError]
}

/// A program for the guest to run.
public struct Job: Equatable, Sendable {
    /// Chosen by the host, named in every answer about this job.
    public var id: UInt32
    /// Program first; its path is absolute.
    public var arguments: [String]
    /// `NAME=value` each: the whole environment.
    public var environment: [String]
    public var workingDirectory: String
    /// Bytes of stdout and stderr each after which the job is killed.
    public var outputLimit: UInt64
    /// Its stdin is what the host sends, a pipe; false: there is nothing to read.
    public var takesInput: Bool
    /// How much of its stdout has been passed on is said on the console too, so that what the kernel says there has its
    /// place in the output.
    public var marksOutput: Bool

    public init(
        id: UInt32, arguments: [String], environment: [String] = [], workingDirectory: String = "/",
        outputLimit: UInt64 = 64 << 20, takesInput: Bool = false, marksOutput: Bool = false
    ) {
        self.id = id
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.outputLimit = outputLimit
        self.takesInput = takesInput
        self.marksOutput = marksOutput
    }
}

/// How a job ended.
public struct JobEnd: Equatable, Sendable {
    public enum Cause: Equatable, Sendable {
        case exited(status: UInt8)
        case signalled(UInt8)
        /// Killed by init because it wrote more than its limit.
        case outputLimit
    }

    public var id: UInt32
    public var cause: Cause
    /// Bytes that init has written to the two output ports for this job: all of them precede this message.
    public var outputBytes: UInt64
    public var errorBytes: UInt64
    /// CPU time of the job and its waited-for children.
    public var userMicroseconds: UInt64
    public var systemMicroseconds: UInt64
    public var maximumResidentKiB: UInt64

    public init(
        id: UInt32, cause: Cause, outputBytes: UInt64, errorBytes: UInt64, userMicroseconds: UInt64 = 0,
        systemMicroseconds: UInt64 = 0, maximumResidentKiB: UInt64 = 0
    ) {
        self.id = id
        self.cause = cause
        self.outputBytes = outputBytes
        self.errorBytes = errorBytes
        self.userMicroseconds = userMicroseconds
        self.systemMicroseconds = systemMicroseconds
        self.maximumResidentKiB = maximumResidentKiB
    }
}

/// What the host says.
public enum HostMessage: Equatable, Sendable {
    /// Opens a file for writing: parents are made, an old one is replaced.
    case putFile(id: UInt32, path: String, mode: UInt32, size: UInt64)
    case fileData(id: UInt32, bytes: ArraySlice<UInt8>)
    /// Closes the file; `checksum` is the XXH64 of its content.
    case fileEnd(id: UInt32, checksum: UInt64)
    case run(Job)
    case kill(id: UInt32, signal: UInt8)
    case powerOff
    /// Starts a program that makes itself ready and then waits for `run` to name it (docs/agent-output.md, "prepare").
    case prepare(Job)
    /// From here on the guest waits for `resume` and nothing else.
    case freeze
    /// The guest's new life begins: a frame of the new session, with which its numbering starts.
    case resume(Resumption)
    /// For the job's stdin; never more than `inputWindow` bytes that the guest has not said to be taken.
    case input(id: UInt32, bytes: ArraySlice<UInt8>)
    /// The job's stdin is at its end.
    case inputEnd(id: UInt32)

    /// What a restored guest must be told, as its memory is older than it is.
    public struct Resumption: Equatable, Sendable {
        /// The session's key: never 0, never used before. It travels in the frame's header.
        public var session: UInt64
        /// The host's CLOCK_REALTIME.
        public var unixNanoseconds: UInt64
        /// For the kernel's random number generator, credited: 32 bytes that no other machine was given.
        public var entropy: [UInt8]

        public static let entropyBytes = 32

        public init(session: UInt64, unixNanoseconds: UInt64, entropy: [UInt8]) {
            self.session = session
            self.unixNanoseconds = unixNanoseconds
            self.entropy = entropy
        }
    }
}

/// What the guest's init says.
public enum GuestMessage: Equatable, Sendable {
    /// First message: the guest is ready for work.
    case hello(Hello)
    case fileStored(id: UInt32)
    case started(id: UInt32, pid: UInt32)
    case exited(JobEnd)
    /// A file or job that could not be taken: errno (0 where none applies) and why.
    case refused(id: UInt32, errno: UInt32, reason: String)
    /// Something that the host should show or keep, such as a module that did not load.
    case log(String)
    /// The program is ready and waits.
    case prepared(id: UInt32)
    /// The guest is at rest: nothing of it is under way on any port.
    case frozen
    /// The job took, or will never take, so many bytes of its stdin.
    case inputTaken(id: UInt32, count: UInt32)

    public struct Hello: Equatable, Sendable {
        public var version: UInt32
        /// `uname -r`.
        public var release: String
        /// Since the kernel started, in nanoseconds (CLOCK_BOOTTIME).
        public var uptimeNanoseconds: UInt64
        /// What did not work while the guest was set up, a sentence each.
        public var notes: [String]

        public init(version: UInt32, release: String, uptimeNanoseconds: UInt64, notes: [String]) {
            self.version = version
            self.release = release
            self.uptimeNanoseconds = uptimeNanoseconds
            self.notes = notes
        }
    }
}
