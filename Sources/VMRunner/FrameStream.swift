// SPDX-License-Identifier: Apache-2.0
internal import GuestProtocol

/// Cuts what QEMU's `-netdev stream` writes into network frames: each comes behind its length, 32 bits big endian.
struct FrameStream {
    private var buffer: [UInt8] = []
    private var start = 0

    /// - Returns: the frames that are whole now; nil at a length that no card transmits: the stream has no way back.
    mutating func append(_ bytes: ArraySlice<UInt8>) -> [[UInt8]]? {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer += bytes
        var frames: [[UInt8]] = []
        while buffer.count - start >= 4 {
            let length = buffer[start..<(start + 4)].reduce(0) { $0 << 8 | Int($1) }
            guard length <= WireMessage.maximumFrame else { return nil }
            guard buffer.count - start - 4 >= length else { break }
            frames.append(Array(buffer[(start + 4)..<(start + 4 + length)]))
            start += 4 + length
        }
        return frames
    }

    /// A frame as QEMU reads it.
    static func encode(_ frame: [UInt8], into bytes: inout [UInt8]) {
        for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: frame.count >> shift)) }
        bytes += frame
    }
}
