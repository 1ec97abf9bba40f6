// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Sockets over 127.0.0.1 in the caller's network namespace, whose `lo` is up.
enum Sockets {
    enum Kind {
        case tcp, udp

        fileprivate var type: CInt {
            switch self {
            case .tcp: CInt(SOCK_STREAM.rawValue)
            case .udp: CInt(SOCK_DGRAM.rawValue)
            }
        }
    }

    static func make(_ kind: Kind) throws(Errno) -> FileHandle {
        FileHandle(adopting: try Errno.check(socket(AF_INET, kind.type | CInt(SOCK_CLOEXEC.rawValue), 0)))
    }

    /// Bound to a port, 0 for one that the kernel chooses; listening if it is TCP's.
    static func listener(_ kind: Kind, port: UInt16 = 0) throws(Errno) -> FileHandle {
        let socket = try make(kind)
        _ = try Errno.check(unsafe withAddress(port) { unsafe bind(socket.raw, $0, $1) })
        if kind == .tcp { _ = try Errno.check(listen(socket.raw, 8)) }
        return socket
    }

    static func port(of socket: FileHandle) throws(Errno) -> UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(socket.raw, $0, &size)
            }
        }
        _ = try Errno.check(result)
        return UInt16(bigEndian: address.sin_port)
    }

    /// connect(2); nil on success.
    static func connect(_ socket: FileHandle, port: UInt16) -> Errno? {
        unsafe withAddress(port) { unsafe Glibc.connect(socket.raw, $0, $1) } == 0 ? nil : Errno.last
    }

    /// Sends one byte over a connected socket; nil on success.
    static func send(_ socket: FileHandle) -> Errno? {
        var byte: UInt8 = 0x2a
        return unsafe Glibc.send(socket.raw, &byte, 1, CInt(MSG_NOSIGNAL)) == 1 ? nil : Errno.last
    }

    /// Takes what is there; nil on success, EAGAIN where nothing is. `lo` delivers before a sender returns.
    static func take(_ socket: FileHandle) -> Errno? {
        var byte: UInt8 = 0
        return unsafe recv(socket.raw, &byte, 1, CInt(MSG_DONTWAIT)) == 1 ? nil : Errno.last
    }

    static func accept(_ socket: FileHandle) throws(Errno) -> FileHandle {
        FileHandle(adopting: try Errno.check(Glibc.accept(socket.raw, nil, nil)))
    }

    /// A UDP socket is made and connected, which sends nothing.
    static func connectUDP() throws(Errno) {
        let socket = try make(.udp)
        if let errno = connect(socket, port: 9) { throw errno }
    }

    /// Sends a packet of a given protocol (of Ethernet) out of a device; nil on success.
    ///
    /// - Parameter payload: what follows the device's own header.
    static func sendPacket(_ payload: [UInt8], protocol number: UInt16, device: UInt32) -> Errno? {
        let packets: FileHandle
        do {
            packets = FileHandle(
                adopting: try Errno.check(
                    socket(AF_PACKET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)))
        } catch {
            return error
        }
        // struct sockaddr_ll, with an address of all ones.
        var address = [UInt8](repeating: 0xff, count: 20)
        unsafe address.withUnsafeMutableBytes { raw in
            unsafe raw.storeBytes(of: UInt16(AF_PACKET), toByteOffset: 0, as: UInt16.self)
            unsafe raw.storeBytes(of: number.bigEndian, toByteOffset: 2, as: UInt16.self)
            unsafe raw.storeBytes(of: device, toByteOffset: 4, as: UInt32.self)
            unsafe raw.storeBytes(of: 0x0600_0000, toByteOffset: 8, as: UInt32.self)
        }
        let sent = unsafe payload.withUnsafeBytes { payload in
            unsafe address.withUnsafeBytes { address in
                unsafe sendto(
                    packets.raw, payload.baseAddress, payload.count, 0,
                    address.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(address.count))
            }
        }
        return sent == payload.count ? nil : Errno.last
    }

    private static func withAddress<Result>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
