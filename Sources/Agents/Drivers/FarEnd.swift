// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// The other end of a device's cable: for a card on the host, for a device without hardware the one it is joined with.
protocol FarEnd: AnyObject {
    /// Puts frames on the wire, in order.
    func inject(_ frames: [[UInt8]]) throws
    /// Puts numbered copies of a frame on the wire, as credits allow.
    func burst(_ frame: [UInt8], count: Int, credits: Int) throws
    func grant(_ credits: Int) throws
    /// Frames that the device has transmitted, in order.
    ///
    /// - Parameter wait: until there is one at least; ETIMEDOUT when none comes.
    func collect(wait: Bool) throws -> [[UInt8]]
}

/// A card's wire, on the host.
final class CardEnd: FarEnd {
    private let wire: Wire
    private let card: Int

    init(_ wire: Wire, card: Int) {
        self.wire = wire
        self.card = card
    }

    func inject(_ frames: [[UInt8]]) throws { try wire.inject(frames, card: card) }

    func burst(_ frame: [UInt8], count: Int, credits: Int) throws {
        try wire.burst(frame, numberAt: TestFrame.numberAt, count: count, credits: credits, card: card)
    }

    func grant(_ credits: Int) throws { try wire.grant(credits, card: card) }

    func collect(wait: Bool) throws -> [[UInt8]] { try wire.collect(wait ? 1 : 0, card: card) }
}

/// A device of this machine that another is joined with.
final class PeerEnd: FarEnd {
    private let socket: PacketSocket
    private var burst: (frame: [UInt8], next: UInt32, left: Int)?

    init(_ device: NetworkDevice) throws {
        socket = try PacketSocket(device.index, type: PacketSocket.all, [.incoming, .promiscuous])
    }

    func inject(_ frames: [[UInt8]]) throws {
        for frame in frames { try socket.send(frame) }
    }

    func burst(_ frame: [UInt8], count: Int, credits: Int) throws {
        burst = (frame, 0, count)
        try grant(credits)
    }

    func grant(_ credits: Int) throws {
        guard var current = burst else { return }
        for _ in 0..<min(credits, current.left) {
            for byte in 0..<4 {
                current.frame[TestFrame.numberAt + byte] = UInt8(truncatingIfNeeded: current.next >> UInt32(8 * byte))
            }
            try socket.send(current.frame)
            current.next += 1
            current.left -= 1
        }
        burst = current.left > 0 ? current : nil
    }

    func collect(wait: Bool) throws -> [[UInt8]] {
        var frames: [[UInt8]] = []
        if wait {
            guard let first = try socket.receive(until: .now + PacketSocket.limit) else { throw Errno.timedOut }
            frames.append(first.onTheWire)
        }
        while let frame = try socket.receive() { frames.append(frame.onTheWire) }
        return frames
    }
}

extension PacketSocket.Frame {
    /// With the tag where a cable has it.
    fileprivate var onTheWire: [UInt8] {
        guard let vlan else { return bytes }
        return bytes[..<12] + [0x81, 0x00, UInt8(vlan >> 8), UInt8(vlan & 0xff)] + bytes[12...]
    }
}
