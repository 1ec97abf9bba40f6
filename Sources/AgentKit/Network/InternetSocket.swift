// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A TCP or UDP socket on the loopback address; closed with its last owner.
public final class InternetSocket {
    public enum Kind: Sendable {
        case tcp, udp
    }

    private let handle: FileHandle
    private let isV6: Bool
    /// How long anything is waited for that must come at once.
    private static let limit = Duration.seconds(20)

    public init(_ kind: Kind, isV6: Bool = false) throws(Errno) {
        let type = kind == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let flags = CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        handle = FileHandle(
            adopting: try Errno.check(Glibc.socket(isV6 ? AF_INET6 : AF_INET, CInt(type.rawValue) | flags, 0)))
        self.isV6 = isV6
    }

    private init(_ handle: FileHandle, isV6: Bool) {
        self.handle = handle
        self.isV6 = isV6
    }

    public func close() {
        handle.close()
    }

    /// Takes a port of the loopback address; 0: one that is free.
    public func bind(port: UInt16 = 0) throws(Errno) {
        _ = try Errno.check(unsafe call(port) { unsafe Glibc.bind(handle.raw, $0, $1) })
    }

    public func listen() throws(Errno) {
        _ = try Errno.check(Glibc.listen(handle.raw, 8))
    }

    /// Connects, and waits until it is done.
    public func connect(port: UInt16) throws(Errno) {
        if unsafe call(port, { unsafe Glibc.connect(handle.raw, $0, $1) }) == 0 { return }
        if Errno.last != .nowInProgress { throw Errno.last }
        try wait(for: .write)
        if let error = takeError() { throw error }
    }

    /// Waits for a connection.
    public func accept() throws(Errno) -> InternetSocket {
        while true {
            let raw = Glibc.accept(handle.raw, nil, nil)
            if raw >= 0 {
                let accepted = InternetSocket(FileHandle(adopting: raw), isV6: isV6)
                _ = try Errno.check(fcntl(raw, F_SETFL, O_NONBLOCK))
                return accepted
            }
            if Errno.last != .resourceTemporarilyUnavailable { throw Errno.last }
            try wait(for: .read)
        }
    }

    /// The own port.
    public func port() throws(Errno) -> UInt16 {
        var address = [UInt8](repeating: 0, count: 28)
        var size = socklen_t(address.count)
        let result = unsafe address.withUnsafeMutableBytes { raw -> CInt in
            guard let start = raw.baseAddress else { return -1 }
            return unsafe getsockname(handle.raw, start.assumingMemoryBound(to: sockaddr.self), &size)
        }
        _ = try Errno.check(result)
        return UInt16(address[2]) << 8 | UInt16(address[3])
    }

    /// Sends; what does not fit is an error.
    public func send(_ bytes: [UInt8]) -> Errno? {
        let count = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.send(handle.raw, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
        }
        return count < 0 ? Errno.last : nil
    }

    /// Waits for data, or for the reason why none will come.
    ///
    /// - Returns: no bytes at the end of a stream.
    public func receive(room: Int = 4096) -> Result<[UInt8], Errno> {
        do throws(Errno) {
            try wait(for: .read)
        } catch {
            return .failure(error)
        }
        var bytes = [UInt8](repeating: 0, count: room)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe recv(handle.raw, $0.baseAddress, $0.count, 0) }
        return count < 0 ? .failure(Errno.last) : .success(Array(bytes[..<count]))
    }

    /// SO_ERROR: what went wrong since it was asked last.
    public func takeError() -> Errno? {
        var value: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        if unsafe getsockopt(handle.raw, SOL_SOCKET, SO_ERROR, &value, &size) != 0 { return Errno.last }
        return value == 0 ? nil : Errno(rawValue: value)
    }

    private func wait(for interest: Poller.Interest) throws(Errno) {
        var poller = Poller()
        poller.add(handle.raw, interest)
        let end = ContinuousClock.now + Self.limit
        while try !poller.wait(Self.limit) {
            if ContinuousClock.now >= end { throw .timedOut }
        }
    }

    /// `struct sockaddr_in` or `sockaddr_in6` of the loopback address.
    private func call(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = [UInt8](repeating: 0, count: isV6 ? 28 : 16)
        address[0] = UInt8(isV6 ? AF_INET6 : AF_INET)
        address[2] = UInt8(port >> 8)
        address[3] = UInt8(port & 0xff)
        if isV6 {
            address[23] = 1
        } else {
            address[4] = 127
            address[7] = 1
        }
        return unsafe address.withUnsafeBytes { raw in
            guard let start = raw.baseAddress else { return -1 }
            return unsafe body(start.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }
}
