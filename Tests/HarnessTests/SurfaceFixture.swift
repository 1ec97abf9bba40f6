// SPDX-License-Identifier: Apache-2.0
import BTF

@testable import Harness

/// Makes BTF, type by type.
struct TypeBuilder {
    private var types: [UInt8] = []
    private var strings: [UInt8] = [0]
    private(set) var count: UInt32 = 0

    private static func words(_ values: [UInt32]) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) } }
    }

    mutating func text(_ text: String) -> UInt32 {
        if text.isEmpty { return 0 }
        defer { strings += Array(text.utf8) + [0] }
        return UInt32(strings.count)
    }

    @discardableResult
    mutating func add(_ kind: BTFKind, _ name: String, _ target: UInt32, vlen: Int = 0, _ rest: [UInt32] = []) -> UInt32
    {
        types += Self.words([text(name), kind.rawValue << 24 | UInt32(vlen), target] + rest)
        count += 1
        return count
    }

    mutating func int(_ name: String = "int") -> UInt32 { add(.int, name, 4, [32]) }
    mutating func pointer(_ target: UInt32) -> UInt32 { add(.pointer, "", target) }

    mutating func structure(_ name: String, _ members: [(String, UInt32)]) -> UInt32 {
        var rest: [UInt32] = []
        for (name, type) in members { rest += [text(name), type, 0] }
        return add(.structure, name, 8, vlen: members.count, rest)
    }

    mutating func enumeration(_ name: String, _ values: [(String, UInt32)]) -> UInt32 {
        var rest: [UInt32] = []
        for (name, value) in values { rest += [text(name), value] }
        return add(.enumeration, name, 4, vlen: values.count, rest)
    }

    /// A function with its prototype.
    mutating func function(_ name: String, _ parameters: [(String, UInt32)], returns: UInt32) -> UInt32 {
        var rest: [UInt32] = []
        for (name, type) in parameters { rest += [text(name), type] }
        let prototype = add(.prototype, "", returns, vlen: parameters.count, rest)
        return add(.function, name, prototype, vlen: 1)
    }

    mutating func tag(_ text: String, on type: UInt32) {
        add(.declarationTag, text, type, [.max])
    }

    var bytes: [UInt8] {
        [0x9f, 0xeb, 1, 0]
            + Self.words([24, 0, UInt32(types.count), UInt32(types.count), UInt32(strings.count)]) + types + strings
    }
}

/// A kernel that never was, and what a guest would say of it.
struct MadeKernel {
    var types = TypeBuilder()
    var helpers: [(String, UInt32)] = [
        ("BPF_FUNC_unspec", 0), ("BPF_FUNC_map_lookup_elem", 1), ("__BPF_FUNC_MAX_ID", 2),
    ]
    var programTypes: [(String, UInt32)] = [
        ("BPF_PROG_TYPE_UNSPEC", 0), ("BPF_PROG_TYPE_XDP", 6), ("BPF_PROG_TYPE_SYSCALL", 31),
    ]
    var mapTypes: [(String, UInt32)] = [("BPF_MAP_TYPE_HASH", 1), ("BPF_MAP_TYPE_ARRAY", 2)]
    var attachTypes: [(String, UInt32)] = [
        ("BPF_CGROUP_INET_INGRESS", 0), ("BPF_XDP", 37), ("__MAX_BPF_ATTACH_TYPE", 38),
    ]
    /// Hook, id and flags.
    var registered: [(hook: UInt32, id: UInt32, flags: UInt32)] = []
    var refusedMaps: Set<UInt32> = []
    /// The answers to instructions.
    var instructions: [UInt32: Int32] = [:]
    var note: String?

    let int: UInt32
    let task: UInt32
    let pointer: UInt32

    init() {
        int = types.int()
        task = types.structure("task_struct", [("pid", int), ("tgid", int)])
        pointer = types.pointer(task)
    }

    mutating func kfunc(
        _ name: String, _ parameters: [(String, UInt32)], returns: UInt32, flags: UInt32 = 0, hook: UInt32 = 1
    ) {
        let id = types.function(name, parameters, returns: returns)
        registered.append((hook, id, flags))
    }

    static func part(_ kind: String, _ name: String, _ content: [UInt8]) -> [UInt8] {
        Array("\(kind) \(name) \(content.count)\n".utf8) + content + [0x0a]
    }

    /// What the agent would send.
    func said() -> [UInt8] {
        var types = types
        _ = types.enumeration("bpf_func_id", helpers)
        _ = types.enumeration("bpf_prog_type", programTypes)
        _ = types.enumeration("bpf_map_type", mapTypes)
        _ = types.enumeration("bpf_attach_type", attachTypes)
        _ = types.enumeration("bpf_link_type", [("BPF_LINK_TYPE_UNSPEC", 0), ("BPF_LINK_TYPE_XDP", 6)])
        _ = types.enumeration(
            "btf_kfunc_hook",
            [("BTF_KFUNC_HOOK_COMMON", 0), ("BTF_KFUNC_HOOK_XDP", 1), ("BTF_KFUNC_HOOK_FMODRET", 2)])
        var bytes = Self.part("surface", "1", []) + Self.part("btf", "vmlinux", types.bytes)
        for hook in Set(registered.map(\.hook)).sorted() {
            let pairs = registered.filter { $0.hook == hook }.flatMap { one in
                [one.id, one.flags].flatMap { value in
                    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
                }
            }
            bytes += Self.part("kfuncs", "vmlinux/\(hook)", pairs)
        }
        if let note { bytes += Self.part("note", "kfuncs", Array(note.utf8)) }
        let maps = mapTypes.map { "\($0.1) \(refusedMaps.contains($0.1) ? 22 : 0)\n" }.joined()
        bytes += Self.part("probe", "map-types", Array(maps.utf8))
        bytes += Self.part("probe", "program-types", Array(programTypes.map { "\($0.1) 0\n" }.joined().utf8))
        bytes += Self.part("probe", "attach-types", Array("0 9\n37 22\n".utf8))
        let answers = instructions.map { "\($0.key) \($0.value)\n" }.sorted().joined()
        bytes += Self.part("probe", "instructions", Array(answers.utf8))
        return bytes + Self.part("end", "-", [])
    }

    func surface(_ name: String = "6.0.0-made") throws -> KernelSurface {
        try KernelSurface(try SurfaceCapture(said()), kernel: name)
    }
}
