// SPDX-License-Identifier: Apache-2.0

/// XXH64 of a byte stream: the checksum of a pushed file.
///
/// Chosen because it costs a few 64-bit instructions for 8 bytes, which an emulated guest can afford. It guards
/// against bugs and not against an attacker: the guest is hostile to the host, never the other way.
///
/// - Source: the xxHash algorithm description, "XXH64 algorithm description".
public struct XXH64: Sendable {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    private var lane1: UInt64
    private var lane2: UInt64
    private var lane3: UInt64
    private var lane4: UInt64
    private var pending: [UInt8] = []
    private var total: UInt64 = 0
    private let seed: UInt64

    public init(seed: UInt64 = 0) {
        self.seed = seed
        lane1 = seed &+ Self.prime1 &+ Self.prime2
        lane2 = seed &+ Self.prime2
        lane3 = seed
        lane4 = seed &- Self.prime1
    }

    private static func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
        rotate(lane &+ input &* prime2, 31) &* prime1
    }

    private static func rotate(_ value: UInt64, _ by: UInt64) -> UInt64 {
        value << by | value >> (64 - by)
    }

    private static func merge(_ hash: UInt64, _ lane: UInt64) -> UInt64 {
        (hash ^ round(0, lane)) &* prime1 &+ prime4
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        total &+= UInt64(bytes.count)
        var offset = 0
        if !pending.isEmpty {
            let taken = min(32 - pending.count, bytes.count)
            unsafe pending.append(contentsOf: bytes[0..<taken])
            offset = taken
            guard pending.count == 32 else { return }
            unsafe pending.withUnsafeBytes { block in unsafe stripes(block) }
            pending.removeAll(keepingCapacity: true)
        }
        let whole = (bytes.count - offset) / 32 * 32
        unsafe stripes(UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + whole)]))
        unsafe pending.append(contentsOf: bytes[(offset + whole)...])
    }

    /// Takes a multiple of 32 bytes.
    private mutating func stripes(_ bytes: UnsafeRawBufferPointer) {
        var (a, b, c, d) = (lane1, lane2, lane3, lane4)
        var offset = 0
        while offset < bytes.count {
            a = unsafe Self.round(a, bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian)
            b = unsafe Self.round(b, bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self).littleEndian)
            c = unsafe Self.round(c, bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self).littleEndian)
            d = unsafe Self.round(d, bytes.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self).littleEndian)
            offset += 32
        }
        (lane1, lane2, lane3, lane4) = (a, b, c, d)
    }

    /// The checksum of everything so far.
    public var digest: UInt64 {
        var hash: UInt64
        if total >= 32 {
            hash = Self.rotate(lane1, 1) &+ Self.rotate(lane2, 7) &+ Self.rotate(lane3, 12) &+ Self.rotate(lane4, 18)
            for lane in [lane1, lane2, lane3, lane4] { hash = Self.merge(hash, lane) }
        } else {
            hash = seed &+ Self.prime5
        }
        hash &+= total
        var rest = pending[...]
        while rest.count >= 8 {
            hash ^= Self.round(0, Self.word(rest.prefix(8)))
            hash = Self.rotate(hash, 27) &* Self.prime1 &+ Self.prime4
            rest = rest.dropFirst(8)
        }
        if rest.count >= 4 {
            hash ^= Self.word(rest.prefix(4)) &* Self.prime1
            hash = Self.rotate(hash, 23) &* Self.prime2 &+ Self.prime3
            rest = rest.dropFirst(4)
        }
        for byte in rest {
            hash ^= UInt64(byte) &* Self.prime5
            hash = Self.rotate(hash, 11) &* Self.prime1
        }
        hash ^= hash >> 33
        hash &*= Self.prime2
        hash ^= hash >> 29
        hash &*= Self.prime3
        hash ^= hash >> 32
        return hash
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension XXH64 {
    /// The checksum of one piece.
    public static func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        var state = XXH64(seed: seed)
        unsafe bytes.withUnsafeBytes { unsafe state.update($0) }
        return state.digest
    }
}
