// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A UDP socket pair over `lo`: one datagram sent passes the device's egress hook, then its ingress hook.
public final class Loopback {
    private let socket: FileHandle
    private var address = sockaddr_in()

    public init() throws(Errno) {
        socket = FileHandle(
            adopting: try Errno.check(
                Glibc.socket(
                    AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0))
        )
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                if unsafe bind(socket.raw, general, size) != 0 { return CInt(-1) }
                // The kernel chose the port.
                return unsafe getsockname(socket.raw, general, &size)
            }
        }
        _ = try Errno.check(result)
    }

    /// Sends one datagram to itself.
    ///
    /// - Returns: whether it has arrived. `lo` delivers before sendto() returns: the receiving soft interrupt runs
    ///   on the sending CPU as soon as the sender enables it again.
    public func exchange() throws(Errno) -> Bool {
        var byte: UInt8 = 0x2a
        let sent = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                unsafe sendto(socket.raw, &byte, 1, 0, general, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // ENOBUFS: an egress program dropped it.
        if sent < 0, Errno.last != .noBufferSpace { throw Errno.last }
        let received = unsafe recv(socket.raw, &byte, 1, 0)
        if received < 0, Errno.last != .resourceTemporarilyUnavailable { throw Errno.last }
        return received == 1
    }
}
