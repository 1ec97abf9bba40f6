// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import BTF
internal import LinuxIO
internal import SystemPackage

/// A type of programs, and how one of two instructions is loaded as such.
struct ProbeType {
    let name: String
    let type: ProgramType
    var expectedAttachType: UInt32 = 0
    var flags: UInt32 = 0
    var attachBTFID: UInt32 = 0

    /// The types that need nothing but their number.
    static let plain: [ProbeType] = [
        ProbeType(name: "socket_filter", type: .socketFilter), ProbeType(name: "kprobe", type: .kprobe),
        ProbeType(name: "sched_cls", type: .schedCls), ProbeType(name: "sched_act", type: .schedAct),
        ProbeType(name: "tracepoint", type: .tracepoint), ProbeType(name: "xdp", type: .xdp),
        ProbeType(name: "perf_event", type: .perfEvent), ProbeType(name: "cgroup_skb", type: .cgroupSkb),
        ProbeType(name: "cgroup_sock", type: .cgroupSock, expectedAttachType: 2),
        ProbeType(name: "lwt_in", type: .lwtIn), ProbeType(name: "lwt_out", type: .lwtOut),
        ProbeType(name: "lwt_xmit", type: .lwtXmit),
        ProbeType(name: "sock_ops", type: .sockOps, expectedAttachType: 3), ProbeType(name: "sk_skb", type: .skSkb),
        ProbeType(name: "cgroup_device", type: .cgroupDevice, expectedAttachType: 6),
        ProbeType(name: "sk_msg", type: .skMsg, expectedAttachType: 7),
        ProbeType(name: "raw_tracepoint", type: .rawTracepoint),
        ProbeType(name: "connect4", type: .cgroupSockAddr, expectedAttachType: 10),
        ProbeType(name: "lwt_seg6local", type: .lwtSeg6local), ProbeType(name: "lirc_mode2", type: .lircMode2),
        ProbeType(name: "sk_reuseport", type: .skReuseport),
        ProbeType(name: "flow_dissector", type: .flowDissector, expectedAttachType: 17),
        ProbeType(name: "cgroup_sysctl", type: .cgroupSysctl, expectedAttachType: 18),
        ProbeType(name: "raw_tracepoint_writable", type: .rawTracepointWritable),
        ProbeType(name: "setsockopt", type: .cgroupSockopt, expectedAttachType: 22),
        ProbeType(name: "getsockopt", type: .cgroupSockopt, expectedAttachType: 21),
        ProbeType(name: "sk_lookup", type: .skLookup, expectedAttachType: 36),
        ProbeType(name: "syscall", type: .syscall, flags: 1 << 4),
        ProbeType(name: "netfilter", type: .netfilter, expectedAttachType: 45),
    ]

    /// The types that are for one function of the kernel, found in its BTF.
    static func targeted(_ types: BTFTypes, functions: [String: UInt32]) -> [ProbeType] {
        let targets: [(String, ProgramType, UInt32, String)] = [
            ("fentry", .tracing, 24, "bpf_fentry_test1"), ("fexit", .tracing, 25, "bpf_fentry_test1"),
            ("iter", .tracing, 28, "bpf_iter_task"), ("lsm", .lsm, 27, "bpf_lsm_file_open"),
            ("lsm_exec", .lsm, 27, "bpf_lsm_bprm_creds_for_exec"),
        ]
        var found = targets.compactMap { name, type, attach, function in
            functions[function].map {
                ProbeType(name: name, type: type, expectedAttachType: attach, attachBTFID: $0)
            }
        }
        // The second one is the only hook of 5.10 where programs may sleep.
        for hook in ["bpf_lsm_file_open", "bpf_lsm_bprm_committed_creds"] {
            guard let id = functions[hook] else { continue }
            found.append(
                ProbeType(name: "lsm.s/\(hook)", type: .lsm, expectedAttachType: 27, flags: 1 << 4, attachBTFID: id))
        }
        if let operations = types.structure("tcp_congestion_ops") {
            found.append(
                // A member that is a function in every release.
                ProbeType(name: "struct_ops", type: .structOps, expectedAttachType: 5, attachBTFID: operations))
        }
        return found
    }

    func program(_ instructions: [Instruction]) -> RawProgram {
        var program = RawProgram(type, instructions, expectedAttachType: expectedAttachType)
        program.flags = flags
        program.attachBTFID = attachBTFID
        return program
    }

    /// Whether the kernel has the type at all: one that returns 0 or 1 is loaded.
    var exists: Bool {
        for value: Int32 in [0, 1] where program([.set(0, value), .exit]).load(logSize: 0).errno == nil { return true }
        return false
    }

    enum Verdict: Equatable {
        /// The kernel knows no such id.
        case invalid
        /// The id is known, but not to this type of programs.
        case refused(message: String)
        /// The verifier went on to the arguments.
        case offered
        /// It did not come to the call.
        case nothing(String)
    }

    /// What the verifier says of `call ID; exit`.
    func verdict(of id: Int) -> (verdict: Verdict, name: String, errno: Errno?) {
        let answer = program([.call(Int32(id)), .exit]).load(logLevel: 2)
        let log = answer.log
        // `0: (85) call bpf_map_lookup_elem#1`, and behind it, where the verifier goes on, `; R0_w=…`.
        let mark = "#\(id)"
        let words = log.line(with: "(85) call ")?.utf8.split(separator: 0x20) ?? []
        guard let call = words.lazy.map(Substring.init).first(where: { $0.hasSuffix(mark) }) else {
            return (.nothing(log), "", answer.errno)
        }
        let name = String(call.dropLast(mark.count))
        if log.contains(bytes: "invalid func unknown#\(id)") { return (.invalid, name, answer.errno) }
        for refusal in ["unknown func ", "program of this type cannot use helper "] {
            if let line = log.line(with: refusal) {
                return (.refused(message: String(line)), name, answer.errno)
            }
        }
        return (.offered, name, answer.errno)
    }
}

/// Numbers as short text: `1-3 7`.
func ranges(_ numbers: some Sequence<Int>) -> String {
    var parts: [ClosedRange<Int>] = []
    for number in numbers.sorted() {
        if let last = parts.last, last.upperBound + 1 == number {
            parts[parts.count - 1] = last.lowerBound...number
        } else {
            parts.append(number...number)
        }
    }
    return parts.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        .joined(separator: " ")
}

/// The reverse of `ranges`.
func numbers(_ text: String) -> Set<Int> {
    var all: Set<Int> = []
    for part in text.split(whereSeparator: \.isWhitespace) {
        let ends = part.split(separator: "-").compactMap { Int($0) }
        if let first = ends.first, let last = ends.last { all.formUnion(first...last) }
    }
    return all
}
