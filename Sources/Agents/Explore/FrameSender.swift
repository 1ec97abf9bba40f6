// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Sends frames that nobody else sends, and nobody waits for.
final class FrameSender {
    /// For local experiments (IEEE Std 802).
    static let etherType: UInt16 = 0x88b5

    private let socket: FileHandle
    private let payload = [UInt8](repeating: 0x2a, count: 46)

    init() throws(Errno) {
        socket = FileHandle(
            adopting: try Errno.check(
                Glibc.socket(AF_PACKET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)))
    }

    /// Out of a device; nil on success. What receives at the other end of a pair has run when this returns: the
    /// receiving soft interrupt runs on the sending processor as soon as the sender lets it.
    func send(_ device: UInt32) -> Errno? {
        // struct sockaddr_ll, to the broadcast address.
        var address = [UInt8](repeating: 0xff, count: 20)
        unsafe address.withUnsafeMutableBytes { raw in
            unsafe raw.storeBytes(of: UInt16(AF_PACKET), toByteOffset: 0, as: UInt16.self)
            unsafe raw.storeBytes(of: Self.etherType.bigEndian, toByteOffset: 2, as: UInt16.self)
            unsafe raw.storeBytes(of: device, toByteOffset: 4, as: UInt32.self)
            unsafe raw.storeBytes(of: 0x0600_0000, toByteOffset: 8, as: UInt32.self)
        }
        let sent = unsafe payload.withUnsafeBytes { payload in
            unsafe address.withUnsafeBytes { address in
                unsafe sendto(
                    socket.raw, payload.baseAddress, payload.count, 0,
                    address.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(address.count))
            }
        }
        return sent == payload.count ? nil : Errno.last
    }
}
