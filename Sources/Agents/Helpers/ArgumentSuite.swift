// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// H-005 of docs/semantics/dynptr-iters.md: calls that some release's verifier lets pass must pass in every later one.
let argumentSuite = Suite(
    "helpers.arguments", "kinds of arguments that helpers take, which no later kernel refuses"
) {
    for call in helperCalls {
        Case(
            "H-005.\(call.name)", call.title, spec: ["H-005"], since: call.since,
            needs: call.since == nil ? [] : [dynptrs]
        ) { test in
            let maps = try Maps()
            let program = RawProgram(call.type, call.instructions(maps))
            let answer = program.load()
            if answer.errno != nil {
                test.note("verifier_log", answer.log.split(separator: "\n").suffix(12).joined(separator: "\n"))
            }
            test.expect(answer.errno, nil, "the program is loaded")
            guard let expected = call.result else { return }
            test.expect(
                try run(try answer.program.get(), packet: call.type != .rawTracepoint), equals: expected,
                "what the program returns")
        }
    }
}

/// Dynptrs (commit 97e03f521050, 5.19): bpf_dynptr_from_mem has an id.
private let dynptrs = Feature("dynptr-helpers", since: "5.19") {
    ProbeType.plain[0].verdict(of: 197).verdict == .invalid
        ? .absent(evidence: "call 197: invalid func unknown#197") : .present
}

/// One program, and what it returns for a packet of 64 bytes 0, 1, 2…
private struct HelperCall: Sendable {
    let name: String
    let title: String
    var since: String?
    var type = ProgramType.schedCls
    /// nil where programs of the type are not run on demand.
    var result: UInt32?
    let instructions: @Sendable (Maps) -> [Instruction]
}

/// Maps for the programs' use: one element of eight bytes, 41 in the array's.
private struct Maps {
    let array: BPFMap
    let hash: BPFMap
    let ring: BPFMap
    let programs: BPFMap
    let events: BPFMap

    init() throws {
        array = try BPFMap.create(.array, value: 64).get()
        hash = try BPFMap.create(.hash, entries: 4).get()
        ring = try BPFMap.create(.ringBuffer, key: 0, value: 0, entries: 4096).get()
        programs = try BPFMap.create(.progArray, value: 4).get()
        events = try BPFMap.create(.perfEventArray, value: 4).get()
        let value = [41] + [UInt8](repeating: 0, count: 63)
        if let errno = array.update(UInt32(0).bytes, to: value) { throw errno }
    }
}

private func run(_ program: FileHandle, packet hasPacket: Bool) throws(Errno) -> UInt32 {
    let packet = (0..<64).map { UInt8($0) }
    var attr = Attr(size: 80)
    attr.set(program.raw, at: 0)
    let errno = unsafe packet.withUnsafeBytes { raw in
        if hasPacket {
            attr.set(UInt32(packet.count), at: 8)
            attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 16)
        }
        return attr.call(.progTestRun).errno
    }
    if let errno { throw errno }
    return attr.get(at: 4)
}

// MARK: Parts of programs; r6 holds the context, the stack is used from r10 - 8 downwards.

private let start: [Instruction] = [.copy(6, from: 1), .store(0, at: 10, -8), .store(0, at: 10, -16)]

/// `rN = r10 + offset`.
private func stack(_ register: UInt8, _ offset: Int32) -> [Instruction] {
    [.copy(register, from: 10), .add(register, offset)]
}

/// `if r0 == 0 return 99`, which no program here should.
private let unlessNull: [Instruction] = [Instruction(0x55, offset: 2), .set(0, 99), .exit]

/// r0 = the array's value, never NULL.
private func value(_ maps: Maps) -> [Instruction] {
    Instruction.map(1, maps.array.raw) + stack(2, -8) + [.call(1)] + unlessNull
}

/// `r0 = *(u8 *)(r0 + 0); exit`.
private let returnByte: [Instruction] = [Instruction(0x71, destination: 0, source: 0), .exit]

private let helperCalls: [HelperCall] = [
    HelperCall(
        name: "map_lookup_elem", title: "a map and a key on the stack are arguments of map_lookup_elem", result: 41
    ) { start + value($0) + returnByte },
    HelperCall(
        name: "map_lookup_elem.value", title: "a key in a map's value is an argument of map_lookup_elem", result: 41
    ) { maps in
        // The value's bytes from 4 on are zeros: key 0.
        start + value(maps) + [.copy(2, from: 0), .add(2, 4)] + Instruction.map(1, maps.array.raw) + [.call(1)]
            + unlessNull + returnByte
    },
    HelperCall(
        name: "map_update_elem", title: "a key and a value on the stack are arguments of map_update_elem", result: 0
    ) { maps in
        start + Instruction.map(1, maps.hash.raw) + stack(2, -8) + stack(3, -16) + [.set(4, 0), .call(2), .exit]
    },
    HelperCall(
        name: "map_update_elem.packet", title: "packet data are a key and a value of map_update_elem", result: 0
    ) { maps in
        // data and data_end of struct __sk_buff.
        start + [
            Instruction(0x61, destination: 7, source: 1, offset: 76),
            Instruction(0x61, destination: 8, source: 1, offset: 80), .copy(2, from: 7), .add(2, 16),
            Instruction(0xbd, destination: 2, source: 8, offset: 2), .set(0, 98), .exit, .copy(2, from: 7),
            .copy(3, from: 7), .add(3, 8), .set(4, 0),
        ] + Instruction.map(1, maps.hash.raw) + [.call(2), .exit]
    },
    HelperCall(
        name: "map_delete_elem", title: "an absent key on the stack is an argument of map_delete_elem, answered ENOENT",
        result: UInt32(bitPattern: -2)
    ) { maps in start + Instruction.map(1, maps.hash.raw) + stack(2, -8) + [.call(3), .exit] },
    HelperCall(
        name: "tail_call", title: "context, array and number are arguments of tail_call, which goes on where none is",
        result: 5
    ) { maps in
        start + [.copy(1, from: 6)] + Instruction.map(2, maps.programs.raw) + [
            .set(3, 0), .call(12), .set(0, 5), .exit,
        ]
    },
    HelperCall(
        name: "skb_load_bytes", title: "uninitialised stack of constant size is filled by skb_load_bytes", result: 14
    ) { _ in
        [
            .copy(6, from: 1), .set(2, 14), .copy(3, from: 10), .add(3, -8), .set(4, 8), .call(26),
            Instruction(0x71, destination: 0, source: 10, offset: -8), .exit,
        ]
    },
    HelperCall(
        name: "skb_load_bytes.variable", title: "a size from 1 to 8 that is only known at run time is an argument",
        result: 14
    ) { _ in
        start + [
            // r4 = (skb->len & 7) + 1
            Instruction(0x61, destination: 4, source: 1), Instruction(0x57, destination: 4, immediate: 7), .add(4, 1),
            .copy(1, from: 6), .set(2, 14), .copy(3, from: 10), .add(3, -8), .call(26),
            Instruction(0x71, destination: 0, source: 10, offset: -8), .exit,
        ]
    },
    HelperCall(
        name: "skb_store_bytes", title: "stack of constant size is an argument of skb_store_bytes", result: 0
    ) { _ in
        start + [.copy(1, from: 6), .set(2, 20)] + stack(3, -8) + [.set(4, 8), .set(5, 0), .call(9), .exit]
    },
    HelperCall(
        name: "csum_diff.null", title: "NULL and size 0 are arguments of csum_diff", result: 0
    ) { _ in
        start + [.set(1, 0), .set(2, 0)] + stack(3, -8) + [.set(4, 8), .set(5, 0), .call(28), .exit]
    },
    HelperCall(
        name: "csum_diff.both", title: "two stretches of the stack are arguments of csum_diff", result: 0
    ) { _ in
        start + stack(1, -16) + [.set(2, 8)] + stack(3, -8) + [
            // Nothing differs: 0, or what is the same in ones' complement.
            .set(4, 8), .set(5, 0), .call(28), Instruction(0x94, immediate: 0xffff), .exit,
        ]
    },
    HelperCall(
        name: "skb_pull_data", title: "any number is the length of skb_pull_data", result: 0
    ) { _ in start + [.copy(1, from: 6), .set(2, 32), .call(39), .exit] },
    HelperCall(
        name: "trace_printk", title: "a format on the stack, its constant size and three numbers are arguments",
        result: 3
    ) { _ in
        // "%d\0", which makes "0", a new line and what ends it.
        start + [.store(0x6425, at: 10, -8)] + stack(1, -8) + [
            .set(2, 3), .set(3, 0), .set(4, 0), .set(5, 0), .call(6),
            // The number of bytes depends on the line's end: 1 to 3.
            Instruction(0x65, destination: 0, offset: 2, immediate: 0), .set(0, 97), .exit, .set(0, 3), .exit,
        ]
    },
    HelperCall(
        name: "get_current_comm", title: "uninitialised stack of 16 bytes is an argument of get_current_comm",
        type: .rawTracepoint, result: 0
    ) { _ in stack(1, -16) + [.set(2, 16), .call(16), .exit] },
    HelperCall(
        name: "probe_read_kernel", title: "any address is an argument of probe_read_kernel, also no address",
        type: .rawTracepoint, result: 1
    ) { _ in
        stack(1, -8) + [
            .set(2, 8), .set(3, 0), .call(113), Instruction(0xc5, offset: 2), .set(0, 97), .exit, .set(0, 1), .exit,
        ]
    },
    HelperCall(
        name: "probe_read_kernel.zero", title: "size 0 is an argument of probe_read_kernel", type: .rawTracepoint,
        result: 1
    ) { _ in start + stack(1, -8) + [.set(2, 0), .set(3, 0), .call(113), .set(0, 1), .exit] },
    HelperCall(
        name: "perf_event_output", title: "context, map, flags, stack and size are arguments of perf_event_output",
        result: UInt32(bitPattern: -2)
    ) { maps in
        start + [.copy(1, from: 6)] + Instruction.map(2, maps.events.raw) + [.set(3, 0)] + stack(4, -8) + [
            .set(5, 8), .call(25), .exit,
        ]
    },
    HelperCall(
        name: "ringbuf_output", title: "stack of constant size is an argument of ringbuf_output", result: 0
    ) { maps in
        start + Instruction.map(1, maps.ring.raw) + stack(2, -8) + [.set(3, 8), .set(4, 0), .call(130), .exit]
    },
    HelperCall(
        name: "ringbuf_submit", title: "what ringbuf_reserve gives is written and is an argument of ringbuf_submit",
        result: 6
    ) { maps in
        start + Instruction.map(1, maps.ring.raw) + [.set(2, 16), .set(3, 0), .call(131)] + unlessNull + [
            .store(7, at: 0, 8), .copy(1, from: 0), .set(2, 0), .call(132), .set(0, 6), .exit,
        ]
    },
    HelperCall(
        name: "ringbuf_query", title: "flags are an argument of ringbuf_query: 1 asks for the size", result: 4096
    ) { maps in start + Instruction.map(1, maps.ring.raw) + [.set(2, 1), .call(134), .exit] },
    HelperCall(
        name: "redirect", title: "any numbers are arguments of redirect", result: 7
    ) { _ in [.set(1, 1), .set(2, 0), .call(23), .exit] },
    HelperCall(
        name: "xdp_adjust_head", title: "context and a number are arguments of xdp_adjust_head", type: .xdp, result: 2
    ) { _ in start + [.copy(1, from: 6), .set(2, 4), .call(44), Instruction(0x07, immediate: 2), .exit] },
    HelperCall(
        name: "sk_lookup_tcp", title: "a tuple on the stack is an argument of sk_lookup_tcp, whose socket is released",
        result: 4
    ) { _ in
        start + [.copy(1, from: 6)] + stack(2, -16) + [
            .set(3, 12), .set(4, -1), .set(5, 0), .call(84), Instruction(0x15, offset: 2), .copy(1, from: 0),
            .call(86), .set(0, 4), .exit,
        ]
    },
    HelperCall(
        name: "none", title: "numbers without arguments: ktime_get_ns, get_prandom_u32, get_smp_processor_id", result: 1
    ) { _ in
        [
            .call(7), .call(8), .call(5), Instruction(0x55, offset: 2), .set(0, 0), .exit, .set(0, 1), .exit,
        ]
    },
    HelperCall(
        name: "strtol", title: "text of constant size and a pointer to a long are arguments of strtol",
        type: .cgroupSysctl
    ) { _ in
        start + [.store(0x3231, at: 10, -8)] + stack(1, -8) + [.set(2, 8), .set(3, 0)] + stack(4, -16) + [
            .call(105), .set(0, 1), .exit,
        ]
    },
    HelperCall(
        name: "dynptr_from_mem", title: "a map's value, a size and a dynptr on the stack are arguments", since: "5.19",
        result: 41
    ) { maps in
        start + value(maps) + [.copy(1, from: 0), .set(2, 8), .set(3, 0)] + stack(4, -32) + [
            .call(197)
        ] + stack(1, -8) + [.set(2, 1)] + stack(3, -32) + [
            .set(4, 0), .set(5, 0), .call(201), Instruction(0x71, destination: 0, source: 10, offset: -8), .exit,
        ]
    },
    HelperCall(
        name: "dynptr_data", title: "a dynptr, an offset and a constant length are arguments of dynptr_data",
        since: "5.19", result: 41
    ) { maps in
        start + value(maps) + [.copy(1, from: 0), .set(2, 8), .set(3, 0)] + stack(4, -32) + [
            .call(197)
        ] + stack(1, -32) + [.set(2, 0), .set(3, 1), .call(203)] + unlessNull + returnByte
    },
]
