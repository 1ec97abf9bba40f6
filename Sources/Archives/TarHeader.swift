// SPDX-License-Identifier: Apache-2.0

/// A header of a tar archive in its ustar form: 512 bytes in front of each file.
///
/// Ours, and not a library's: what is written is one fixed form of it, and what is read is refused unless it is that form.
/// Libraries are made for the opposite, to make sense of what every tar has ever written.
///
/// - Source: POSIX.1-2017, pax, "ustar Interchange Format".
struct TarHeader: Equatable {
    static let blockSize = 512

    var name: String
    var size: Int
    var isExecutable: Bool

    init(name: String, size: Int, isExecutable: Bool) {
        (self.name, self.size, self.isExecutable) = (name, size, isExecutable)
    }

    /// Bytes of an empty block at the end of a file.
    static func padding(_ size: Int) -> Int { (blockSize - size % blockSize) % blockSize }

    // MARK: Writing

    /// - Returns: nil where the name does not fit: 155 and 100 bytes, at a slash.
    func encoded() -> [UInt8]? {
        guard let (prefix, rest) = Self.split(name), size < 1 << 33 else { return nil }
        var block = [UInt8](repeating: 0, count: Self.blockSize)
        func put(_ text: String, at offset: Int) {
            block.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
        }
        put(rest, at: 0)
        put(isExecutable ? "0000755" : "0000644", at: 100)
        // Owner, group and time are nobody's.
        put("0000000", at: 108)
        put("0000000", at: 116)
        put(Self.octal(size, digits: 11), at: 124)
        put("00000000000", at: 136)
        put("0", at: 156)
        put("ustar", at: 257)
        put("00", at: 263)
        put("0000000", at: 329)
        put("0000000", at: 337)
        put(prefix, at: 345)
        put(Self.octal(Self.checksum(block), digits: 6), at: 148)
        block[154] = 0
        block[155] = UInt8(ascii: " ")
        return block
    }

    private static func split(_ name: String) -> (String, String)? {
        if name.utf8.count <= 100 { return ("", name) }
        for (index, byte) in name.utf8.enumerated() where byte == UInt8(ascii: "/") {
            let rest = name.utf8.count - index - 1
            if index <= 155, rest <= 100, rest > 0 {
                let cut = name.utf8.index(name.startIndex, offsetBy: index)
                return (String(name[..<cut]), String(name[name.utf8.index(after: cut)...]))
            }
        }
        return nil
    }

    private static func octal(_ number: Int, digits: Int) -> String {
        let text = String(number, radix: 8)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    /// The sum of all bytes, those of the sum itself taken for blanks.
    private static func checksum(_ block: [UInt8]) -> Int {
        block.enumerated().reduce(0) { $0 + Int((148..<156).contains($1.offset) ? 0x20 : $1.element) }
    }

    // MARK: Reading

    /// - Parameter block: `blockSize` bytes.
    /// - Throws: what the entry is instead of a plain file in the form that `encoded` has.
    init(decoding block: [UInt8], in archive: String) throws(ArchiveError) {
        let field = { (offset: Int, count: Int) in block[offset..<(offset + count)].prefix { $0 != 0 } }
        guard Array(block[257..<265]) == Array("ustar\0".utf8) + Array("00".utf8) else {
            throw .refused("\(archive) is no tar archive as bpftest writes them")
        }
        guard Self.number(field(148, 8)) == Self.checksum(block) else {
            throw .refused("\(archive) is damaged: the checksum of a header is wrong")
        }
        let last = String(decoding: field(0, 100), as: UTF8.self)
        let prefix = String(decoding: field(345, 155), as: UTF8.self)
        name = prefix.isEmpty ? last : "\(prefix)/\(last)"
        let kind = block[156]
        guard kind == UInt8(ascii: "0") else {
            throw .refused("\(archive): \(printable(name)) is \(Self.kind(kind)), and bpftest writes plain files alone")
        }
        guard let size = Self.number(field(124, 12)) else {
            throw .refused("\(archive): \(printable(name)) has no size that makes sense")
        }
        self.size = size
        isExecutable = (Self.number(field(100, 8)) ?? 0) & 0o111 != 0
    }

    /// Octal digits alone: `Int` would take a sign too.
    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard digits.allSatisfy({ (0x30...0x37).contains($0) }) else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: 8)
    }

    private static func kind(_ byte: UInt8) -> String {
        switch byte {
        case UInt8(ascii: "1"): "a hard link"
        case UInt8(ascii: "2"): "a symbolic link"
        case UInt8(ascii: "3"): "a character device"
        case UInt8(ascii: "4"): "a block device"
        case UInt8(ascii: "5"): "a directory"
        case UInt8(ascii: "6"): "a fifo"
        case UInt8(ascii: "x"), UInt8(ascii: "g"): "a header of the pax form"
        default: "an entry of type \(byte)"
        }
    }
}
