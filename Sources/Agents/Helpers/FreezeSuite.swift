// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import BTF
internal import LinuxIO
internal import SystemPackage

/// H-001 to H-004, H-006, H-009 and H-010 of docs/semantics/dynptr-iters.md.
let freezeSuite = Suite(
    "helpers.freeze", "helpers, commands and types keep their numbers; there are no helpers after 211",
    // What cannot be read is told by the cases that ask for it.
    prepare: { _ = KernelFacts.result }
) {
    Case("H-001", "each helper id keeps its name in the verifier, from the release that brought it on") { test in
        let known = highestHelper(of: .running)
        let filter = ProbeType.plain[0]
        var wrong: [String] = []
        for id in 1...known.lowerBound {
            let answer = filter.verdict(of: id)
            if answer.name != "bpf_\(helperNames[id])" { wrong.append("\(id): \(answer.name)") }
        }
        test.expect(wrong, equals: [], "helpers with another name than that of their id")
        for id in (known.lowerBound + 1)..<(known.upperBound + 1) {
            // Some release brought it: then under this name.
            let name = filter.verdict(of: id).name
            test.expect(["unknown", "bpf_\(helperNames[id])"].contains(name), "helper \(id) has its name: \(name)")
        }
    }
    Case("H-002", "the id after the last helper is an invalid function in programs of every type") { test in
        let highest = highestHelper(of: .running).upperBound
        let types = ProbeType.plain.filter(\.exists)
        test.expect(types.count >= 20, "types of programs that can be loaded: \(types.map(\.name))")
        for type in types {
            for id in [highest + 1, highest + 2, 1000, 1 << 20] {
                let answer = type.verdict(of: id)
                test.expect(answer.verdict, equals: .invalid, "\(type.name): call \(id)")
                test.expect(answer.errno, .EINVAL, "\(type.name): call \(id)")
            }
        }
    }
    // In parts, for each id may have to be tried with many types.
    for part in [1...40, 41...80, 81...120, 121...155, 156...185, 186...211] {
        Case(
            "H-002.\(part.lowerBound)", "helpers \(part.lowerBound) to \(part.upperBound) are offered to some program",
            spec: ["H-002"]
        ) { test in
            // Those that offer most come first: one that offers the helper is enough.
            let plain = ProbeType.plain.filter(\.exists)
            let first = plain.filter { ["sched_cls", "sock_ops", "lwt_xmit"].contains($0.name) }
            let types = first + (try KernelFacts.found().targeted) + plain
            let highest = highestHelper(of: .running).lowerBound
            if part.lowerBound > highest { throw test.skip("the last helper of this release is \(highest)") }
            let missing = part.filter { id in
                id <= highest && !optional.contains { $0.ids.contains(id) }
                    && !types.contains { $0.verdict(of: id).verdict == .offered }
            }
            test.expect(
                missing.map { "\($0) \(helperNames[$0])" }, equals: [], "helpers that no type of programs may call")
        }
    }
    for group in optional {
        Case(
            "H-002.\(group.name)", "helpers are offered that come with \(group.config)", spec: ["H-002"],
            needs: [group.feature]
        ) { test in
            let missing = group.ids.filter { !isOffered($0) }
            test.expect(
                missing.map { "\($0) \(helperNames[$0])" }, equals: [], "helpers that no type of programs may call")
        }
    }
    Case("H-003", "a helper that the type of program may not call is refused by its name and id") { test in
        for (type, id) in [
            ("socket_filter", 44), ("xdp", 9), ("kprobe", 26), ("sched_cls", 44), ("cgroup_device", 26),
            ("raw_tracepoint", 11), ("sk_lookup", 44), ("tracepoint", 51),
        ] {
            guard let type = ProbeType.plain.first(where: { $0.name == type }) else { continue }
            let answer = type.verdict(of: id)
            let helper = "bpf_\(helperNames[id])#\(id)"
            let old = "unknown func \(helper)"
            let new = "program of this type cannot use helper \(helper)"
            let allowed =
                switch KernelRelease.running {
                case ...KernelRelease.v6_1: [old]
                case KernelRelease.v6_12...: [new]
                default: [old, new]
                }
            guard case .refused(let message) = answer.verdict else {
                test.fail("\(type.name) calls \(helper)", expected: allowed[0], observed: "\(answer.verdict)")
                continue
            }
            test.expect(allowed.contains(message), "\(type.name) calls \(helper): \(message)")
            test.expect(answer.errno, .EINVAL, "\(type.name) calls \(helper)")
        }
    }
    for type in ProbeType.plain {
        if let offered = offeredIn5_10[type.name] {
            Case(
                "H-004.\(type.name)", "what \(type.name) programs could call in 5.10 they can still call",
                spec: ["H-004"], needs: [exists(type)]
            ) { test in
                let lost = numbers(offered).filter { type.verdict(of: $0).verdict != .offered }.sorted()
                test.expect(
                    lost.map { "\($0) \(helperNames[$0])" }, equals: [], "helpers that are not offered any more")
            }
        }
    }
    Case("H-006", "enum bpf_func_id in the kernel's BTF has the header's names and values, and no more") { test in
        guard let values = try KernelFacts.found().enumerations["bpf_func_id"] else {
            throw test.abort("the kernel's BTF has no enum bpf_func_id")
        }
        let known = highestHelper(of: .running)
        var seen: [Int: String] = [:]
        for (name, value) in values {
            if name == "__BPF_FUNC_MAX_ID" {
                test.expect(known.contains(Int(value) - 1), "\(name) is one more than the last: \(value)")
                continue
            }
            test.expect(seen[Int(value)] == nil, "\(name) has a value of its own: \(value)")
            seen[Int(value)] = name
        }
        for id in 0...known.lowerBound {
            test.expect(seen[id] ?? "nothing", equals: "BPF_FUNC_\(helperNames[id])", "the name of \(id)")
        }
        test.expect((seen.keys.max() ?? 0) <= known.upperBound, "there is no helper after \(known.upperBound)")
    }
    for (id, name) in [
        ("H-009", "bpf_cmd"), ("H-010.attach", "bpf_attach_type"), ("H-010.program", "bpf_prog_type"),
        ("H-010.map", "bpf_map_type"), ("H-010.link", "bpf_link_type"),
    ] {
        Case(
            id, "enum \(name) keeps its names and values; new ones come after them",
            spec: [String(id.prefix { $0 != "." })]
        ) { test in
            guard let values = try KernelFacts.found().enumerations[name] else {
                throw test.abort("the kernel's BTF has no enum \(name)")
            }
            let frozen = frozenEnumerations[name] ?? []
            try test.require(!frozen.isEmpty, "there is a table for \(name)")
            for one in frozen {
                guard let found = values.first(where: { $0.name == one.name }) else {
                    test.expect(one.since > .running, "\(one.name) = \(one.value) of \(one.since) is there")
                    continue
                }
                test.expect(found.value, equals: one.value, one.name)
            }
            let taken = Dictionary(frozen.map { ($0.value, $0.name) }) { first, _ in first }
            var highest: Int64 = 0
            for (name, value) in values where !name.contains("MAX_BPF_") {
                if value < 1 << 16 { highest = max(highest, value) }
                if !frozen.contains(where: { $0.name == name }) {
                    test.expect(taken[value] == nil, "\(name) has a number that was free: \(value)")
                }
            }
            for (name, value) in values where name.hasPrefix("__MAX_BPF_") {
                test.expect(value, equals: highest + 1, "\(name) is one more than the last")
            }
        }
    }
    commandCases
}

/// Whether a kernel has a type of programs; those that it may be built without name the option.
func exists(_ type: ProbeType) -> Feature {
    let since = ["syscall": "5.14", "netfilter": "6.4"][type.name] ?? "5.10"
    let config = [
        "lwt_in": "CONFIG_LWTUNNEL_BPF", "lwt_out": "CONFIG_LWTUNNEL_BPF", "lwt_xmit": "CONFIG_LWTUNNEL_BPF",
        "lwt_seg6local": "CONFIG_IPV6_SEG6_BPF", "lirc_mode2": "CONFIG_BPF_LIRC_MODE2",
        "netfilter": "CONFIG_NETFILTER_BPF_LINK",
    ]
    return Feature("program-type-\(type.name)", since: since, config: config[type.name].map { [$0] } ?? []) {
        if !type.exists { return .absent(evidence: "BPF_PROG_LOAD of a \(type.name) program") }
        // This type is there without the option, and offers nothing of its own.
        if type.name == "lwt_seg6local", type.verdict(of: 74).verdict != .offered {
            return .absent(evidence: "lwt_seg6local programs are not offered \(helperNames[74])")
        }
        return .present
    }
}

/// Helpers that a kernel may be built without.
private struct OptionalHelpers: Sendable {
    let name: String
    let ids: [Int]
    let since: String
    let config: String

    /// Asked by the first of them: a kernel with the option must have it, says the harness, which knows the options.
    var feature: Feature {
        Feature("\(name) helpers", since: since, config: [config]) {
            isOffered(ids[0]) ? .present : .absent(evidence: "no type of programs is offered \(helperNames[ids[0]])")
        }
    }
}

private let optional = [
    OptionalHelpers(name: "override", ids: [58], since: "4.16", config: "CONFIG_BPF_KPROBE_OVERRIDE"),
    OptionalHelpers(name: "tunnels", ids: [73], since: "4.18", config: "CONFIG_LWTUNNEL_BPF"),
    OptionalHelpers(name: "seg6", ids: [74, 75, 76], since: "4.18", config: "CONFIG_IPV6_SEG6_BPF"),
    OptionalHelpers(name: "lirc", ids: [77, 78, 92], since: "4.18", config: "CONFIG_BPF_LIRC_MODE2"),
    OptionalHelpers(name: "syncookies", ids: [204, 205, 206, 207], since: "6.0", config: "CONFIG_SYN_COOKIES"),
]

private func isOffered(_ id: Int) -> Bool {
    ProbeType.plain.contains { $0.exists && $0.verdict(of: id).verdict == .offered }
}
