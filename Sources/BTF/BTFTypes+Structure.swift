// SPDX-License-Identifier: Apache-2.0

extension BTFTypes {
    /// A member of a structure or union.
    public struct Member: Sendable, Equatable {
        /// Empty: its own members stand for it.
        public var name: String
        public var type: UInt32
    }

    /// nil for void, and for an id that is none.
    public func kind(of id: UInt32) -> BTFKind? { find(id)?.record.kind }

    public func name(of id: UInt32) -> String {
        find(id).map { $0.owner.text($0.record.name) } ?? ""
    }

    /// The type behind typedefs, qualifiers and tags; 0 for void, and for a chain without an end.
    public func resolved(_ id: UInt32) -> UInt32 {
        var id = id
        for _ in 0..<64 {
            guard let (_, record) = find(id) else { return 0 }
            guard record.kind.isTransparent else { return id }
            id = record.target
        }
        return 0
    }

    /// What a pointer, a function or a variable refers to.
    public func target(of id: UInt32) -> UInt32? {
        guard let (_, record) = find(id) else { return nil }
        switch record.kind {
        case .pointer, .function, .variable, .typedef, .const, .volatile, .restrict, .typeTag, .declarationTag:
            return record.target
        default: return nil
        }
    }

    /// The members of a structure or union, in their order; empty for anything else.
    public func members(of id: UInt32) -> [Member] {
        guard let (owner, record) = find(id), record.kind.isComposite else { return [] }
        return (0..<record.count).map { index in
            let at = record.body + 12 * index
            return Member(name: owner.text(owner.word(at)), type: owner.word(at + 4))
        }
    }

    /// What an array holds, and how many of it.
    public func array(_ id: UInt32) -> (element: UInt32, count: UInt32)? {
        guard let (owner, record) = find(id), record.kind == .array else { return nil }
        return (owner.word(record.body), owner.word(record.body + 8))
    }

    /// The names and values of an enumeration; empty for anything else.
    public func values(of id: UInt32) -> [(name: String, value: Int64)] {
        guard let (owner, record) = find(id) else { return [] }
        switch record.kind {
        case .enumeration:
            return (0..<record.count).map { index in
                let value = owner.word(record.body + 8 * index + 4)
                return (
                    owner.text(owner.word(record.body + 8 * index)),
                    record.flag ? Int64(Int32(bitPattern: value)) : Int64(value)
                )
            }
        case .wideEnumeration:
            return (0..<record.count).map { index in
                let at = record.body + 12 * index
                let value = UInt64(owner.word(at + 4)) | UInt64(owner.word(at + 8)) << 32
                return (owner.text(owner.word(at)), Int64(bitPattern: value))
            }
        default: return []
        }
    }

    /// A name without what stands behind `___`: programs tell variants of one kernel type apart by it.
    public static func essential(_ name: String) -> String {
        // Hardly any name of a kernel has three underscores in a row.
        var row = 0
        for byte in name.utf8 where row < 3 { row = byte == 0x5f ? row + 1 : 0 }
        guard row == 3 else { return name }
        let bytes = Array(name.utf8)
        // As libbpf does it: three underscores between other characters, the last of several places.
        var index = bytes.count - 5
        while index >= 0 {
            let part = bytes[index..<(index + 5)]
            if part.dropFirst().prefix(3).allSatisfy({ $0 == 0x5f }), part.first != 0x5f, part.last != 0x5f {
                return String(decoding: bytes[...index], as: UTF8.self)
            }
            index -= 1
        }
        return name
    }

    /// The types of this blob that have one of the names, by kind and name: what relocations choose from.
    public func ids(named names: Set<String>) -> [String: [UInt32]] {
        var found: [String: [UInt32]] = [:]
        for id in ids {
            let name = Self.essential(text(record(id).name))
            if !name.isEmpty, names.contains(name) { found[name, default: []].append(id) }
        }
        return found
    }

    /// What libbpf compares when it asks whether two types are compatible: kinds, through pointers and prototypes,
    /// without names and sizes.
    ///
    /// - Source: `__bpf_core_types_are_compat` in tools/lib/bpf/relo_core.c of 6.12.
    public func shape(of id: UInt32) -> String { shape(of: id, 32) }

    private func shape(of id: UInt32, _ depth: Int) -> String {
        let id = resolved(id)
        if id == 0 { return "void" }
        guard depth > 0, let (owner, record) = find(id) else { return "?" }
        switch record.kind {
        case .int: return "int"
        case .pointer: return "*" + shape(of: record.target, depth - 1)
        case .array: return "[]" + shape(of: owner.word(record.body), depth - 1)
        case .structure: return "struct"
        case .union: return "union"
        case .enumeration, .wideEnumeration: return "enum"
        case .forward: return "forward"
        case .float: return "float"
        case .prototype:
            let parameters = (0..<record.count).map { index in
                shape(of: owner.word(record.body + 8 * index + 4), depth - 1)
            }
            return "(" + parameters.joined(separator: ",") + ")" + shape(of: record.target, depth - 1)
        case .function: return "function " + shape(of: record.target, depth - 1)
        default: return "other"
        }
    }

    /// What libbpf compares of a field that a relocation leads to: `struct` for any structure or union, whatever a
    /// pointer points to, the name of an enumeration.
    ///
    /// - Source: `bpf_core_fields_are_compat` in tools/lib/bpf/relo_core.c of 6.12.
    public func fieldShape(of id: UInt32) -> String { fieldShape(of: id, 32) }

    private func fieldShape(of id: UInt32, _ depth: Int) -> String {
        let id = resolved(id)
        guard depth > 0, let (owner, record) = find(id) else { return "void" }
        switch record.kind {
        case .structure, .union: return "struct"
        case .pointer: return "pointer"
        case .float: return "float"
        case .forward: return "forward \(Self.essential(owner.text(record.name)))"
        case .enumeration, .wideEnumeration: return "enum \(Self.essential(owner.text(record.name)))"
        case .int: return "int"
        case .array: return "[]" + fieldShape(of: owner.word(record.body), depth - 1)
        default: return "other"
        }
    }
}

extension BTFTypes {
    /// What a section of a BPF object holds, or a kernel's: ids of variables and functions.
    public func variables(of section: UInt32) -> [UInt32] {
        guard let (owner, record) = find(section), record.kind == .section else { return [] }
        return (0..<record.count).map { owner.word(record.body + 12 * $0) }
    }
}
