// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A way that packets take through the hooks under test.
public protocol PacketPath: AnyObject {
    /// Sends one packet.
    ///
    /// - Returns: whether it has arrived.
    func exchange() throws(Errno) -> Bool
}

extension Loopback: PacketPath {}

/// Frames of one device (AF_PACKET), of an EtherType that nothing else uses; in the network namespace that the caller
/// was in when it was made.
public final class FrameSocket {
    /// IEEE 802's "local experimental EtherType 1".
    private static let etherType: UInt16 = 0x88b5
    private static let frameSize = 60
    private let handle: FileHandle

    public init(_ device: String) throws(Errno) {
        let index = try Netlink.index(device)
        let kind = CInt(SOCK_RAW.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
        handle = FileHandle(adopting: try Errno.check(socket(AF_PACKET, kind, 0)))
        // struct sockaddr_ll: family, protocol in network order, index.
        var address = [UInt8](repeating: 0, count: 20)
        address[0] = UInt8(AF_PACKET)
        address[2] = UInt8(Self.etherType >> 8)
        address[3] = UInt8(Self.etherType & 0xff)
        for byte in 0..<4 { address[4 + byte] = UInt8(truncatingIfNeeded: index >> (8 * UInt32(byte))) }
        let result = unsafe address.withUnsafeBytes { raw -> CInt in
            guard let start = raw.baseAddress else { return -1 }
            return unsafe bind(handle.raw, start.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
        _ = try Errno.check(result)
    }

    /// Sends a frame that carries a number, out of the device; nil on success. ENOBUFS: it was dropped on the way.
    public func send(_ number: UInt32) -> Errno? {
        var frame = [UInt8](repeating: 0, count: Self.frameSize)
        frame[12] = UInt8(Self.etherType >> 8)
        frame[13] = UInt8(Self.etherType & 0xff)
        for byte in 0..<4 { frame[14 + byte] = UInt8(truncatingIfNeeded: number >> (8 * UInt32(byte))) }
        let sent = unsafe frame.withUnsafeBytes { unsafe Glibc.send(handle.raw, $0.baseAddress, $0.count, 0) }
        return sent < 0 ? Errno.last : nil
    }

    /// The number in the next frame that has come in through the device; nil when none comes within the limit.
    public func receive(within limit: Duration) throws(Errno) -> UInt32? {
        var poller = Poller()
        poller.add(handle.raw, .read)
        let end = ContinuousClock.now + limit
        var frame = [UInt8](repeating: 0, count: 2048)
        while true {
            let count = unsafe frame.withUnsafeMutableBytes { unsafe recv(handle.raw, $0.baseAddress, $0.count, 0) }
            if count >= 18 { return UInt32(frame, at: 14) }
            if count < 0, Errno.last != .resourceTemporarilyUnavailable { throw Errno.last }
            let left = end - ContinuousClock.now
            if left <= .zero { return nil }
            _ = try poller.wait(left)
        }
    }
}

/// From one device to another that it is joined with.
public final class FramePath: PacketPath {
    private let sender: FrameSocket
    private let receiver: FrameSocket
    private var number: UInt32 = 0
    /// How long a frame is waited for that has not been refused.
    private static let limit = Duration.seconds(5)

    public init(from sender: FrameSocket, to receiver: FrameSocket) {
        self.sender = sender
        self.receiver = receiver
    }

    public func exchange() throws(Errno) -> Bool {
        number += 1
        if let errno = sender.send(number) {
            if errno == .noBufferSpace { return false }
            throw errno
        }
        while let arrived = try receiver.receive(within: Self.limit) {
            // One of before, that came late or was not waited for.
            if arrived == number { return true }
        }
        return false
    }

    /// Sends one frame that nobody waits for; nil on success.
    public func send() -> Errno? {
        number += 1
        return sender.send(number)
    }

    /// The number of the last frame that was sent.
    public var last: UInt32 { number }

    /// The number of the next frame that arrives; nil when none comes.
    public func next() throws(Errno) -> UInt32? {
        try receiver.receive(within: Self.limit)
    }
}
