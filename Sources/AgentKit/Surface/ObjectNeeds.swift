// SPDX-License-Identifier: Apache-2.0
internal import BTF
internal import CBpf
internal import LinuxIO
internal import SystemPackage
internal import TAP

/// `AGENT needs FILE`: what the programs of an object need of a kernel, as a line of JSON; nothing is loaded, and no
/// guest is needed.
///
/// - Source: docs/surface-format.md, "What an object needs".
enum ObjectNeeds {
    static func line(_ path: String) -> String {
        do throws(FileProblem) {
            return try describe(path) + "\n"
        } catch {
            return "{\"problem\":{\"cause\":\(JSONText.quote(error.cause)),"
                + "\"advice\":\(JSONText.quote(error.advice))}}\n"
        }
    }

    private static func describe(_ path: String) throws(FileProblem) -> String {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try readFile(path, limit: 256 << 20)
        } catch {
            throw FileProblem(
                cause: error == .noSuchFileOrDirectory
                    ? "there is no such file" : "it cannot be read: \(error.name) (\(error.rawValue))",
                advice: "name a file that can be read")
        }
        let file = try BPFObjectFile(bytes)
        let types: BTFTypes
        do throws(BTFError) {
            types = try BTFTypes(file.types, base: nil)
        } catch {
            throw FileProblem(cause: "its BTF is corrupt: \(error)", advice: "build it again, or copy it again")
        }
        let code = try ObjectCode(bytes, file)
        let relocations = try ObjectRelocations(file, types)
        let opened = try OpenedObject(bytes)
        let externals = Externals(types)
        let programs = file.programs.map { program -> String in
            self.program(program, file, code, relocations, externals, opened)
        }
        let maps = opened.maps.map { "{\"name\":\(JSONText.quote($0.name)),\"type\":\($0.type)}" }
        let structures = structOps(file, types)
        return "{\"programs\":[\(programs.joined(separator: ","))],\"maps\":[\(maps.joined(separator: ","))],"
            + "\"structOps\":[\(structures.joined(separator: ","))],"
            + "\"externals\":[\(externals.all(weak: code.weakExternals).joined(separator: ","))]}"
    }

    private static func program(
        _ program: BPFObjectFile.Program, _ file: BPFObjectFile, _ code: ObjectCode, _ relocations: ObjectRelocations,
        _ externals: Externals, _ opened: OpenedObject
    ) -> String {
        let kind = opened.programs[program.name]
        var fields = [
            "\"name\":\(JSONText.quote(program.name))", "\"section\":\(JSONText.quote(program.section))",
            "\"type\":\(kind?.type ?? 0)", "\"attachType\":\(kind?.attachType ?? 0)",
        ]
        if let target = target(program.section, type: kind?.type ?? 0, attachType: kind?.attachType ?? 0) {
            fields.append("\"target\":{\"name\":\(JSONText.quote(target.name)),\"kind\":\(target.kind.rawValue)}")
        }
        let start = code.functions.firstIndex {
            file.sections[$0.section].name == program.section && $0.range.lowerBound == program.offset
                && $0.name == program.name
        }
        guard let start else { return "{\(fields.joined(separator: ","))}" }
        let (functions, references) = code.reached(from: start)
        fields.append("\"helpers\":[\(references.helpers.sorted().map(String.init).joined(separator: ","))]")
        let instructions = references.instructions.map(\.rawValue).sorted().map { "\($0)" }
        fields.append("\"instructions\":[\(instructions.joined(separator: ","))]")
        let outside = references.externals.sorted().compactMap { name in
            externals.text(
                name, isWeak: code.weakExternals.contains(name),
                isCalled: references.calledExternals.contains(name),
                isAsked: references.askedExternals.contains(name))
        }
        fields.append("\"externals\":[\(outside.joined(separator: ","))]")
        var wanted: Set<ObjectRelocations.Relocation> = []
        for index in functions {
            let function = code.functions[index]
            wanted.formUnion(relocations.relocations(in: file.sections[function.section].name, function.range))
        }
        let texts = wanted.map { text($0) }.sorted()
        fields.append("\"relocations\":[\(texts.joined(separator: ","))]")
        return "{\(fields.joined(separator: ","))}"
    }

    private static func text(_ one: ObjectRelocations.Relocation) -> String {
        let path = one.path.map { step in
            let name = step.name.map { "\"name\":\(JSONText.quote($0))," } ?? ""
            return "{\(name)\"index\":\(step.index),\"shape\":\(JSONText.quote(step.shape))}"
        }
        return "{\"kind\":\(one.kind),\"root\":{\"kind\":\(one.root.kind.rawValue),"
            + "\"name\":\(JSONText.quote(one.root.name)),\"shape\":\(JSONText.quote(one.root.shape))},"
            + "\"path\":[\(path.joined(separator: ","))]}"
    }

    /// What in the kernel a program attaches to, as it must be known when it is loaded.
    ///
    /// - Source: find_kernel_btf_id() in tools/lib/bpf/libbpf.c of 6.12.
    private static func target(
        _ section: String, type: UInt32, attachType: UInt32
    ) -> (name: String, kind: BTFKind)? {
        guard type == 26 || type == 29, let slash = section.firstIndex(of: "/") else { return nil }
        var name = String(section[section.index(after: slash)...])
        if let colon = name.firstIndex(of: ":") { name = String(name[name.index(after: colon)...]) }
        switch attachType {
        case 23: return ("btf_trace_" + name, .typedef)
        case 27, 43: return ("bpf_lsm_" + name, .function)
        case 28: return ("bpf_iter_" + name, .function)
        case 24, 25, 26, 58: return (name, .function)
        default: return nil
        }
    }

    /// The structures of operations that the object registers, with the members that its own have.
    private static func structOps(_ file: BPFObjectFile, _ types: BTFTypes) -> [String] {
        types.ids.flatMap { id -> [String] in
            guard types.kind(of: id) == .section, types.name(of: id).hasPrefix(".struct_ops") else { return [] }
            return types.variables(of: id).compactMap { variable in
                guard let type = types.target(of: variable).map({ types.resolved($0) }),
                    types.kind(of: type) == .structure
                else { return nil }
                let members = types.members(of: type).map(\.name).filter { !$0.isEmpty }
                return "{\"map\":\(JSONText.quote(types.name(of: variable))),"
                    + "\"type\":\(JSONText.quote(BTFTypes.essential(types.name(of: type)))),"
                    + "\"members\":[\(members.map { JSONText.quote($0) }.joined(separator: ","))]}"
            }
        }
    }
}

/// What an object says of the symbols that it does not define.
private struct Externals {
    private struct External {
        var kind: String
        var shape = ""
        var signature = ""
    }

    private var known: [String: External] = [:]

    init(_ types: BTFTypes) {
        for id in types.ids where types.kind(of: id) == .section {
            let section = types.name(of: id)
            for entry in types.variables(of: id) {
                let name = types.name(of: entry)
                switch (section, types.kind(of: entry)) {
                case (".ksyms", .function):
                    known[name] = External(
                        kind: "kfunc", shape: types.shape(of: types.target(of: entry) ?? 0),
                        signature: types.signature(of: entry) ?? "")
                // Without a type it is only an address, from /proc/kallsyms.
                case (".ksyms", .variable):
                    let type = types.resolved(types.target(of: entry) ?? 0)
                    known[name] = External(kind: type == 0 ? "symbol" : "variable")
                case (".kconfig", _): known[name] = External(kind: "config")
                default: continue
                }
            }
        }
    }

    /// All of the object: libbpf resolves them for every program that it loads.
    func all(weak: Set<String>) -> [String] {
        known.keys.sorted().compactMap { text($0, isWeak: weak.contains($0), isCalled: false, isAsked: false) }
    }

    func text(_ name: String, isWeak: Bool, isCalled: Bool, isAsked: Bool) -> String? {
        guard let one = known[name] else { return nil }
        var text =
            "{\"name\":\(JSONText.quote(name)),\"kind\":\"\(one.kind)\",\"weak\":\(isWeak),"
            + "\"called\":\(isCalled),\"asked\":\(isAsked)"
        if one.kind == "kfunc" {
            text += ",\"shape\":\(JSONText.quote(one.shape)),\"signature\":\(JSONText.quote(one.signature))"
        }
        return text + "}"
    }
}

/// What libbpf makes of an object without loading it: the types of its programs and maps.
private struct OpenedObject {
    var programs: [String: (type: UInt32, attachType: UInt32)] = [:]
    var maps: [(name: String, type: UInt32)] = []

    init(_ bytes: [UInt8]) throws(FileProblem) {
        LibbpfMessages.capture()
        LibbpfGaps.teach()
        let opened = unsafe bytes.withUnsafeBytes { raw -> OpaquePointer? in
            var options = unsafe bpf_object_open_opts()
            unsafe options.sz = MemoryLayout<bpf_object_open_opts>.size
            return unsafe bpf_object__open_mem(raw.baseAddress, raw.count, &options)
        }
        guard let opened = unsafe opened else {
            let said = LibbpfMessages.take().split(separator: "\n").last.map(String.init) ?? ""
            throw FileProblem(cause: "libbpf cannot open it: \(said)", advice: "see what bpftool gen object says of it")
        }
        defer { unsafe bpf_object__close(opened) }
        var program = unsafe bpf_object__next_program(opened, nil)
        while let current = unsafe program {
            unsafe programs[String(cString: bpf_program__name(current))] = (
                bpf_program__type(current).rawValue, bpf_program__expected_attach_type(current).rawValue
            )
            unsafe program = unsafe bpf_object__next_program(opened, current)
        }
        var map = unsafe bpf_object__next_map(opened, nil)
        while let current = unsafe map {
            if unsafe bpf_map__autocreate(current) {
                unsafe maps.append((String(cString: bpf_map__name(current)), bpf_map__type(current).rawValue))
            }
            unsafe map = unsafe bpf_object__next_map(opened, current)
        }
    }
}
