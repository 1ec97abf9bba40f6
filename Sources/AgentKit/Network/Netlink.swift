// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// rtnetlink, as far as cases need it: devices and qdiscs in the caller's network namespace.
///
/// - Source: rtnetlink(7); layouts of include/uapi/linux/{netlink,rtnetlink,if_link,pkt_sched}.h.
public enum Netlink {
    static let newLink: UInt16 = 16
    private static let delLink: UInt16 = 17
    private static let newQdisc: UInt16 = 36
    private static let delQdisc: UInt16 = 37
    private static let request: UInt16 = 1
    private static let acknowledge: UInt16 = 4
    static let create: UInt16 = 0x400
    static let exclusive: UInt16 = 0x200

    /// The number of a device.
    public static func index(_ name: String) throws(Errno) -> UInt32 {
        let index = unsafe if_nametoindex(name)
        if index == 0 { throw Errno.last }
        return index
    }

    public static func setUp(_ name: String) throws(Errno) {
        try talk(newLink, [], Message.link(index: try index(name), flags: 1, change: 1))
    }

    /// A device that swallows what is sent through it.
    public static func addDummy(_ name: String) throws(Errno) {
        var message = Message.link(index: 0, flags: 1, change: 1)
        message.text(3, name)
        message.nest(18) { $0.text(1, "dummy") }
        try talk(newLink, [create, exclusive], message)
    }

    /// Two devices joined by a cable, both up.
    public static func addVeth(_ name: String, peer: String) throws(Errno) {
        // Made down: an end that comes up before the other is there says ENOTCONN.
        var message = Message.link(index: 0, flags: 0, change: 0)
        message.text(3, name)
        message.nest(18) { info in
            info.text(1, "veth")
            info.nest(2) { data in
                data.nest(1) { end in
                    end.raw(Message.link(index: 0, flags: 0, change: 0).bytes)
                    end.text(3, peer)
                }
            }
        }
        try talk(newLink, [create, exclusive], message)
        try setUp(name)
        try setUp(peer)
    }

    public static func delete(_ name: String) throws(Errno) {
        try talk(delLink, [], Message.link(index: try index(name), flags: 0, change: 0))
    }

    /// The qdisc that carries no packets but holds the classic tc filters of both directions.
    public static func addClsact(_ device: String) throws(Errno) {
        try talk(newQdisc, [create, exclusive], try Message.clsact(try index(device)))
    }

    public static func deleteClsact(_ device: String) throws(Errno) {
        try talk(delQdisc, [], try Message.clsact(try index(device)))
    }

    /// The qdisc that all packets leaving a device pass.
    public static func addRootQdisc(_ device: String, kind: String) throws(Errno) {
        try talk(newQdisc, [create, exclusive], try Message.rootQdisc(try index(device), kind))
    }

    public static func deleteRootQdisc(_ device: String) throws(Errno) {
        try talk(delQdisc, [], try Message.rootQdisc(try index(device), nil))
    }

    /// A netlink message's payload under construction.
    struct Message {
        private(set) var bytes: [UInt8] = []

        static func link(index: UInt32, flags: UInt32, change: UInt32) -> Message {
            var message = Message()
            message.word32(0)  // family, padding, device type
            message.word32(index)
            message.word32(flags)
            message.word32(change)
            return message
        }

        static func clsact(_ index: UInt32) throws(Errno) -> Message {
            var message = Message()
            message.word32(0)
            message.word32(index)
            message.word32(0xffff_0000)  // handle ffff:
            message.word32(0xffff_fff1)  // TC_H_CLSACT
            message.word32(0)
            message.text(1, "clsact")
            return message
        }

        static func rootQdisc(_ index: UInt32, _ kind: String?) throws(Errno) -> Message {
            var message = Message()
            message.word32(0)
            message.word32(index)
            message.word32(kind == nil ? 0 : 0x8000_0000)  // handle 8000:
            message.word32(0xffff_ffff)  // TC_H_ROOT
            message.word32(0)
            if let kind { message.text(1, kind) }
            return message
        }

        mutating func zeros(_ count: Int) {
            bytes += [UInt8](repeating: 0, count: count)
        }

        mutating func words(_ type: UInt16, _ values: [UInt32]) {
            var inner = Message()
            for value in values { inner.word32(value) }
            attribute(type, inner.bytes)
        }

        mutating func word32(_ value: UInt32) {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }

        mutating func raw(_ more: [UInt8]) { bytes += more }

        mutating func text(_ type: UInt16, _ value: String) {
            attribute(type, Array(value.utf8) + [0])
        }

        mutating func nest(_ type: UInt16, _ fill: (inout Message) -> Void) {
            var inner = Message()
            fill(&inner)
            attribute(type, inner.bytes)
        }

        private mutating func attribute(_ type: UInt16, _ value: [UInt8]) {
            word32(UInt32(4 + value.count) | UInt32(type) << 16)
            bytes += value
            while bytes.count % 4 != 0 { bytes.append(0) }
        }
    }

    /// Sends one request and waits for its acknowledgement.
    ///
    /// - Parameter family: NETLINK_ROUTE, NETLINK_XFRM…
    /// - Returns: what was answered before, of several messages the last, its header included.
    @discardableResult
    static func talk(
        _ type: UInt16, _ flags: [UInt16], _ message: Message, family: CInt = CInt(NETLINK_ROUTE)
    ) throws(Errno) -> [UInt8] {
        let socket = FileHandle(
            adopting: try Errno.check(
                socket(AF_NETLINK, CInt(SOCK_RAW.rawValue) | CInt(SOCK_CLOEXEC.rawValue), family)))
        var header = Message()
        header.word32(UInt32(16 + message.bytes.count))
        header.word32(UInt32(type) | UInt32(flags.reduce(request | acknowledge, |)) << 16)
        header.word32(1)
        header.word32(0)
        header.raw(message.bytes)
        let sent = unsafe header.bytes.withUnsafeBytes { unsafe send(socket.raw, $0.baseAddress, $0.count, 0) }
        _ = try Errno.check(sent)
        var answer = [UInt8](repeating: 0, count: 8192)
        var count = try socket.read(into: &answer)
        var said: [UInt8] = []
        while count >= 16, UInt32(answer, at: 4) & 0xffff != 2 {
            said = Array(answer[..<count])
            count = try socket.read(into: &answer)
        }
        // struct nlmsgerr behind the header: the errno, negative; 0 acknowledges.
        guard count >= 20 else { throw .badMessage }
        let error = CInt(bitPattern: UInt32(answer, at: 16))
        if error != 0 { throw Errno(rawValue: -error) }
        return said
    }
}
