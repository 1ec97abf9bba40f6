// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// All types of the running kernel, or of one of its modules, as its BTF has them.
///
/// - Source: Documentation/bpf/btf.rst.
public final class BTFTypes: Sendable {
    /// One type: where it is in the blob, and its first twelve bytes.
    private struct Record {
        let kind: UInt32
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

    /// Reads the types of the kernel itself.
    public static func kernel() throws(Errno) -> BTFTypes {
        try BTFTypes(try readFile("/sys/kernel/btf/vmlinux", limit: 64 << 20), base: nil)
    }

    /// Reads the types of a loaded module; ids go on where the kernel's own end.
    public static func module(_ name: String, base: BTFTypes) throws(Errno) -> BTFTypes {
        try BTFTypes(try readFile("/sys/kernel/btf/\(name)", limit: 16 << 20), base: base)
    }

    /// - Throws: `.badMessage` for what is no BTF, or has kinds of types that are not known.
    init(_ bytes: [UInt8], base: BTFTypes?) throws(Errno) {
        func word(_ at: Int) -> UInt32 {
            UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
        }
        guard bytes.count >= 24, bytes[0] == 0x9f, bytes[1] == 0xeb else { throw .badMessage }
        let header = Int(word(4))
        var at = header + Int(word(8))
        let end = at + Int(word(12))
        let start = header + Int(word(16))
        strings = start..<(start + Int(word(20)))
        guard end <= bytes.count, strings.upperBound <= bytes.count else { throw .badMessage }
        var records: [Record] = []
        records.reserveCapacity(base == nil ? 140_000 : 4000)
        while at + 12 <= end {
            let info = word(at + 4)
            let kind = info >> 24 & 0x1f
            let count = Int(info & 0xffff)
            guard let extra = BTFFile.extraBytes(kind, count: count) else { throw .badMessage }
            records.append(
                Record(
                    kind: kind, name: word(at), count: count, flag: info >> 31 != 0, target: word(at + 8), body: at + 12
                ))
            at += 12 + extra
        }
        self.records = records
        self.bytes = bytes
        self.base = base
    }

    // MARK: Ids and names

    private var firstID: UInt32 { base.map { $0.firstID + UInt32($0.records.count) } ?? 1 }

    /// The types of this blob, by their ids.
    private var ids: Range<UInt32> { firstID..<(firstID + UInt32(records.count)) }

    private func owner(_ id: UInt32) -> BTFTypes? {
        if ids.contains(id) { return self }
        return base?.owner(id)
    }

    private func record(_ id: UInt32) -> Record { records[Int(id - firstID)] }

    private func text(_ offset: UInt32) -> String {
        var offset = Int(offset)
        if let base {
            if offset < base.strings.count { return base.text(UInt32(offset)) }
            offset -= base.strings.count
        }
        guard offset < strings.count else { return "" }
        return String(decoding: bytes[(strings.lowerBound + offset)...].prefix { $0 != 0 }, as: UTF8.self)
    }

    private func word(_ at: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) }
    }

    // MARK: What is asked for

    /// The names and values of an enumeration of 32 bits; nil where there is none of the name.
    public func enumeration(_ name: String) -> [(name: String, value: Int64)]? {
        for record in records where record.kind == Kind.enumeration && text(record.name) == name {
            return (0..<record.count).map { index in
                let value = word(record.body + 8 * index + 4)
                return (
                    text(word(record.body + 8 * index)), record.flag ? Int64(Int32(bitPattern: value)) : Int64(value)
                )
            }
        }
        return nil
    }

    /// The functions of this blob: their ids by name. Of two with one name, the first.
    public func functions() -> [String: UInt32] {
        var found: [String: UInt32] = [:]
        for id in ids where record(id).kind == Kind.function {
            let name = text(record(id).name)
            if found[name] == nil { found[name] = id }
        }
        return found
    }

    /// The id of a structure of this blob.
    public func structure(_ name: String) -> UInt32? {
        ids.first { record($0).kind == Kind.structure && text(record($0).name) == name }
    }

    /// The names of the functions that have a declaration tag.
    public func functions(tagged tag: String) -> Set<String> {
        var found: Set<String> = []
        for record in records where record.kind == Kind.tag && text(record.name) == tag {
            guard let owner = owner(record.target), owner.record(record.target).kind == Kind.function else { continue }
            found.insert(owner.text(owner.record(record.target).name))
        }
        return found
    }

    /// The prototype of a function as text, in one form: `int (struct file *file, u64 size)`.
    public func prototype(of function: UInt32) -> String? {
        guard let owner = owner(function), owner.record(function).kind == Kind.function else { return nil }
        return spelled(owner.record(function).target, around: "")
    }

    private enum Kind {
        static let int: UInt32 = 1
        static let pointer: UInt32 = 2
        static let array: UInt32 = 3
        static let structure: UInt32 = 4
        static let union: UInt32 = 5
        static let enumeration: UInt32 = 6
        static let forward: UInt32 = 7
        static let typedef: UInt32 = 8
        static let volatile: UInt32 = 9
        static let const: UInt32 = 10
        static let restrict: UInt32 = 11
        static let function: UInt32 = 12
        static let prototype: UInt32 = 13
        static let tag: UInt32 = 17
        static let typeTag: UInt32 = 18
        static let wideEnumeration: UInt32 = 19
    }

    /// C's spelling of a type, around what is declared.
    private func spelled(_ id: UInt32, around inner: String) -> String {
        func before(_ name: String) -> String { inner.isEmpty ? name : "\(name) \(inner)" }
        if id == 0 { return before("void") }
        guard let owner = owner(id) else { return before("?") }
        let record = owner.record(id)
        let name = owner.text(record.name)
        switch record.kind {
        case Kind.pointer:
            // What a pointer leads to decides whether it needs brackets.
            let wraps = [Kind.array, Kind.prototype].contains(kind(through: record.target))
            return spelled(record.target, around: wraps ? "(*\(inner))" : "*\(inner)")
        case Kind.array: return spelled(owner.word(record.body), around: "\(inner)[\(owner.word(record.body + 8))]")
        case Kind.structure: return before("struct \(name)")
        case Kind.union: return before("union \(name)")
        case Kind.enumeration, Kind.wideEnumeration: return before("enum \(name)")
        case Kind.forward: return before(record.flag ? "union \(name)" : "struct \(name)")
        case Kind.volatile: return qualified("volatile", record.target, inner)
        case Kind.const: return qualified("const", record.target, inner)
        case Kind.restrict, Kind.typeTag: return spelled(record.target, around: inner)
        case Kind.prototype:
            var parameters = (0..<record.count).map { index -> String in
                let name = owner.text(owner.word(record.body + 8 * index))
                let type = owner.word(record.body + 8 * index + 4)
                return type == 0 && name.isEmpty ? "..." : spelled(type, around: name)
            }
            if parameters.isEmpty { parameters = ["void"] }
            let list = "(\(parameters.joined(separator: ", ")))"
            return spelled(record.target, around: inner.isEmpty ? list : inner + list)
        default: return before(name)
        }
    }

    /// A qualifier stands before what is pointed to, and behind the star of a pointer.
    private func qualified(_ word: String, _ id: UInt32, _ inner: String) -> String {
        if kind(through: id) == Kind.pointer {
            return spelled(id, around: inner.isEmpty ? word : "\(word) \(inner)")
        }
        return "\(word) " + spelled(id, around: inner)
    }

    /// The kind of a type, behind qualifiers and tags.
    private func kind(through id: UInt32) -> UInt32 {
        guard let owner = owner(id) else { return 0 }
        let record = owner.record(id)
        switch record.kind {
        case Kind.volatile, Kind.const, Kind.restrict, Kind.typeTag: return kind(through: record.target)
        default: return record.kind
        }
    }
}
