// SPDX-License-Identifier: Apache-2.0

/// A cpio archive of the "newc" form, as guest images are: read entry by entry, every number checked.
///
/// - Source: Documentation/driver-api/early-userspace/buffer-format.rst.
public struct CpioArchive: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public var path: String
        public var mode: Int
        public var content: [UInt8]
        public var device: (major: Int, minor: Int)

        public init(path: String, mode: Int, content: [UInt8] = [], device: (major: Int, minor: Int) = (0, 0)) {
            (self.path, self.mode, self.content, self.device) = (path, mode, content, device)
        }

        public var isFile: Bool { mode & 0o170000 == 0o100000 }

        public static func == (one: Entry, other: Entry) -> Bool {
            one.path == other.path && one.mode == other.mode && one.content == other.content
                && one.device == other.device
        }
    }

    public var entries: [Entry]

    public init(_ entries: [Entry] = []) {
        self.entries = entries
    }

    /// Reads one archive; what follows its end must be nothing but zeros.
    public init(decoding bytes: [UInt8], name: String) throws(ArchiveError) {
        entries = []
        var at = 0
        func number(_ field: Int) throws(ArchiveError) -> Int {
            let start = at + 6 + 8 * field
            let text = String(decoding: bytes[start..<(start + 8)], as: UTF8.self)
            guard text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
                let value = Int(text, radix: 16)
            else { throw .refused("\(name): a header of the guest image is damaged") }
            return value
        }
        while true {
            guard at + 110 <= bytes.count, bytes[at..<(at + 6)].elementsEqual("070701".utf8) else {
                throw .refused("\(name): the guest image is damaged or cut off")
            }
            let (mode, size, length) = (try number(1), try number(6), try number(11))
            let device = (try number(9), try number(10))
            let nameEnd = at + 110 + length
            let start = (nameEnd + 3) / 4 * 4
            guard length > 0, start <= bytes.count - size else {
                throw .refused("\(name): the guest image is damaged or cut off")
            }
            let path = String(decoding: bytes[(at + 110)..<(nameEnd - 1)], as: UTF8.self)
            at = (start + size + 3) / 4 * 4
            if path == "TRAILER!!!" { break }
            entries.append(
                Entry(path: path, mode: mode, content: Array(bytes[start..<(start + size)]), device: device))
        }
        guard at >= bytes.count || bytes[at...].allSatisfy({ $0 == 0 }) else {
            throw .refused("\(name): the guest image goes on behind its end")
        }
    }

    /// Adds a file, and the directories above it that are not there yet.
    public mutating func add(file path: String, mode: Int, _ content: [UInt8]) {
        var known = Set(entries.map(\.path))
        add(file: path, mode: mode, content, known: &known)
    }

    /// Adds many files.
    public mutating func add(files: [(path: String, mode: Int, content: [UInt8])]) {
        var known = Set(entries.map(\.path))
        for file in files { add(file: file.path, mode: file.mode, file.content, known: &known) }
    }

    private mutating func add(file path: String, mode: Int, _ content: [UInt8], known: inout Set<String>) {
        let parts = path.split(separator: "/")
        var prefix = ""
        for part in parts.dropLast() {
            prefix += prefix.isEmpty ? String(part) : "/\(part)"
            if known.insert(prefix).inserted { entries.append(Entry(path: prefix, mode: 0o040755)) }
        }
        let whole = parts.joined(separator: "/")
        if !known.insert(whole).inserted { entries.removeAll { $0.path == whole } }
        entries.append(Entry(path: whole, mode: 0o100000 | mode, content: content))
    }

    /// The same entries in the same order give the same bytes: no times, no owners, no numbers of the host.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(entries.reduce(4096) { $0 + $1.content.count + 256 })
        for (number, entry) in entries.enumerated() { Self.put(entry, number + 1, &bytes) }
        Self.put(Entry(path: "TRAILER!!!", mode: 0), 0, &bytes)
        return bytes
    }

    private static func put(_ entry: Entry, _ inode: Int, _ bytes: inout [UInt8]) {
        let fields = [
            inode, entry.mode, 0, 0, 1, 0, entry.content.count, 0, 0, entry.device.major, entry.device.minor,
            entry.path.utf8.count + 1, 0,
        ]
        bytes += "070701".utf8
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            bytes += (String(repeating: "0", count: 8 - digits.count) + digits).utf8
        }
        bytes += entry.path.utf8
        bytes.append(0)
        while bytes.count % 4 != 0 { bytes.append(0) }
        bytes += entry.content
        while bytes.count % 4 != 0 { bytes.append(0) }
    }
}
