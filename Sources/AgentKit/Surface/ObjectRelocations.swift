// SPDX-License-Identifier: Apache-2.0
internal import BTF

/// What an object asks of the kernel's types, from `.BTF.ext`: fields, types and values of enumerations.
///
/// - Source: Documentation/bpf/llvm_reloc.rst, "CO-RE Relocations"; tools/lib/bpf/relo_core.c of 6.12.
struct ObjectRelocations {
    /// One, with all that is known of the object's own type: the kernel's is looked for by it.
    struct Relocation: Hashable {
        /// `enum bpf_core_relo_kind`.
        var kind: UInt32
        /// Of the type that it starts from.
        var root: Root
        /// Of a field: the way to it. Of an enumeration's value: its name alone.
        var path: [Step]
    }

    struct Root: Hashable {
        var kind: BTFKind
        /// Without what stands behind `___`.
        var name: String
        var shape: String
    }

    struct Step: Hashable {
        /// nil: an element of an array.
        var name: String?
        var index: Int
        /// What libbpf compares of the kernel's field.
        var shape: String
    }

    private struct Place: Hashable {
        var section: String
        var offset: UInt64
    }

    private var all: [(place: Place, relocation: Relocation)] = []

    init(_ file: BPFObjectFile, _ types: BTFTypes) throws(FileProblem) {
        let reader = ByteReader(file.extendedTypes)
        let text = ByteReader(file.types)
        // An older header has no place for relocations.
        guard reader.u16(0) == 0xeb9f, let header = reader.u32(4), header >= 32, let offset = reader.u32(24),
            let length = reader.u32(28), length > 0
        else { return }
        guard let part = reader.range(Int(header) + Int(offset), Int(length)), let size = reader.u32(part.lowerBound),
            size >= 16, let textHeader = text.u32(4), let stringOffset = text.u32(16), let stringLength = text.u32(20),
            let strings = text.range(Int(textHeader) + Int(stringOffset), Int(stringLength))
        else { throw Self.corrupt("its header") }
        var at = part.lowerBound + 4
        while at + 8 <= part.upperBound, let name = reader.u32(at), let count = reader.u32(at + 4) {
            at += 8
            guard let section = text.string(name, in: strings) else { throw Self.corrupt("a section's name") }
            for _ in 0..<count {
                guard at + Int(size) <= part.upperBound, let instruction = reader.u32(at),
                    let type = reader.u32(at + 4), let access = reader.u32(at + 8), let kind = reader.u32(at + 12),
                    let path = text.string(access, in: strings)
                else { throw Self.corrupt("a relocation") }
                at += Int(size)
                guard let relocation = Self.read(kind, type, path, types) else {
                    throw Self.corrupt("relocation \"\(path)\" of type \(type)")
                }
                all.append((Place(section: section, offset: UInt64(instruction)), relocation))
            }
        }
    }

    /// Those of a piece of a section, each once.
    func relocations(in section: String, _ range: Range<UInt64>) -> Set<Relocation> {
        Set(all.filter { $0.place.section == section && range.contains($0.place.offset) }.map(\.relocation))
    }

    private static func read(_ kind: UInt32, _ type: UInt32, _ access: String, _ types: BTFTypes) -> Relocation? {
        guard let rootKind = types.kind(of: type) else { return nil }
        let root = Root(
            kind: rootKind, name: BTFTypes.essential(types.name(of: type)), shape: types.shape(of: type))
        let numbers = access.split(separator: ":").compactMap { Int($0) }
        guard !numbers.isEmpty, numbers.count <= 64, numbers.allSatisfy({ $0 >= 0 }) else { return nil }
        switch kind {
        case 0...5:
            var path: [Step] = []
            var id = type
            for number in numbers.dropFirst() {
                id = types.resolved(id)
                if types.kind(of: id)?.isComposite == true {
                    let members = types.members(of: id)
                    guard members.indices.contains(number) else { return nil }
                    id = members[number].type
                    let name = members[number].name
                    if name.isEmpty { continue }
                    path.append(
                        Step(name: BTFTypes.essential(name), index: number, shape: types.fieldShape(of: id)))
                } else if let array = types.array(id) {
                    id = array.element
                    path.append(Step(name: nil, index: number, shape: types.fieldShape(of: id)))
                } else {
                    return nil
                }
            }
            return Relocation(kind: kind, root: root, path: path)
        case 10, 11:
            let values = types.values(of: types.resolved(type))
            guard values.indices.contains(numbers[0]) else { return nil }
            let name = BTFTypes.essential(values[numbers[0]].name)
            return Relocation(kind: kind, root: root, path: [Step(name: name, index: numbers[0], shape: "value")])
        default: return Relocation(kind: kind, root: root, path: [])
        }
    }

    private static func corrupt(_ what: String) -> FileProblem {
        FileProblem(cause: "its .BTF.ext is corrupt: \(what)", advice: "build it again, or copy it again")
    }
}
