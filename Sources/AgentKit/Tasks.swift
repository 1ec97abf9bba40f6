// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// Threads and processors of the calling process.
public enum Tasks {
    /// gettid(2): the number in the caller's pid namespace.
    public static var thread: Int32 { clinux_gettid() }

    /// A system call that does nothing and that nobody else makes: getpgid(2).
    public static func callSystem() {
        _ = clinux_getpgid()
    }

    /// Keeps the calling thread on the processor that it is on.
    public static func stayOnProcessor() throws(Errno) {
        _ = try Errno.check(clinux_stay_on_cpu())
    }

    /// Runs something in a second thread and waits for its end.
    public static func inThread(_ body: @escaping () -> Void) throws(Errno) {
        let box = unsafe Unmanaged.passRetained(Box(body))
        var thread = pthread_t()
        let argument = unsafe box.toOpaque()
        let error = unsafe pthread_create(
            &thread, nil,
            { argument in
                if let argument = unsafe argument {
                    unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                }
                return nil
            }, argument)
        if error != 0 {
            unsafe box.release()
            throw Errno(rawValue: error)
        }
        _ = pthread_join(thread, nil)
    }

    private final class Box {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
}

/// Socket filters.
public enum Filters {
    /// SO_ATTACH_BPF; nil on success.
    public static func attach(_ program: CInt, to socket: CInt) -> Errno? {
        clinux_attach_filter(socket, program) == 0 ? nil : Errno.last
    }
}
