// SPDX-License-Identifier: Apache-2.0
internal import BTF

/// What a kernel lacks of what a program needs.
struct Lack: Sendable, Hashable {
    /// `kfunc`, `helper`, `map type`, `program type`, `attach type`, `CO-RE field`, `BTF type` and so on.
    var area: String
    var name: String
    /// nil: it is not there. Otherwise in what it is not as the program needs it.
    var change: String?

    /// What is the same in every kernel that lacks it.
    var key: String { "\(area) \(name)" }
}

/// What is expected of loading a program, from the object and the kernel's surface alone.
struct Prediction: Sendable, Equatable {
    /// Not empty: it will be refused.
    var lacks: [Lack] = []
    /// What is not there, and the program has asked for first.
    var without: [Lack] = []
    /// Why nothing can be foretold.
    var unknown: String?

    var loads: Bool? { unknown == nil ? lacks.isEmpty : nil }
}

/// Holds an object against a kernel.
struct Predictor {
    private let needs: ObjectNeeds
    private let surface: Surface
    private let matcher: TypeMatcher
    /// Names of numbers that this kernel may not have.
    private let names: Names

    /// The names that any of several kernels has for the numbers of the interface.
    struct Names: Sendable {
        private var known: [String: [Int64: String]] = [:]

        init(_ surfaces: [Surface]) {
            for surface in surfaces {
                for area in Surface.Area.allCases {
                    for one in surface[area] where known[area.rawValue]?[one.value] == nil {
                        known[area.rawValue, default: [:]][one.value] = one.name
                    }
                }
            }
        }

        func name(_ area: Surface.Area, _ value: Int64) -> String {
            known[area.rawValue]?[value] ?? "number \(value)"
        }
    }

    init(_ needs: ObjectNeeds, _ kernel: KernelSurface, names: Names) {
        self.init(needs, kernel.surface, kernel.types, names: names)
    }

    init(_ needs: ObjectNeeds, _ surface: Surface, _ types: KernelTypes, names: Names) {
        self.needs = needs
        self.surface = surface
        self.names = names
        var wanted: Set<String> = []
        for program in needs.programs {
            wanted.formUnion((program.relocations ?? []).map(\.root.name))
            wanted.formUnion((program.externals ?? []).map(\.name))
            if let target = program.target { wanted.insert(target.name) }
        }
        wanted.formUnion((needs.externals ?? []).map(\.name))
        for one in needs.structOps { wanted.formUnion([one.type, "bpf_struct_ops_" + one.type]) }
        matcher = TypeMatcher(types, names: wanted)
    }

    func predict(_ program: ObjectNeeds.Program) -> Prediction {
        var prediction = Prediction()
        // libbpf makes all maps of an object, whichever program is loaded.
        for map in needs.maps { prediction.lacks += number(.mapTypes, map.type) }
        for one in needs.structOps { prediction.lacks += structOps(one) }
        // So it does with symbols.
        for one in needs.externals ?? [] { if let lack = unresolved(one), !one.weak { prediction.lacks.append(lack) } }
        guard program.type != 0 else {
            prediction.unknown = "libbpf does not know the kind of program of section \(program.section)"
            return prediction
        }
        prediction.lacks += number(.programTypes, program.type)
        prediction.lacks += number(.attachTypes, program.attachType, isProbed: false)
        if let target = program.target, !matcher.has(target.name, target.kind) {
            prediction.lacks.append(Lack(area: "attach target", name: target.name))
        }
        for id in program.helpers ?? [] { prediction.lacks += number(.helpers, id) }
        for number in program.instructions ?? [] where !surface.instructions.isEmpty {
            prediction.lacks += self.number(.instructions, number)
        }
        for one in program.externals ?? [] { external(one, program, &prediction) }
        relocations(program.relocations ?? [], &prediction)
        prediction.lacks = Self.unique(prediction.lacks)
        prediction.without = Self.unique(prediction.without)
        return prediction
    }

    private static func unique(_ lacks: [Lack]) -> [Lack] {
        Set(lacks).sorted { ($0.area, $0.name, $0.change ?? "") < ($1.area, $1.name, $1.change ?? "") }
    }

    private func number(_ area: Surface.Area, _ value: Int64, isProbed: Bool = true) -> [Lack] {
        let found = surface[area].filter { $0.value == value }
        guard let one = found.first else { return [Lack(area: area.rawValue, name: names.name(area, value))] }
        guard isProbed, found.contains(where: { $0.accepted == false }) else { return [] }
        return [Lack(area: area.rawValue, name: one.name, change: "this kernel refuses it")]
    }

    private func structOps(_ one: ObjectNeeds.StructOps) -> [Lack] {
        let kind = BTFKind.structure.rawValue
        guard matcher.has(one.type, kind), matcher.has("bpf_struct_ops_" + one.type, kind) else {
            return [Lack(area: "struct_ops", name: one.type)]
        }
        let names = matcher.memberNames(of: one.type)
        return one.members.filter { !names.contains(BTFTypes.essential($0)) }.map {
            Lack(area: "CO-RE field", name: "struct \(one.type).\($0)")
        }
    }

    // MARK: Symbols

    /// What a program itself does with a symbol: it may do without a weak one, and not call every kfunc.
    private func external(
        _ one: ObjectNeeds.External, _ program: ObjectNeeds.Program, _ prediction: inout Prediction
    ) {
        if let lack = unresolved(one) {
            // A call of what is not there is refused, unless it is dead code.
            if one.weak, lack.change == nil, one.asked || !one.called {
                prediction.without.append(lack)
            } else {
                prediction.lacks.append(lack)
            }
        } else if one.kind == .kfunc, one.called, let change = refusal(one.name, program) {
            prediction.lacks.append(Lack(area: "kfunc", name: one.name, change: change))
        }
    }

    /// What libbpf does not find for a symbol; a function of another prototype it refuses, weak or not.
    private func unresolved(_ one: ObjectNeeds.External) -> Lack? {
        switch one.kind {
        // Not in BTF: nothing is known of them.
        case .symbol, .config: return nil
        case .variable:
            return matcher.has(one.name, BTFKind.variable.rawValue) ? nil : Lack(area: "variable", name: one.name)
        case .kfunc:
            let functions = matcher.shapes(ofFunction: one.name)
            guard let first = functions.first else { return Lack(area: "kfunc", name: one.name) }
            guard let shape = one.shape, !functions.contains(where: { $0.shape == shape }) else { return nil }
            return Lack(
                area: "kfunc", name: one.name,
                change: "its prototype is \(first.signature), the object has \(one.signature ?? "another")")
        }
    }

    /// Why programs of the kind may not call a function that the kernel has.
    private func refusal(_ name: String, _ program: ObjectNeeds.Program) -> String? {
        let registered = surface.kfuncs.filter { $0.name == name }
        // Nothing is known of registrations in this kernel.
        if registered.isEmpty, surface.kfuncs.contains(where: { $0.hooks == nil }) { return nil }
        if registered.isEmpty { return "it is a function of the kernel, and no kfunc" }
        let hooks = Set(registered.flatMap { $0.hooks ?? ["common"] })
        guard let own = Self.hooks[program.type], hooks.isDisjoint(with: own + ["common"]) else { return nil }
        return "it is not for programs of this type; it is for: \(hooks.sorted().joined(separator: ", "))"
    }

    /// The hooks that kinds of programs belong to, where all releases have them so.
    ///
    /// - Source: bpf_prog_type_to_kfunc_hook() in kernel/bpf/btf.c of 6.1, 6.12 and 7.2.
    private static let hooks: [Int64: [String]] = [
        3: ["tc"], 6: ["xdp"], 26: ["tracing"], 27: ["struct_ops"], 29: ["tracing", "lsm"], 31: ["syscall"],
    ]

    // MARK: Relocations

    private func relocations(_ all: [ObjectNeeds.Relocation], _ prediction: inout Prediction) {
        // A program that asks whether a type is as it likes does not come to where it is otherwise: what is not there
        // then is dead code.
        let asked = Set(all.filter(\.asks).map(\.root.name))
        for one in all where !one.asks && !one.isLocal {
            let lack: Lack
            switch matcher.answer(one) {
            case .found: continue
            case .noType: lack = Lack(area: "BTF type", name: one.typeName)
            case .noField:
                lack =
                    one.isField || one.isValue
                    ? Lack(area: one.isField ? "CO-RE field" : "enum value", name: one.name)
                    : Lack(area: "BTF type", name: one.typeName, change: "it is of another kind")
            }
            if asked.contains(one.root.name) { prediction.without.append(lack) } else { prediction.lacks.append(lack) }
        }
    }
}
