// SPDX-License-Identifier: Apache-2.0

/// Turns a stream of bytes, in whatever pieces they come, into checked frames.
///
/// Holds at most one frame of the largest size plus what was given last.
public struct FrameDecoder: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0
    private var sequence: UInt32 = 0
    /// The only session whose frames are taken.
    public private(set) var session: UInt64

    public init(session: UInt64 = 0) {
        self.session = session
    }

    /// Begins a session, as `resume` does: frames are counted from 0 again, and those of the old one refused.
    public mutating func begin(session: UInt64) {
        self.session = session
        sequence = 0
    }

    public mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole frame; nil until more bytes have come.
    ///
    /// - Throws: at the first byte that cannot be part of the protocol. The stream has no way back from that.
    public mutating func next() throws(FrameError) -> (type: FrameType, payload: ArraySlice<UInt8>)? {
        guard buffer.count - start >= FrameHeader.size else { return nil }
        let header = try FrameHeader(decoding: buffer[start..<(start + FrameHeader.size)])
        guard header.sequence == sequence else { throw .outOfSequence(expected: sequence, found: header.sequence) }
        guard header.session == session else { throw .foreignSession(expected: session, found: header.session) }
        let payload = start + FrameHeader.size
        guard buffer.count - payload >= header.length else { return nil }
        sequence &+= 1
        start = payload + header.length
        return (header.type, buffer[payload..<start])
    }
}

/// Numbers the frames of one direction.
public struct FrameEncoder: Sendable {
    private var sequence: UInt32 = 0
    public private(set) var session: UInt64

    public init(session: UInt64 = 0) {
        self.session = session
    }

    /// Begins a session: frames are counted from 0 again.
    public mutating func begin(session: UInt64) {
        self.session = session
        sequence = 0
    }

    /// The next frame's header, for a payload that is sent from where it lies.
    public mutating func header(_ type: FrameType, length: Int) -> [UInt8] {
        defer { sequence &+= 1 }
        return FrameHeader(type: type, length: length, sequence: sequence, session: session).encode()
    }

    public mutating func frame(_ type: FrameType, payload: [UInt8]) -> [UInt8] {
        header(type, length: payload.count) + payload
    }
}
