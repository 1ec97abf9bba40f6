// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
public import SystemPackage

/// A file descriptor that is closed exactly once, when its owner goes away.
public struct OwnedFD: ~Copyable, Sendable {
    /// The descriptor's number: valid for as long as this value lives.
    public let raw: CInt

    /// Takes over an open descriptor.
    public init(adopting raw: CInt) {
        self.raw = raw
    }

    deinit {
        // close() releases the number even when it reports EINTR or EIO: there is nothing to repeat.
        _ = Glibc.close(raw)
    }

    /// Gives the descriptor up without closing it.
    public consuming func release() -> CInt {
        let number = raw
        discard self
        return number
    }

    /// A second descriptor for the same open file, closed on exec.
    public func duplicate() throws(Errno) -> OwnedFD {
        OwnedFD(adopting: try Errno.check(fcntl(raw, F_DUPFD_CLOEXEC, 0)))
    }
}

extension Errno {
    /// The calling thread's `errno`.
    public static var last: Errno { Errno(rawValue: errno) }

    /// Turns the "-1 and errno" convention of system calls into a value or an error.
    public static func check<Result: SignedInteger>(_ result: Result) throws(Errno) -> Result {
        if result == -1 { throw Errno.last }
        return result
    }

    /// The kernel's own spelling, `EBUSY` for 16; the number where the C library has no name for it.
    public var name: String {
        guard let text = unsafe clinux_errno_name(rawValue) else { return "errno \(rawValue)" }
        return unsafe String(cString: text)
    }
}
