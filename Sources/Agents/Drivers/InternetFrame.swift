// SPDX-License-Identifier: Apache-2.0

/// IPv4 frames with TCP or UDP, and their checksums as they must be on a wire.
struct InternetFrame {
    enum Transport: UInt8 {
        case tcp = 6
        case udp = 17

        var headerSize: Int { self == .tcp ? 20 : 8 }
        var checksumAt: Int { self == .tcp ? 16 : 6 }
    }

    enum Checksum {
        case right, wrong
        /// Only the sum of the pseudo-header: the rest is left to whoever sends it on.
        case partial
    }

    static let headerSize = 14 + 20
    static let etherType: UInt16 = 0x0800
    /// TEST-NET-2 of RFC 5737.
    private static let source: [UInt8] = [198, 51, 100, 1]
    private static let destination: [UInt8] = [198, 51, 100, 2]

    var transport: Transport
    var payload: [UInt8]

    /// Bytes that say where they belong.
    static func payload(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 5 &+ $0 >> 8) }
    }

    func bytes(to address: [UInt8], _ checksum: Checksum) -> [UInt8] {
        var segment = Self.word(4000) + Self.word(4001)
        let length = transport.headerSize + payload.count
        switch transport {
        // Sequence number 0x1000, acknowledgement 0x2000; five words of header; ACK and PSH; window.
        case .tcp: segment += [0, 0, 0x10, 0, 0, 0, 0x20, 0, 0x50, 0x18] + Self.word(512) + [0, 0, 0, 0]
        case .udp: segment += Self.word(UInt16(truncatingIfNeeded: length)) + [0, 0]
        }
        segment += payload
        let pseudo = Self.pseudo(transport, length)
        var sum: UInt16
        switch checksum {
        case .right: sum = ~Self.sum(pseudo + segment)
        case .wrong: sum = ~Self.sum(pseudo + segment) ^ 0x5555
        case .partial: sum = Self.sum(pseudo)
        }
        if sum == 0 { sum = 0xffff }
        segment.replaceSubrange(transport.checksumAt..<(transport.checksumAt + 2), with: Self.word(sum))
        var header: [UInt8] = [0x45, 0] + Self.word(UInt16(truncatingIfNeeded: 20 + length))
        // Identification, don't fragment, time to live.
        header += [0, 1, 0x40, 0, 64, transport.rawValue, 0, 0] + Self.source + Self.destination
        header.replaceSubrange(10..<12, with: Self.word(~Self.sum(header)))
        return address + TestFrame.stranger + Self.word(Self.etherType) + header + segment
    }

    /// `struct virtio_net_hdr` that leaves the transport's checksum, and segmentation, to be done.
    ///
    /// - Parameter segment: payload of each segment; nil: no segmentation.
    func virtioHeader(segment: Int? = nil) -> [UInt8] {
        let start = UInt16(Self.headerSize)
        // VIRTIO_NET_HDR_F_NEEDS_CSUM; VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP_L4.
        let kind: UInt8 = segment == nil ? 0 : transport == .tcp ? 1 : 5
        let words = [
            UInt16(Self.headerSize + transport.headerSize), UInt16(segment ?? 0), start, UInt16(transport.checksumAt),
        ]
        return [1, kind] + words.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
    }

    // MARK: Reading

    /// A frame taken apart; nil for one that is no test's.
    struct Parts: Equatable {
        var transport: Transport
        var sequence: UInt32
        var flags: UInt8
        var payload: [UInt8]
        var ipIsRight: Bool
        var checksumIsRight: Bool
    }

    static func parse(_ frame: [UInt8]) -> Parts? {
        guard frame.count >= headerSize + 8, frame[6..<12].elementsEqual(TestFrame.stranger), frame[12] == 8,
            frame[13] == 0, frame[14] == 0x45, let transport = Transport(rawValue: frame[23])
        else { return nil }
        let length = Int(frame[16]) << 8 | Int(frame[17])
        guard length >= 20 + transport.headerSize, frame.count >= 14 + length else { return nil }
        let segment = Array(frame[headerSize..<(14 + length)])
        let sequence = transport == .tcp ? segment[4..<8].reduce(0) { $0 << 8 | UInt32($1) } : 0
        let lengthIsRight = transport == .tcp || Int(segment[4]) << 8 | Int(segment[5]) == segment.count
        return Parts(
            transport: transport, sequence: sequence, flags: transport == .tcp ? segment[13] : 0,
            payload: Array(segment[transport.headerSize...]), ipIsRight: sum(Array(frame[14..<34])) == 0xffff,
            checksumIsRight: lengthIsRight && sum(pseudo(transport, segment.count) + segment) == 0xffff)
    }

    private static func pseudo(_ transport: Transport, _ length: Int) -> [UInt8] {
        source + destination + [0, transport.rawValue] + word(UInt16(truncatingIfNeeded: length))
    }

    private static func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xff)] }

    /// The sum that the Internet checksum is the complement of.
    private static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return UInt16(sum)
    }
}
