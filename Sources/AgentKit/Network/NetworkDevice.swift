// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A network device of the caller's network namespace.
public struct NetworkDevice: Sendable, Hashable {
    public let name: String
    public let index: UInt32
    /// The hardware's address: six bytes.
    public let address: [UInt8]

    /// - Throws: ENODEV when there is none of that name.
    public init(_ name: String) throws(Errno) {
        self.name = name
        index = try Netlink.index(name)
        let digits = try Self.attribute(name, "address").split(separator: ":")
        address = digits.compactMap { UInt8($0, radix: 16) }
    }

    /// The device of a card that the machine was given; nil: no driver has taken it.
    ///
    /// - Parameter card: its number, as in `Wire`; the host gives it the address that says it.
    public init?(card: Int) {
        let wanted: [UInt8] = [0x02, 0x62, 0x70, 0x66, 0x00, UInt8(card)]
        for index in 1...64 {
            guard let name = Self.name(of: UInt32(index)), let device = try? NetworkDevice(name) else { continue }
            if device.address == wanted {
                self = device
                return
            }
        }
        return nil
    }

    /// The module that drives it, `igb`; nil for a device without hardware.
    public var driver: String? {
        var buffer = [CChar](repeating: 0, count: 512)
        let count = unsafe readlink("/sys/class/net/\(name)/device/driver", &buffer, buffer.count)
        guard count > 0 else { return nil }
        let target = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return target.split(separator: "/").last.map(String.init)
    }

    /// Whether frames can be sent: it is up, and the other end of its cable too.
    public var hasCarrier: Bool { Self.hasCarrier(name) }

    /// The carrier alone does not say it: until the kernel's work on a change of the carrier has been done, what is sent
    /// is dropped. ETHTOOL_GLINK has it done first (linkwatch_sync_dev()).
    private static func hasCarrier(_ name: String) -> Bool {
        var request: [UInt32] = [0x0a, 0]
        do throws(Errno) {
            try ethtool(name, &request)
            return request[1] == 1
        } catch {
            // netkit does not answer it. A device that is gone or down has no carrier.
            return error == .notSupportedOnSocket && (try? attribute(name, "carrier")) == "1"
        }
    }

    /// A counter of the device, such as `rx_packets`.
    public func statistic(_ counter: String) throws(Errno) -> UInt64 {
        UInt64(try Self.attribute(name, "statistics/\(counter)")) ?? 0
    }

    public func setUp() throws(Errno) {
        try Netlink.setUp(name)
    }

    /// Sets the largest payload of a frame.
    public func set(mtu: Int) throws(Errno) {
        var message = Netlink.Message.link(index: index, flags: 0, change: 0)
        message.number(4, UInt32(mtu))
        try Netlink.talk(Netlink.newLink, [], message)
    }

    /// Waits until devices have a carrier, by the kernel's announcements.
    ///
    /// - Throws: ETIMEDOUT.
    public static func waitForCarrier(of devices: [NetworkDevice], limit: Duration) throws(Errno) {
        try waitForCarrier(of: devices.map(\.name), limit: limit)
    }

    /// As above, for devices of a network namespace that /sys does not show.
    public static func waitForCarrier(of names: [String], limit: Duration) throws(Errno) {
        let events = FileHandle(adopting: try Errno.check(clinux_link_events()))
        let deadline = ContinuousClock.now + limit
        var poller = Poller()
        poller.add(events.raw, .read)
        var message = [UInt8](repeating: 0, count: 65536)
        while !names.allSatisfy(hasCarrier) {
            let left = deadline - .now
            if left <= .zero { throw .timedOut }
            guard try poller.wait(left) else { continue }
            do throws(Errno) {
                // What it says does not matter: each is a reason to look again, ENOBUFS (some were dropped) too.
                _ = try events.read(into: &message)
            } catch {
                if error != .noBufferSpace, error != .resourceTemporarilyUnavailable { throw error }
            }
        }
    }

    private static func attribute(_ device: String, _ name: String) throws(Errno) -> String {
        let bytes = try readFile("/sys/class/net/\(device)/\(name)")
        return String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    }

    private static func name(of index: UInt32) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        guard unsafe if_indextoname(index, &buffer) != nil else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
