// SPDX-License-Identifier: Apache-2.0

/// What an object's BTF says of its functions: the tags on them.
///
/// - Source: Documentation/bpf/btf.rst; kinds 0 to 19 as of 7.3.
struct ObjectTypes {
    /// The texts of `btf_decl_tag` on each function itself (not on its parameters), in the order of the BTF.
    private(set) var tags: [String: [String]] = [:]

    /// - Parameter bytes: the section `.BTF`.
    init(_ bytes: [UInt8]) throws(FileProblem) {
        let reader = ByteReader(bytes)
        guard reader.u16(0) == 0xeb9f, let header = reader.u32(4), let typeOffset = reader.u32(8),
            let typeLength = reader.u32(12), let stringOffset = reader.u32(16), let stringLength = reader.u32(20),
            let types = reader.range(Int(header) + Int(typeOffset), Int(typeLength)),
            let strings = reader.range(Int(header) + Int(stringOffset), Int(stringLength))
        else { throw Self.corrupt("its header") }
        var functions: [UInt32: String] = [:]
        var found: [(function: UInt32, text: String)] = []
        var at = types.lowerBound
        var id: UInt32 = 0
        while at < types.upperBound {
            id += 1
            guard at + 12 <= types.upperBound, let name = reader.u32(at), let info = reader.u32(at + 4),
                let target = reader.u32(at + 8)
            else { throw Self.corrupt("type \(id)") }
            let kind = info >> 24 & 0x1f
            guard let extra = Self.extraBytes(kind, count: Int(info & 0xffff)), at + 12 + extra <= types.upperBound
            else { throw Self.corrupt("type \(id), of kind \(kind)") }
            switch kind {
            case Self.function:
                guard let text = reader.string(name, in: strings) else { throw Self.corrupt("a function's name") }
                functions[id] = text
            // component_idx -1: the function and not one of its parameters.
            case Self.tag where reader.u32(at + 12) == .max:
                guard let text = reader.string(name, in: strings) else { throw Self.corrupt("a tag's text") }
                found.append((target, text))
            default: break
            }
            at += 12 + extra
        }
        for one in found {
            if let name = functions[one.function] { tags[name, default: []].append(one.text) }
        }
    }

    private static let function: UInt32 = 12
    private static let tag: UInt32 = 17

    /// What follows a type's first 12 bytes; nil for a kind that is not known.
    private static func extraBytes(_ kind: UInt32, count: Int) -> Int? {
        switch kind {
        case 1, 14, 17: 4  // INT, VAR, DECL_TAG
        case 3: 12  // ARRAY
        case 4, 5, 15, 19: 12 * count  // STRUCT, UNION, DATASEC, ENUM64
        case 6, 13: 8 * count  // ENUM, FUNC_PROTO
        case 2, 7...12, 16, 18: 0  // PTR, FWD, TYPEDEF, qualifiers, FUNC, FLOAT, TYPE_TAG
        default: nil
        }
    }

    private static func corrupt(_ what: String) -> FileProblem {
        FileProblem(cause: "its BTF is corrupt: \(what)", advice: "build it again, or copy it again")
    }
}
