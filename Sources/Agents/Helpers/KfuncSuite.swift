// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import BTF
internal import LinuxIO
internal import SystemPackage

/// H-007 and H-008 of docs/semantics/dynptr-iters.md.
let kfuncSuite = Suite(
    "helpers.kfuncs", "the kernel's kfuncs are those of the catalogue", prepare: { _ = KernelFacts.result }
) {
    Case(
        "H-007", "the kernel has the kfuncs of its release, but for whole files that it is built without", since: "6.1",
        needs: [kfuncCalls]
    ) { test in
        let (facts, catalogue, columns, functions) = try surroundings(test)
        // A file that the kernel is built without takes all of its kfuncs with it.
        let built = Set(catalogue.rows.filter { functions[$0.name] != nil }.map(\.file))
        var missing: [String] = []
        for row in catalogue.rows where columns.allSatisfy(row.isIn) && functions[row.name] == nil {
            if row.isOfTestModule || !row.config.isEmpty || !built.contains(row.file) { continue }
            missing.append(row.name)
        }
        test.expect(missing, equals: [], "kfuncs that are not there, though others of the same file are")
        var gone: [String] = []
        for row in catalogue.rows where !columns.contains(where: row.isIn) && functions[row.name] != nil {
            gone.append(row.name)
        }
        // A function may have been there before it became a kfunc: only what programs can call counts.
        let callable = gone.filter { name in
            // In 7.x the name of what is behind a function with implicit arguments.
            if name.hasSuffix("_impl") { return false }
            return functions[name].map { Caller.syscall.calls($0, name) == .allowed } ?? false
        }
        test.expect(callable, equals: [], "kfuncs that this release does not have any more, or not yet")
    }
    Case(
        "H-007.tags", "every function that BTF says to be a kfunc is in the catalogue, and the other way round",
        spec: ["H-007"], needs: [kfuncCalls, kfuncTags]
    ) { test in
        let (facts, catalogue, columns, functions) = try surroundings(test)
        let tagged = facts.tagged
        let known = Set(catalogue.rows.filter { row in columns.contains { row.isIn($0) } }.map(\.name))
        let isExact = columns.count == 1
        let extra = tagged.subtracting(known).subtracting(isExact ? [] : interim).sorted()
        test.expect(extra, equals: [], "kfuncs that the catalogue does not have")
        var untagged: [String] = []
        for row in catalogue.rows where functions[row.name] != nil && columns.allSatisfy(row.isIn) {
            if tagged.contains(row.name) { continue }
            // resolve_btfids of 7.0 to 7.2 lost tags of functions with implicit arguments, which it splits in two.
            if columns.contains(where: { row.flags(in: $0).contains("KF_IMPLICIT_ARGS") }) { continue }
            // A function whose return value programs may change is listed like a kfunc, and is none.
            if columns.contains(where: { row.types(in: $0).contains("FMOD_RET") }) { continue }
            untagged.append(row.name)
        }
        test.expect(untagged, equals: [], "kfuncs of the catalogue that BTF does not say to be such")
    }
    for caller in Caller.allCases {
        Case(
            "H-007.\(caller.name)",
            "\(caller.name) programs may call the kfuncs that are registered for them, no others",
            spec: ["H-007"], since: "6.1", needs: [kfuncCalls] + caller.needs
        ) { test in
            let (facts, catalogue, columns, functions) = try surroundings(test)
            var refused: [String] = []
            var allowed: [String] = []
            var judged = 0
            for row in catalogue.rows {
                guard let id = functions[row.name] else { continue }
                let expectations = Set(columns.map { caller.expectation(row, in: $0) })
                guard expectations.count == 1, let expected = expectations.first, expected != .unknown else {
                    continue
                }
                if columns.count > 1, caller == .tracing, interimForTracing.contains(row.name) { continue }
                // 7.3 asks first whether a program has the arena that a parameter points to.
                if facts.prototypes[row.name]?.contains(bytes: "__arena") == true { continue }
                let answer = caller.calls(id, row.name)
                judged += 1
                if answer == .unknown {
                    refused.append("\(row.name): the verifier did not come to the call: \(caller.log(id).suffix(300))")
                }
                if expected == .allowed, answer == .refused { refused.append(row.name) }
                if expected == .refused, answer == .allowed { allowed.append(row.name) }
            }
            test.expect(judged > 20, "kfuncs that were tried: \(judged)")
            test.expect(refused, equals: [], "kfuncs that are refused, and should not be")
            test.expect(allowed, equals: [], "kfuncs that are allowed, and should not be")
        }
    }
    Case("H-008", "the kfuncs' prototypes in BTF are those of the catalogue", since: "6.1", needs: [kfuncCalls]) {
        test in
        let (facts, catalogue, columns, functions) = try surroundings(test)
        var compared = 0
        for row in catalogue.rows {
            guard columns.allSatisfy(row.isIn), let text = facts.prototypes[row.name] else { continue }
            let expected = columns.flatMap { row.prototypes(in: $0) }
            if expected.isEmpty { continue }
            compared += 1
            let observed = Prototype.canonical(text)
            if !expected.contains(observed) {
                test.fail(row.name, expected: Set(expected).sorted().joined(separator: " or "), observed: observed)
            }
        }
        test.expect(compared > 25, "prototypes that were compared: \(compared)")
    }
}

/// Programs that call functions of the kernel (commit e6ac2450d6de, 5.13).
private let kfuncCalls = Feature("kfunc-calls", since: "5.13", config: ["CONFIG_DEBUG_INFO_BTF"]) {
    let answer = RawProgram(.schedCls, [.callKernel(1), .set(0, 0), .exit]).load()
    if answer.log.contains("BPF_CALL uses reserved fields") {
        return .absent(evidence: "a call of function 1: BPF_CALL uses reserved fields")
    }
    return .present
}

/// BTF says which functions are kfuncs where it was made by pahole 1.26 or newer, which the kernel asks for since 6.10.
private let kfuncTags = Feature("btf-kfunc-tags", since: "7.2", config: ["CONFIG_DEBUG_INFO_BTF"]) {
    do throws(Errno) {
        if try BTFTypes.kernel().functionIDs(tagged: "bpf_kfunc").count > 20 { return .present }
        return .absent(evidence: "no declaration tags `bpf_kfunc` in the kernel's BTF")
    } catch {
        return .absent(evidence: "BTF of the kernel: \(error.name) (\(error.rawValue))")
    }
}

/// kfuncs that releases between those of the catalogue had: 6.17 to 6.19.
private let interim: Set<String> = [
    "bpf_stream_vprintk_impl", "bpf_task_work_schedule_resume_impl", "bpf_task_work_schedule_signal_impl",
]

/// What tracing programs could call in 6.15 to 6.19, and neither before nor after: seen on 6.18.15.
private let interimForTracing: Set<String> = ["scx_bpf_select_cpu_and", "scx_bpf_select_cpu_dfl"]

private func surroundings(
    _ test: Test
) throws -> (
    facts: KernelFacts, catalogue: KfuncCatalogue, columns: [KernelRelease], functions: [String: UInt32]
) {
    if KernelRelease.running < .v6_1 { throw test.skip("the catalogue begins with 6.1") }
    let columns = KfuncCatalogue.columns(for: .running)
    // A kernel that is newer than the catalogue keeps what the newest column has, as far as anybody knows.
    try test.require(!columns.isEmpty, "the catalogue has columns for \(KernelRelease.running)")
    let facts = try KernelFacts.found()
    let catalogue = facts.catalogue
    try test.require(catalogue.rows.count > 400, "the catalogue has its rows: \(catalogue.rows.count)")
    return (facts, catalogue, columns, facts.functions)
}

/// A type of programs that calls kfuncs.
private enum Caller: CaseIterable {
    case schedCls, xdp, syscall, tracing, socketFilter, cgroupSkb, connect4, kprobe, netfilter, skSkb, lwtXmit

    enum Answer: Hashable {
        case allowed, refused, unknown
    }

    /// The types that came after the first kfuncs.
    var needs: [Feature] {
        guard self == .netfilter else { return [] }
        return ProbeType.plain.filter { $0.name == name }.map { exists($0) }
    }

    var name: String {
        switch self {
        case .schedCls: "sched_cls"
        case .xdp: "xdp"
        case .syscall: "syscall"
        case .tracing: "fentry"
        case .socketFilter: "socket_filter"
        case .cgroupSkb: "cgroup_skb"
        case .connect4: "connect4"
        case .kprobe: "kprobe"
        case .netfilter: "netfilter"
        case .skSkb: "sk_skb"
        case .lwtXmit: "lwt_xmit"
        }
    }

    /// The types of the catalogue that such programs find kfuncs of.
    ///
    /// - Source: bpf_prog_type_to_kfunc_hook of kernel/bpf/btf.c.
    private func sets(in release: KernelRelease) -> Set<String> {
        // Sets for all types came with 6.2.
        switch self {
        case .schedCls: ["SCHED_CLS", "UNSPEC"]
        case .xdp: ["XDP", "UNSPEC"]
        case .syscall: ["SYSCALL", "UNSPEC"]
        case .tracing: ["TRACING", "LSM", "UNSPEC"]
        case .socketFilter: ["SOCKET_FILTER", "UNSPEC"]
        // One hook for all programs of cgroups, whatever they were registered as.
        case .cgroupSkb, .connect4:
            ["CGROUP_SKB", "CGROUP_SOCK", "CGROUP_SOCK_ADDR", "CGROUP_DEVICE", "CGROUP_SOCKOPT", "SOCK_OPS", "UNSPEC"]
        case .kprobe: ["KPROBE", "UNSPEC"]
        case .netfilter: ["NETFILTER", "UNSPEC"]
        case .skSkb: ["SK_SKB", "UNSPEC"]
        case .lwtXmit: ["LWT_IN", "LWT_OUT", "LWT_XMIT", "LWT_SEG6LOCAL", "UNSPEC"]
        }
    }

    func expectation(_ row: KfuncCatalogue.Row, in release: KernelRelease) -> Answer {
        // Refused before the call is looked at, where the program is not bound to a device.
        if row.name.hasPrefix("bpf_xdp_metadata_") { return .unknown }
        // With seven parameters it is refused for their number.
        if row.name == "bpf_modify_return_test2" { return .unknown }
        // The name of what is behind a function with implicit arguments.
        if !row.isIn(release), row.name.hasSuffix("_impl") { return .unknown }
        guard row.isIn(release) else { return .refused }
        let wanted = sets(in: release)
        var filtered = false
        for type in row.types(in: release) {
            guard let bracket = type.firstIndex(of: "[") else {
                if wanted.contains(type) { return .allowed }
                continue
            }
            // A filter decides by more than the type.
            if wanted.contains(String(type[..<bracket])) { filtered = true }
        }
        return filtered ? .unknown : .refused
    }

    private var type: ProbeType? {
        let plain = ProbeType.plain.first { $0.name == name }
        guard self == .tracing else { return plain }
        return (try? KernelFacts.found())?.targeted.first { $0.name == "fentry" }
    }

    /// The verifier's log of `call KFUNC; exit`.
    func log(_ id: UInt32) -> String {
        type?.program([.callKernel(id), .set(0, 0), .exit]).load().log ?? "no such type"
    }

    /// What the verifier says of it.
    func calls(_ id: UInt32, _ name: String) -> Answer {
        guard let type else { return .unknown }
        let answer = type.program([.callKernel(id), .set(0, 0), .exit]).load()
        if answer.log.contains(bytes: "calling kernel function \(name) is not allowed") { return .refused }
        // Loaded, or refused for what is passed to it.
        if answer.errno == nil || answer.log.contains(bytes: "#\(id)") || answer.log.contains(bytes: name) {
            return .allowed
        }
        return .unknown
    }
}
