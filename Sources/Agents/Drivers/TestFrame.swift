// SPDX-License-Identifier: Apache-2.0

/// A frame of tests-bpf/include/drivers.h: of an EtherType that nothing else uses, numbered, with the trace of the
/// programs that it has run.
struct TestFrame: Equatable, CustomStringConvertible {
    /// IEEE 802's "local experimental EtherType 1".
    static let etherType: UInt16 = 0x88b5
    /// Of the frame's number, for bursts.
    static let numberAt = 22
    static let minimumSize = 94
    /// Of the trace, behind its length and padding.
    private static let traceAt = 30
    /// Where frames come from that no device of the machine sends: a locally administered address.
    static let stranger: [UInt8] = [0x0a, 0x62, 0x70, 0x66, 0x74, 0x01]

    var run: UInt32
    var number: UInt32
    var trace: [UInt8]
    var size: Int

    /// What goes on the wire.
    ///
    /// - Parameters:
    ///   - trace: of programs that it is to have run already; none.
    ///   - size: without a checksum, of `minimumSize` at least.
    static func bytes(to: [UInt8], run: UInt32, number: UInt32, size: Int = 128) -> [UInt8] {
        var bytes = to + stranger + [UInt8(etherType >> 8), UInt8(etherType & 0xff)]
        for value in [0x7466_7062, run, number] {
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
        bytes += [UInt8](repeating: 0, count: minimumSize - bytes.count)
        for index in bytes.count..<max(size, bytes.count) { bytes.append(filler(index)) }
        return bytes
    }

    private static func filler(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index &* 7 &+ index >> 8) }

    /// Reads a frame; nil for one that is no test's, or whose filling has been changed on the way.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.minimumSize, bytes[12] == 0x88, bytes[13] == 0xb5 else { return nil }
        let word = { (at: Int) in
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        }
        guard word(14) == 0x7466_7062 else { return nil }
        run = word(18)
        number = word(Self.numberAt)
        let length = Int(bytes[26])
        let traceAt = Self.traceAt
        guard length <= 64, bytes[(traceAt + length)..<Self.minimumSize].allSatisfy({ $0 == 0 }) else { return nil }
        trace = Array(bytes[traceAt..<(traceAt + length)])
        size = bytes.count
        for index in Self.minimumSize..<bytes.count where bytes[index] != Self.filler(index) { return nil }
    }

    var description: String {
        "\(number):[" + trace.map { "P\($0)" }.joined(separator: ",") + "]"
    }
}
