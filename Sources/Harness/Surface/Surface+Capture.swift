// SPDX-License-Identifier: Apache-2.0
internal import BTF

extension Surface {
    /// Makes sense of what a guest sent.
    ///
    /// - Parameter kernel: `uname -r`.
    init(_ capture: SurfaceCapture, types: KernelTypes, kernel: String) {
        self.init(kernel: kernel)
        notes = types.notes
        helpers = Self.values(types, "bpf_func_id", prefix: "BPF_FUNC_").map { value in
            Named(name: "bpf_" + value.name.dropFirst("BPF_FUNC_".count), value: value.value)
        }
        programTypes = probed(types, "bpf_prog_type", "BPF_PROG_TYPE_", capture.probes["program-types"])
        mapTypes = probed(types, "bpf_map_type", "BPF_MAP_TYPE_", capture.probes["map-types"])
        linkTypes = Self.values(types, "bpf_link_type", prefix: "BPF_LINK_TYPE_")
        // EBADF, for want of a program: the call knows the type. EINVAL comes for types of links alone as well.
        attachTypes = Self.values(types, "bpf_attach_type", prefix: "BPF_").map { value in
            let answer = capture.probes["attach-types"]?[UInt32(truncatingIfNeeded: value.value)]
            return Named(name: value.name, value: value.value, accepted: answer == 9 ? true : nil)
        }
        instructions = Self.instructionNames.enumerated().compactMap { index, name in
            guard let answer = capture.probes["instructions"]?[UInt32(index + 1)] else { return nil }
            return Named(name: name, value: Int64(index + 1), accepted: answer == 0)
        }
        kfuncs = Self.registered(capture, types)
        let unregistered = Self.tagged(types, besides: kfuncs.map(\.name) + Self.modifiable(capture, types))
        if let why = capture.notes["kfuncs"] {
            kfuncs = unregistered
            if types.vmlinux.structure("bpf_kfunc_desc") == nil {
                // The verifier keeps what programs call in it since there are such calls (commit e6ac2450d6de, 5.13).
                notes.append("programs cannot call kfuncs in this kernel")
            } else {
                notes.append(
                    "flags of kfuncs, and what they are registered for, are not known: \(why)"
                        + (kfuncs.isEmpty ? "; nor are the kfuncs: BTF does not mark them" : ""))
            }
        } else if !unregistered.isEmpty {
            notes.append(
                "BTF calls these kfuncs, and nothing has registered them: "
                    + unregistered.map(\.name).joined(separator: ", "))
        }
        kfuncs.sort { ($0.name, $0.module) < ($1.name, $1.module) }
    }

    /// Of the numbers from 1 on; also known to Sources/AgentKit/Surface/InstructionKind.swift.
    static let instructionNames = [
        "atomic operations", "sign-extending loads", "sign-extending moves", "byte swaps", "long jumps",
        "signed divisions", "may_goto", "load-acquire", "store-release",
    ]

    private func probed(
        _ types: KernelTypes, _ enumeration: String, _ prefix: String, _ answers: [UInt32: Int32]?
    ) -> [Named] {
        Self.values(types, enumeration, prefix: prefix).map { value in
            let answer = answers?[UInt32(truncatingIfNeeded: value.value)]
            return Named(name: value.name, value: value.value, accepted: answer.map { $0 == 0 })
        }
    }

    /// What an enumeration has of a prefix, without its first value, which stands for none, and without what marks its
    /// end.
    private static func values(_ types: KernelTypes, _ enumeration: String, prefix: String) -> [Named] {
        let values = (types.vmlinux.enumeration(enumeration) ?? []).filter { value in
            value.name.hasPrefix(prefix) && value.name != prefix + "UNSPEC" && value.name != prefix + "unspec"
        }
        return values.map { Named(name: $0.name, value: $0.value) }.sorted {
            ($0.value, $0.name) < ($1.value, $1.name)
        }
    }

    // MARK: Kfuncs

    /// By bit.
    ///
    /// - Source: include/linux/btf.h: KF_KPTR_GET up to 6.3, KF_TRUSTED_ARGS up to 6.19; 17 and 18 are of 7.3. No number
    ///   was used twice as of 7.3.
    static let flagNames = [
        "KF_ACQUIRE", "KF_RELEASE", "KF_RET_NULL", "KF_KPTR_GET", "KF_TRUSTED_ARGS", "KF_SLEEPABLE", "KF_DESTRUCTIVE",
        "KF_RCU", "KF_ITER_NEW", "KF_ITER_NEXT", "KF_ITER_DESTROY", "KF_RCU_PROTECTED", "KF_FASTCALL", "KF_ARENA_RET",
        "KF_ARENA_ARG1", "KF_ARENA_ARG2", "KF_IMPLICIT_ARGS", "KF_SPINLOCK_SAFE", "KF_PERFMON",
    ]

    static func flagNames(_ flags: UInt32) -> [String] {
        (0..<32).filter { flags >> UInt32($0) & 1 != 0 }.map { bit in
            bit < flagNames.count ? flagNames[bit] : "bit \(bit)"
        }
    }

    /// Functions whose return value programs may change are kept, and marked in BTF, like kfuncs, and are none.
    private static let forModification = "BTF_KFUNC_HOOK_FMODRET"

    private static func modifiable(_ capture: SurfaceCapture, _ types: KernelTypes) -> [String] {
        let hook = types.vmlinux.enumeration("btf_kfunc_hook")?.first { $0.name == forModification }?.value
        return capture.kfuncs.filter { Int64($0.hook) == hook }.flatMap { set -> [String] in
            let owner = types.all.first { $0.name == set.owner }?.types
            return set.pairs.compactMap { pair in owner?.name(of: pair.id) }
        }
    }

    /// The kfuncs that the kernel has in its sets.
    private static func registered(_ capture: SurfaceCapture, _ types: KernelTypes) -> [Kfunc] {
        let hooks = Dictionary(
            (types.vmlinux.enumeration("btf_kfunc_hook") ?? []).map { ($0.value, $0.name) },
            uniquingKeysWith: { first, _ in first })
        var found: [String: (kfunc: Kfunc, bits: UInt32)] = [:]
        for set in capture.kfuncs {
            let prefix = "BTF_KFUNC_HOOK_"
            let hook = hooks[Int64(set.hook)] ?? "\(set.hook)"
            if hook == forModification { continue }
            let name = hook.hasPrefix(prefix) ? hook.dropFirst(prefix.count).lowercased() : hook
            guard let owner = types.all.first(where: { $0.name == set.owner })?.types else { continue }
            for pair in set.pairs {
                guard let prototype = owner.prototype(of: pair.id), let signature = owner.signature(of: pair.id) else {
                    continue
                }
                let function = owner.name(of: pair.id)
                let key = "\(function) \(set.owner)"
                var entry =
                    found[key]
                    ?? (
                        Kfunc(
                            name: function, module: set.owner, prototype: prototype, signature: signature, flags: [],
                            hooks: []), 0
                    )
                // One that is in the sets of several hooks has the same flags in all of them, or those of each.
                entry.bits |= pair.flags
                entry.kfunc.flags = flagNames(entry.bits)
                entry.kfunc.hooks = Set((entry.kfunc.hooks ?? []) + [name]).sorted()
                found[key] = entry
            }
        }
        return found.values.map(\.kfunc)
    }

    /// The functions that BTF marks as kfuncs, in kernels built with pahole 1.27 or later (6.10 on).
    private static func tagged(_ types: KernelTypes, besides known: [String]) -> [Kfunc] {
        let names = Set(known)
        return types.all.flatMap { owner, types in
            types.functionIDs(tagged: "bpf_kfunc").compactMap { id -> Kfunc? in
                let name = types.name(of: id)
                guard !names.contains(name), let prototype = types.prototype(of: id),
                    let signature = types.signature(of: id)
                else { return nil }
                return Kfunc(
                    name: name, module: owner, prototype: prototype, signature: signature, flags: nil, hooks: nil)
            }
        }.sorted { ($0.name, $0.module) < ($1.name, $1.module) }
    }
}
