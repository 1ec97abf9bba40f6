// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
public import SystemPackage

/// A program to start, with nothing left to chance: descriptors, environment, limits.
public struct Spawn {
    /// An absolute path: PATH is not searched.
    public var path: String
    /// With argv[0].
    public var arguments: [String]
    public var environment: [String]
    public var workingDirectory: String?
    /// Child's number -> descriptor of this process. All others are closed in the child.
    public var descriptors: [CInt: CInt] = [:]
    /// Resource (RLIMIT_…) -> soft and hard limit.
    public var limits: [(resource: CInt, value: UInt64)] = []
    /// Kill the child when the calling thread ends: the thread must live as long as the child should.
    public var dieWithThread = false
    /// setsid(): the terminal's ^C does not reach the child.
    public var newSession = false

    public init(path: String, arguments: [String], environment: [String]) {
        self.path = path
        self.arguments = arguments
        self.environment = environment
    }

    /// Starts the program.
    ///
    /// - Returns: the process id, to be waited for by the caller.
    /// - Throws: what stopped it, also an `execve` that failed in the child.
    public func start() throws(SpawnError) -> Int32 {
        var argv: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer {
            unsafe argv.forEach { unsafe free($0) }
            unsafe envp.forEach { unsafe free($0) }
        }
        let fds = descriptors.map { clinux_fd_map(from: $0.value, to: $0.key) }
        let rlimits = limits.map { clinux_rlimit(resource: $0.resource, soft: $0.value, hard: $0.value) }
        let cPath = unsafe strdup(path)
        let cDirectory = unsafe workingDirectory.map { unsafe strdup($0) } ?? nil
        defer {
            unsafe free(cPath)
            unsafe free(cDirectory)
        }
        var pid: Int32 = 0
        var step: CInt = 0
        let error = unsafe argv.withUnsafeMutableBufferPointer { argv in
            unsafe envp.withUnsafeMutableBufferPointer { envp in
                unsafe fds.withUnsafeBufferPointer { fds in
                    unsafe rlimits.withUnsafeBufferPointer { rlimits in
                        var request = unsafe clinux_spawn()
                        unsafe request.path = UnsafePointer(cPath)
                        unsafe request.argv = UnsafePointer(argv.baseAddress)
                        unsafe request.envp = UnsafePointer(envp.baseAddress)
                        unsafe request.cwd = UnsafePointer(cDirectory)
                        unsafe request.fds = fds.baseAddress
                        unsafe request.n_fds = fds.count
                        unsafe request.rlimits = rlimits.baseAddress
                        unsafe request.n_rlimits = rlimits.count
                        unsafe request.death_signal = dieWithThread ? SIGKILL : 0
                        unsafe request.new_session = newSession ? 1 : 0
                        return unsafe clinux_spawn(&request, &pid, &step)
                    }
                }
            }
        }
        guard error == 0 else { throw SpawnError(path: path, step: step, cause: Errno(rawValue: error)) }
        return pid
    }
}

/// A program that could not be started.
public struct SpawnError: Error, CustomStringConvertible {
    public let path: String
    let step: CInt
    public let cause: Errno

    public var description: String {
        let what: String
        switch UInt32(step) {
        case CLINUX_SPAWN_SESSION.rawValue: what = "prepare the process for"
        case CLINUX_SPAWN_CHDIR.rawValue: what = "enter the working directory of"
        case CLINUX_SPAWN_RLIMIT.rawValue: what = "set the limits of"
        case CLINUX_SPAWN_FDS.rawValue: what = "hand the descriptors to"
        case CLINUX_SPAWN_EXEC.rawValue: what = "execute"
        default: what = "fork for"
        }
        return "cannot \(what) \(path): \(cause) (\(cause.name))"
    }
}

/// How a process ended.
public enum ProcessEnd: Equatable, Sendable, CustomStringConvertible {
    case exited(Int)
    case signalled(Int)

    public init(waitStatus status: CInt) {
        let signal = clinux_term_signal(status)
        self = signal != 0 ? .signalled(Int(signal)) : .exited(Int(clinux_exit_status(status)))
    }

    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let number): "signal \(signalName(number))"
        }
    }
}

/// `SIGSEGV` for 11; the number where the C library has no name for it.
public func signalName(_ number: Int) -> String {
    guard let text = unsafe clinux_signal_name(CInt(number)) else { return "\(number)" }
    return unsafe "SIG" + String(cString: text)
}
