// SPDX-License-Identifier: Apache-2.0

/// What a case in the guest asks of the far ends of its machine's network cards: docs/drivers.md, "The wire".
///
/// Cards are numbered in the order in which the machine was given them.
public enum WireRequest: Equatable, Sendable {
    /// Forgets all that has been asked for and collected. The answer is `hello` with the same number, by which the
    /// guest knows where the answers to an earlier case end.
    case hello(nonce: UInt64)
    /// Puts frames on the wire of a card, one after another.
    case inject(card: UInt8, frames: [[UInt8]])
    /// Puts copies of a frame on the wire of a card, as the credits allow.
    case burst(card: UInt8, WireBurst)
    /// Lets a burst go on by that many frames.
    case grant(card: UInt8, credits: UInt32)
    /// Asks for frames that the card transmits; answered when there are as many as wanted.
    case collect(card: UInt8, minimum: UInt32)
}

/// Copies of one frame, numbered.
public struct WireBurst: Equatable, Sendable {
    public var frame: [UInt8]
    /// Where each copy gets its number: 32 bits, little endian.
    public var numberAt: UInt32
    public var first: UInt32
    public var count: UInt32
    /// How many may be sent before the guest says more.
    public var credits: UInt32

    public init(frame: [UInt8], numberAt: UInt32, first: UInt32, count: UInt32, credits: UInt32) {
        self.frame = frame
        self.numberAt = numberAt
        self.first = first
        self.count = count
        self.credits = credits
    }
}

/// What the far ends answer.
public enum WireReply: Equatable, Sendable {
    /// - Parameter cards: their kinds (`igb`), in the order of their numbers.
    case hello(nonce: UInt64, cards: [String])
    /// What a card has transmitted, in order; as many as fit if there are more.
    case frames(card: UInt8, [[UInt8]])
    /// A request that makes no sense; nothing more is answered before the next `hello`.
    case refused(String)
}

/// Messages on the port of the wire: a mark, the length of the rest, a type and the fields.
public enum WireMessage {
    /// "BPFW", read as a little-endian number.
    static let magic: UInt32 = 0x5746_5042
    static let headerSize = 9
    /// Bytes of a message behind its header.
    public static let maximumLength = 1 << 20
    /// The largest frame: a jumbo frame of 9000 bytes and its headers fits several times.
    public static let maximumFrame = 65_535 + 22
    /// The smallest: two addresses and a type.
    public static let minimumFrame = 14

    static func encode(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.append(magic)
        writer.append(UInt32(payload.count))
        writer.append(type)
        writer.append(payload)
        return writer.bytes
    }

    static func append(_ frames: [[UInt8]], to writer: inout ByteWriter) {
        writer.append(UInt32(frames.count))
        for frame in frames {
            writer.append(UInt32(frame.count))
            writer.append(frame)
        }
    }

    static func frames(_ reader: inout ByteReader) throws(FrameError) -> [[UInt8]] {
        let count: UInt32 = try reader.integer()
        // Each takes its length at least: a count beyond that is a lie, and nothing is reserved for it.
        guard reader.count / 4 >= Int(count) else { throw .truncated }
        var frames: [[UInt8]] = []
        for _ in 0..<count { frames.append(try frame(&reader)) }
        return frames
    }

    static func frame(_ reader: inout ByteReader) throws(FrameError) -> [UInt8] {
        let length: UInt32 = try reader.integer()
        guard (minimumFrame...maximumFrame).contains(Int(length)) else {
            throw .badValue("a network frame of \(length) bytes")
        }
        return Array(try reader.bytes(Int(length)))
    }
}

extension WireRequest {
    public func encode() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .hello(let nonce):
            writer.append(nonce)
            return WireMessage.encode(0, writer.bytes)
        case .inject(let card, let frames):
            writer.append(card)
            WireMessage.append(frames, to: &writer)
            return WireMessage.encode(2, writer.bytes)
        case .burst(let card, let burst):
            writer.append(card)
            for number in [burst.numberAt, burst.first, burst.count, burst.credits] { writer.append(number) }
            writer.append(UInt32(burst.frame.count))
            writer.append(burst.frame)
            return WireMessage.encode(4, writer.bytes)
        case .grant(let card, let credits):
            writer.append(card)
            writer.append(credits)
            return WireMessage.encode(6, writer.bytes)
        case .collect(let card, let minimum):
            writer.append(card)
            writer.append(minimum)
            return WireMessage.encode(8, writer.bytes)
        }
    }

    init(type: UInt8, payload: ArraySlice<UInt8>) throws(FrameError) {
        var reader = ByteReader(payload)
        switch type {
        case 0: self = .hello(nonce: try reader.integer())
        case 2: self = .inject(card: try reader.integer(), frames: try WireMessage.frames(&reader))
        case 4:
            let card: UInt8 = try reader.integer()
            let numberAt: UInt32 = try reader.integer()
            let first: UInt32 = try reader.integer()
            let count: UInt32 = try reader.integer()
            let credits: UInt32 = try reader.integer()
            let frame = try WireMessage.frame(&reader)
            guard Int(numberAt) + 4 <= frame.count else { throw .badValue("a number outside of the frame") }
            self = .burst(
                card: card,
                WireBurst(frame: frame, numberAt: numberAt, first: first, count: count, credits: credits))
        case 6: self = .grant(card: try reader.integer(), credits: try reader.integer())
        case 8: self = .collect(card: try reader.integer(), minimum: try reader.integer())
        default: throw .badValue("a wire request of type \(type)")
        }
        guard reader.count == 0 else { throw .badValue("\(reader.count) bytes behind a wire request") }
    }
}

extension WireReply {
    public func encode() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .hello(let nonce, let cards):
            writer.append(nonce)
            writer.append(cards)
            return WireMessage.encode(1, writer.bytes)
        case .frames(let card, let frames):
            writer.append(card)
            WireMessage.append(frames, to: &writer)
            return WireMessage.encode(3, writer.bytes)
        case .refused(let why):
            writer.append(why)
            return WireMessage.encode(5, writer.bytes)
        }
    }

    init(type: UInt8, payload: ArraySlice<UInt8>) throws(FrameError) {
        var reader = ByteReader(payload)
        switch type {
        case 1: self = .hello(nonce: try reader.integer(), cards: try reader.list())
        case 3: self = .frames(card: try reader.integer(), try WireMessage.frames(&reader))
        case 5: self = .refused(try reader.text())
        default: throw .badValue("a wire reply of type \(type)")
        }
        guard reader.count == 0 else { throw .badValue("\(reader.count) bytes behind a wire reply") }
    }
}
