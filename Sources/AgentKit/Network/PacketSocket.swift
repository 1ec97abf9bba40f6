// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A packet socket of one device: sends whole frames through the device's egress hooks, and receives those that have
/// passed its ingress hooks.
///
/// What is received by EtherType has been through XDP, tcx and clsact; a socket for every type (`all`) sees frames
/// before tcx.
public final class PacketSocket {
    public struct Options: OptionSet, Sendable {
        public let rawValue: CInt
        public init(rawValue: CInt) { self.rawValue = rawValue }
        /// Frames have `struct virtio_net_hdr` in front, both ways: segmentation and checksums left to be done.
        public static let virtioHeader = Options(rawValue: CInt(CLINUX_PACKET_VNET_HEADER))
        /// The device takes frames for other addresses and VLANs.
        public static let promiscuous = Options(rawValue: CInt(CLINUX_PACKET_PROMISCUOUS))
        /// Not what the device sends.
        public static let incoming = Options(rawValue: CInt(CLINUX_PACKET_INCOMING))
    }

    /// What has been received.
    public struct Frame: Sendable {
        public var bytes: [UInt8]
        /// The tag that is kept beside the frame: identifier and priority.
        public var vlan: UInt16?
        /// The checksum is known to be right: TP_STATUS_CSUM_VALID.
        public var hasValidChecksum: Bool
        /// The checksum is still to be made: TP_STATUS_CSUMNOTREADY.
        public var wantsChecksum: Bool
    }

    /// `htons(ETH_P_ALL)`, in host order.
    public static let all: UInt16 = 3
    private let handle: FileHandle
    private var buffer = [UInt8](repeating: 0, count: 80 << 10)

    /// - Parameter type: the EtherType to receive; 0: none.
    public init(_ device: UInt32, type: UInt16 = 0, _ options: Options = []) throws(Errno) {
        handle = FileHandle(
            adopting: try Errno.check(clinux_packet_socket(CInt(bitPattern: device), type, options.rawValue)))
    }

    public func close() {
        handle.close()
    }

    /// Sends a frame, and waits for room where that is what is missing.
    ///
    /// - Throws: ENOBUFS when an egress program has dropped it.
    public func send(_ frame: [UInt8]) throws(Errno) {
        while true {
            let count = unsafe frame.withUnsafeBytes { unsafe Glibc.send(handle.raw, $0.baseAddress, $0.count, 0) }
            if count >= 0 { return }
            if Errno.last != .resourceTemporarilyUnavailable { throw Errno.last }
            _ = try wait(.write, until: .now + Self.limit)
        }
    }

    /// The next frame that is there; nil when there is none.
    public func receive() throws(Errno) -> Frame? {
        var info = clinux_packet()
        let count = unsafe buffer.withUnsafeMutableBytes {
            unsafe clinux_packet_receive(handle.raw, $0.baseAddress, $0.count, &info)
        }
        if count < 0 {
            if Errno.last == .resourceTemporarilyUnavailable { return nil }
            throw Errno.last
        }
        // TP_STATUS_VLAN_VALID, TP_STATUS_CSUM_VALID, TP_STATUS_CSUMNOTREADY.
        return Frame(
            bytes: Array(buffer[..<count]), vlan: info.status & 1 << 4 != 0 ? UInt16(info.vlan_tci) : nil,
            hasValidChecksum: info.status & 1 << 7 != 0, wantsChecksum: info.status & 1 << 3 != 0)
    }

    /// Waits for a frame; nil when none has come until then.
    public func receive(until deadline: ContinuousClock.Instant) throws(Errno) -> Frame? {
        while true {
            if let frame = try receive() { return frame }
            guard try wait(.read, until: deadline) else { return nil }
        }
    }

    /// Frames that came when the socket had no room, since it was last asked.
    public func drops() throws(Errno) -> Int {
        Int(try Errno.check(clinux_packet_drops(handle.raw)))
    }

    /// How long anything is waited for that must come at once.
    public static let limit = Duration.seconds(30)

    private func wait(_ interest: Poller.Interest, until deadline: ContinuousClock.Instant) throws(Errno) -> Bool {
        var poller = Poller()
        poller.add(handle.raw, interest)
        while true {
            let left = deadline - .now
            if left <= .zero { return false }
            if try poller.wait(left) { return true }
        }
    }
}
