// SPDX-License-Identifier: Apache-2.0
internal import BTF

/// Looks in a kernel's types for what relocations of an object ask.
///
/// - Source: tools/lib/bpf/relo_core.c of 6.12: candidates by name in the kernel's own types, then in its modules';
///   fields by name, through members without one; kinds compared, sizes not.
struct TypeMatcher {
    enum Answer: Equatable {
        case found
        case noType
        case noField
    }

    private struct Candidate {
        var id: UInt32
        var types: BTFTypes
    }

    private let candidates: [String: [Candidate]]
    private let modules: [String: [Candidate]]
    private let vmlinux: BTFTypes

    /// - Parameter names: of all types that will be looked for.
    init(_ types: KernelTypes, names: Set<String>) {
        vmlinux = types.vmlinux
        candidates = types.vmlinux.ids(named: names).mapValues { ids in
            ids.map { Candidate(id: $0, types: types.vmlinux) }
        }
        var modules: [String: [Candidate]] = [:]
        for (_, module) in types.modules {
            for (name, ids) in module.ids(named: names) {
                modules[name, default: []] += ids.map { Candidate(id: $0, types: module) }
            }
        }
        self.modules = modules
    }

    /// Whether there is a type, function or variable of a kind.
    func has(_ name: String, _ kind: UInt32) -> Bool { !find(name, kind).isEmpty }

    /// The shapes of the functions of a name: what a kfunc is compared with.
    func shapes(ofFunction name: String) -> [(shape: String, signature: String)] {
        find(name, BTFKind.function.rawValue).map { one in
            (one.types.shape(of: one.types.target(of: one.id) ?? 0), one.types.signature(of: one.id) ?? "")
        }
    }

    private func find(_ name: String, _ kind: UInt32) -> [Candidate] {
        func fitting(_ list: [Candidate]?) -> [Candidate] {
            (list ?? []).filter { one in
                guard let found = one.types.kind(of: one.id), let wanted = BTFKind(rawValue: kind) else { return false }
                return found == wanted || found.isEnumeration && wanted.isEnumeration
            }
        }
        let own = fitting(candidates[name])
        return own.isEmpty ? fitting(modules[name]) : own
    }

    func answer(_ relocation: ObjectNeeds.Relocation) -> Answer {
        let found = find(relocation.root.name, relocation.root.kind)
        guard !found.isEmpty else { return .noType }
        let matches = found.contains { one in
            if relocation.isField { return hasField(relocation.path[...], one.id, one.types) }
            if relocation.isValue {
                let wanted = relocation.path.first?.name ?? ""
                return one.types.values(of: one.types.resolved(one.id)).contains {
                    BTFTypes.essential($0.name) == wanted
                }
            }
            return one.types.shape(of: one.id) == relocation.root.shape
        }
        return matches ? .found : .noField
    }

    private func hasField(_ path: ArraySlice<ObjectNeeds.Step>, _ id: UInt32, _ types: BTFTypes) -> Bool {
        guard let step = path.first else { return true }
        let id = types.resolved(id)
        guard let name = step.name else {
            guard let array = types.array(id) else { return false }
            // An array of no elements at the end of a structure has any number of them.
            return (array.count == 0 || step.index < array.count) && hasField(path.dropFirst(), array.element, types)
        }
        return member(name, step.shape, id, types, 16).contains { hasField(path.dropFirst(), $0, types) }
    }

    /// The types of the members of a name, also of those in members without one.
    private func member(_ name: String, _ shape: String, _ id: UInt32, _ types: BTFTypes, _ depth: Int) -> [UInt32] {
        guard depth > 0 else { return [] }
        return types.members(of: id).flatMap { member -> [UInt32] in
            if member.name.isEmpty { return self.member(name, shape, types.resolved(member.type), types, depth - 1) }
            guard BTFTypes.essential(member.name) == name else { return [] }
            return Self.fits(types.fieldShape(of: member.type), shape) ? [member.type] : []
        }
    }

    /// The members of the structures of a name, with those of members without one.
    func memberNames(of structure: String) -> Set<String> {
        var names: Set<String> = []
        func collect(_ id: UInt32, _ types: BTFTypes, _ depth: Int) {
            guard depth > 0 else { return }
            for member in types.members(of: id) {
                if member.name.isEmpty {
                    collect(types.resolved(member.type), types, depth - 1)
                } else {
                    names.insert(member.name)
                }
            }
        }
        for one in find(structure, BTFKind.structure.rawValue) { collect(one.id, one.types, 16) }
        return names
    }

    /// Enumerations without a name fit any.
    private static func fits(_ kernel: String, _ wanted: String) -> Bool {
        if kernel == wanted { return true }
        return kernel.hasPrefix("enum ") && wanted.hasPrefix("enum ") && (kernel == "enum " || wanted == "enum ")
    }
}
