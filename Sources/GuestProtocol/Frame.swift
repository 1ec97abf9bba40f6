// SPDX-License-Identifier: Apache-2.0

/// What a frame carries; the numbers are the wire's. Even numbers go to the guest, odd ones come from it.
public enum FrameType: UInt16, Sendable, CaseIterable {
    case putFile = 2
    case fileData = 4
    case fileEnd = 6
    case run = 8
    case kill = 10
    case powerOff = 12
    case prepare = 14
    case freeze = 16
    case resume = 18
    case input = 20
    case inputEnd = 22

    case hello = 1
    case fileStored = 3
    case started = 5
    case exited = 7
    case refused = 9
    case log = 11
    case prepared = 13
    case frozen = 15
    case inputTaken = 17
}

/// The fixed start of every frame: 24 bytes, little endian.
public struct FrameHeader: Equatable, Sendable {
    /// "BPFT", read as a little-endian number.
    public static let magic: UInt32 = 0x5446_5042
    public static let size = 24
    /// The largest payload that either side accepts, in bytes.
    public static let maximumPayload = 1 << 20

    public var type: FrameType
    /// Bytes that follow the header.
    public var length: Int
    /// Counts the frames of one direction from 0: a lost or repeated frame is noticed.
    public var sequence: UInt32
    /// Says which life of the guest a frame belongs to: 0 until the host has given a key.
    public var session: UInt64

    public init(type: FrameType, length: Int, sequence: UInt32, session: UInt64) {
        self.type = type
        self.length = length
        self.sequence = sequence
        self.session = session
    }

    public func encode() -> [UInt8] {
        var writer = ByteWriter()
        writer.append(Self.magic)
        writer.append(type.rawValue)
        writer.append(UInt16(0))
        writer.append(UInt32(length))
        writer.append(sequence)
        writer.append(session)
        return writer.bytes
    }

    public init(decoding bytes: some Collection<UInt8>) throws(FrameError) {
        var reader = ByteReader(bytes)
        let magic: UInt32 = try reader.integer()
        guard magic == Self.magic else { throw .notAFrame(magic) }
        let number: UInt16 = try reader.integer()
        let flags: UInt16 = try reader.integer()
        guard let type = FrameType(rawValue: number) else { throw .unknownType(number) }
        guard flags == 0 else { throw .unknownFlags(flags) }
        let length: UInt32 = try reader.integer()
        guard length <= UInt32(Self.maximumPayload) else { throw .tooLong(type, Int(length)) }
        self.type = type
        self.length = Int(length)
        sequence = try reader.integer()
        session = try reader.integer()
    }
}

/// Why bytes are not the frames or messages that the protocol knows.
public enum FrameError: Error, Equatable, Sendable, CustomStringConvertible {
    case notAFrame(UInt32)
    case unknownType(UInt16)
    case unknownFlags(UInt16)
    case tooLong(FrameType, Int)
    case truncated
    case trailingBytes(FrameType, Int)
    case badText
    case badValue(String)
    case wrongDirection(FrameType)
    case outOfSequence(expected: UInt32, found: UInt32)
    case foreignSession(expected: UInt64, found: UInt64)

    public var description: String {
        switch self {
        case .notAFrame(let magic): "a frame must start with \"BPFT\", found 0x" + String(magic, radix: 16)
        case .unknownType(let number): "unknown frame type \(number)"
        case .unknownFlags(let flags): "reserved flag bits are set: 0x" + String(flags, radix: 16)
        case .tooLong(let type, let length):
            "\(type) frame of \(length) bytes, at most \(FrameHeader.maximumPayload) are allowed"
        case .truncated: "the frame ends in the middle of a field"
        case .trailingBytes(let type, let count): "\(count) bytes are left after the last field of \(type)"
        case .badText: "a text field is not UTF-8"
        case .badValue(let what): "impossible value: \(what)"
        case .wrongDirection(let type): "\(type) came from the wrong side"
        case .outOfSequence(let expected, let found): "frame \(found) came where \(expected) was due"
        case .foreignSession(let expected, let found):
            "a frame of session \(String(found, radix: 16)) came in session \(String(expected, radix: 16))"
        }
    }
}
