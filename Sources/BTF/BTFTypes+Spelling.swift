// SPDX-License-Identifier: Apache-2.0

extension BTFTypes {
    /// The prototype of a function as text, in one form: `int (struct file *file, u64 size)`.
    public func prototype(of function: UInt32) -> String? {
        spelledPrototype(function, Spelling(names: .whole))
    }

    /// The prototype without the names of parameters, but for the ends of names that the verifier reads:
    /// `int (void *__ign, u64 __sz)`.
    public func signature(of function: UInt32) -> String? {
        spelledPrototype(function, Spelling(names: .meaning))
    }

    private func spelledPrototype(_ function: UInt32, _ spelling: Spelling) -> String? {
        guard let (_, record) = find(function), record.kind == .function else { return nil }
        return spelling.spelled(record.target, around: "", in: self)
    }

    /// The prototype of the ends of parameter names that mean something.
    ///
    /// - Source: Documentation/bpf/kfuncs.rst, kernel/bpf/verifier.c of 7.2.
    fileprivate static let meanings = [
        "__sz", "__szk", "__k", "__ign", "__uninit", "__alloc", "__refcounted_kptr", "__nullable", "__opt", "__str",
        "__map", "__prog", "__irq_flag", "__const_map", "__nonown_allowed",
    ]

    fileprivate static func meaning(_ name: String) -> String {
        // The longest: `__szk` ends with nothing else, `x__refcounted_kptr` with no other.
        meanings.filter { name.hasSuffix($0) }.max { $0.utf8.count < $1.utf8.count } ?? ""
    }
}

/// C's spelling of types.
private struct Spelling {
    enum Names {
        case whole
        case meaning
    }

    let names: Names

    /// Deeper than any type of a kernel; one that contains itself ends here.
    private static let depth = 40

    func spelled(_ id: UInt32, around inner: String, in types: BTFTypes) -> String {
        spelled(id, inner, types, Self.depth)
    }

    private func spelled(_ id: UInt32, _ inner: String, _ types: BTFTypes, _ depth: Int) -> String {
        func before(_ name: String) -> String { inner.isEmpty ? name : "\(name) \(inner)" }
        if id == 0 { return before("void") }
        guard depth > 0, inner.utf8.count < 4096, let (owner, record) = types.find(id) else { return before("?") }
        let name = owner.text(record.name)
        switch record.kind {
        case .pointer:
            // What a pointer leads to decides whether it needs brackets.
            let wraps = [.array, .prototype].contains(kind(through: record.target, types))
            return spelled(record.target, wraps ? "(*\(inner))" : "*\(inner)", types, depth - 1)
        case .array:
            return spelled(owner.word(record.body), "\(inner)[\(owner.word(record.body + 8))]", types, depth - 1)
        case .structure: return before("struct \(name)")
        case .union: return before("union \(name)")
        case .enumeration, .wideEnumeration: return before("enum \(name)")
        case .forward: return before(record.flag ? "union \(name)" : "struct \(name)")
        case .volatile: return qualified("volatile", record.target, inner, types, depth)
        case .const: return qualified("const", record.target, inner, types, depth)
        case .restrict, .typeTag: return spelled(record.target, inner, types, depth - 1)
        case .prototype:
            var parameters = (0..<record.count).map { index -> String in
                let name = owner.text(owner.word(record.body + 8 * index))
                let type = owner.word(record.body + 8 * index + 4)
                if type == 0, name.isEmpty { return "..." }
                return spelled(type, names == .whole ? name : BTFTypes.meaning(name), types, depth - 1)
            }
            if parameters.isEmpty { parameters = ["void"] }
            let list = "(\(parameters.joined(separator: ", ")))"
            return spelled(record.target, inner.isEmpty ? list : inner + list, types, depth - 1)
        case .int, .typedef, .function, .variable, .section, .float, .declarationTag: return before(name)
        }
    }

    /// A qualifier stands before what is pointed to, and behind the star of a pointer.
    private func qualified(
        _ word: String, _ id: UInt32, _ inner: String, _ types: BTFTypes, _ depth: Int
    ) -> String {
        if kind(through: id, types) == .pointer {
            return spelled(id, inner.isEmpty ? word : "\(word) \(inner)", types, depth - 1)
        }
        return "\(word) " + spelled(id, inner, types, depth - 1)
    }

    /// The kind of a type, behind qualifiers and tags; typedefs have names of their own.
    private func kind(through id: UInt32, _ types: BTFTypes) -> BTFKind? {
        var id = id
        for _ in 0..<Self.depth {
            guard let (_, record) = types.find(id) else { return nil }
            switch record.kind {
            case .volatile, .const, .restrict, .typeTag: id = record.target
            default: return record.kind
            }
        }
        return nil
    }
}
