// SPDX-License-Identifier: Apache-2.0

/// All types of a kernel, of one of its modules, or of a BPF object, as its BTF has them.
///
/// The bytes may be anybody's: what they say of themselves is checked here, and what they refer to when it is looked at.
///
/// - Source: Documentation/bpf/btf.rst.
public final class BTFTypes: Sendable {
    /// One type: where it is in the blob, and its first twelve bytes.
    struct Record {
        let kind: BTFKind
        let name: UInt32
        let count: Int
        let flag: Bool
        /// Of a type that refers to another: its id. Otherwise the size.
        let target: UInt32
        /// Where what follows the twelve bytes starts.
        let body: Int
    }

    private let bytes: [UInt8]
    private let strings: Range<Int>
    private let records: [Record]
    private let base: BTFTypes?
    private let firstID: UInt32

    /// - Parameter base: of a module's types: the kernel's own, whose ids and strings come first.
    public init(_ bytes: [UInt8], base: BTFTypes?) throws(BTFError) {
        func word(_ at: Int) -> UInt32 {
            UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
        }
        guard bytes.count >= 24, bytes[0] == 0x9f, bytes[1] == 0xeb else { throw BTFError("it does not begin as BTF") }
        let header = Int(word(4))
        var at = header + Int(word(8))
        let end = at + Int(word(12))
        let start = header + Int(word(16))
        let strings = start..<(start + Int(word(20)))
        guard end <= bytes.count, strings.upperBound <= bytes.count else {
            throw BTFError("its header points outside of its \(bytes.count) bytes")
        }
        var records: [Record] = []
        records.reserveCapacity((end - at) / 24)
        while at < end {
            guard at + 12 <= end else { throw BTFError("type \(records.count + 1) is cut off") }
            let info = word(at + 4)
            let count = Int(info & 0xffff)
            guard let kind = BTFKind(rawValue: info >> 24 & 0x1f),
                let extra = BTFKind.extraBytes(kind.rawValue, count: count)
            else { throw BTFError("type \(records.count + 1) is of kind \(info >> 24 & 0x1f), which is not known") }
            guard at + 12 + extra <= end else { throw BTFError("type \(records.count + 1) is cut off") }
            records.append(
                Record(
                    kind: kind, name: word(at), count: count, flag: info >> 31 != 0, target: word(at + 8), body: at + 12
                ))
            at += 12 + extra
        }
        self.strings = strings
        self.records = records
        self.bytes = bytes
        self.base = base
        firstID = base.map { $0.firstID + UInt32($0.records.count) } ?? 1
    }

    // MARK: Ids and names

    /// The types of this blob, by their ids.
    public var ids: Range<UInt32> { firstID..<(firstID + UInt32(records.count)) }

    func owner(_ id: UInt32) -> BTFTypes? {
        if ids.contains(id) { return self }
        return base?.owner(id)
    }

    /// Of this blob.
    func record(_ id: UInt32) -> Record { records[Int(id - firstID)] }

    /// Of this blob or its base; nil for void, and for an id that is none.
    func find(_ id: UInt32) -> (owner: BTFTypes, record: Record)? {
        owner(id).map { ($0, $0.record(id)) }
    }

    func text(_ offset: UInt32) -> String {
        var offset = Int(offset)
        if let base {
            if offset < base.strings.count { return base.text(UInt32(offset)) }
            offset -= base.strings.count
        }
        guard offset < strings.count else { return "" }
        let start = strings.lowerBound + offset
        let end = bytes[start..<strings.upperBound].firstIndex(of: 0) ?? strings.upperBound
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    /// A number in what follows a record; inside of it by construction.
    func word(_ at: Int) -> UInt32 {
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }

    // MARK: What is asked for

    /// The names and values of an enumeration of this blob; nil where there is none of the name.
    public func enumeration(_ name: String) -> [(name: String, value: Int64)]? {
        first(name) { $0.isEnumeration }.map { values(of: $0) }
    }

    /// The functions of this blob: their ids by name. Of two with one name, the first.
    public func functions() -> [String: UInt32] {
        var found: [String: UInt32] = [:]
        for id in ids where record(id).kind == .function {
            let name = text(record(id).name)
            if found[name] == nil { found[name] = id }
        }
        return found
    }

    /// The id of a structure of this blob.
    public func structure(_ name: String) -> UInt32? {
        first(name) { $0 == .structure }
    }

    /// The id of a function of this blob; of two with one name, the first.
    public func function(_ name: String) -> UInt32? {
        first(name) { $0 == .function }
    }

    /// The first type of this blob with a name, of the kinds that are asked for.
    private func first(_ name: String, of kind: (BTFKind) -> Bool) -> UInt32? {
        let name = Array(name.utf8)
        return ids.first { kind(record($0).kind) && isNamed(record($0).name, name) }
    }

    /// Whether the text at an offset is this one: no string is made of it.
    private func isNamed(_ offset: UInt32, _ name: [UInt8]) -> Bool {
        var offset = Int(offset)
        if let base {
            if offset < base.strings.count { return base.isNamed(UInt32(offset), name) }
            offset -= base.strings.count
        }
        let start = strings.lowerBound + offset
        guard start + name.count < strings.upperBound, bytes[start + name.count] == 0 else { return false }
        for index in 0..<name.count where bytes[start + index] != name[index] { return false }
        return true
    }

    /// The ids of the functions that a declaration tag of this blob is on.
    public func functionIDs(tagged tag: String) -> Set<UInt32> {
        var found: Set<UInt32> = []
        let tag = Array(tag.utf8)
        for record in records where record.kind == .declarationTag && isNamed(record.name, tag) {
            guard find(record.target)?.record.kind == .function else { continue }
            found.insert(record.target)
        }
        return found
    }

    /// The names of the functions that have a declaration tag.
    public func functions(tagged tag: String) -> Set<String> {
        Set(functionIDs(tagged: tag).map { name(of: $0) })
    }
}
