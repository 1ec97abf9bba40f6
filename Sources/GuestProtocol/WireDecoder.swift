// SPDX-License-Identifier: Apache-2.0

/// Turns the bytes of the wire's port, in whatever pieces they come, into checked messages.
///
/// Holds at most one message of the largest size plus what was given last.
public struct WireDecoder: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0

    public init() {}

    public mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next request; nil until more bytes have come.
    ///
    /// - Throws: at what no guest of ours says; `skip` goes on from there.
    public mutating func nextRequest() throws(FrameError) -> WireRequest? {
        guard let (type, payload) = try next() else { return nil }
        return try WireRequest(type: type, payload: payload)
    }

    /// The next reply; nil until more bytes have come.
    public mutating func nextReply() throws(FrameError) -> WireReply? {
        guard let (type, payload) = try next() else { return nil }
        return try WireReply(type: type, payload: payload)
    }

    private mutating func next() throws(FrameError) -> (UInt8, ArraySlice<UInt8>)? {
        guard buffer.count - start >= WireMessage.headerSize else { return nil }
        var reader = ByteReader(buffer[start..<(start + WireMessage.headerSize)])
        let magic: UInt32 = try reader.integer()
        guard magic == WireMessage.magic else { throw .notAFrame(magic) }
        let length: UInt32 = try reader.integer()
        guard length <= UInt32(WireMessage.maximumLength) else { throw .badValue("a wire message of \(length) bytes") }
        let type: UInt8 = try reader.integer()
        let payload = start + WireMessage.headerSize
        guard buffer.count - payload >= Int(length) else { return nil }
        start = payload + Int(length)
        return (type, buffer[payload..<start])
    }

    /// Drops what comes before the answer to a `hello`: the rest of what an earlier case was told.
    ///
    /// - Returns: whether it is there; the next message is that then.
    public mutating func skip(toHello nonce: UInt64) -> Bool {
        var writer = ByteWriter()
        writer.append(UInt8(1))
        writer.append(nonce)
        return skip(to: writer.bytes, at: WireMessage.headerSize - 1)
    }

    /// Drops what comes before a request `hello`: the rest of what a case that was ended had begun to say.
    public mutating func skipToHello() -> Bool {
        var writer = ByteWriter()
        writer.append(UInt32(8))
        writer.append(UInt8(0))
        return skip(to: writer.bytes, at: 4)
    }

    /// Drops what comes before a message that has these bytes in it.
    ///
    /// - Parameter place: where these bytes are, from the message's start.
    private mutating func skip(to bytes: [UInt8], at place: Int) -> Bool {
        var mark = ByteWriter()
        mark.append(WireMessage.magic)
        while buffer.count - start >= place + bytes.count {
            if buffer[start..<(start + 4)].elementsEqual(mark.bytes),
                buffer[(start + place)..<(start + place + bytes.count)].elementsEqual(bytes)
            {
                return true
            }
            start += 1
        }
        return false
    }
}
