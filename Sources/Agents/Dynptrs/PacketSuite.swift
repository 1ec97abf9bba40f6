// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

private let object = "dynptr/packet.bpf.o"
private let skbNeeds = [Features.slice, Features.clone, Features.fromSkb]
private let xdpNeeds = [Features.slice, Features.clone, Features.fromXDP]

/// Bytes that tell where they stand.
func packet(_ size: Int) -> [UInt8] {
    (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
}

private func loaded(_ program: String) throws -> BPFObject {
    try BPFObject(object, programs: [program])
}

extension TestRun {
    /// A packet, with room for it afterwards.
    init(packet: [UInt8]) {
        self.init(data: packet, dataRoom: packet.count)
    }
}

/// D-020 to D-036, on packets.
public let dynptrPacketSuite = Suite(
    "dynptr.packet", "dynptrs to packets: whole, in fragments, read-only; metadata and files",
    isolation: .network, objects: [object]
) {
    Case("D-020", "a slice of a packet in tc is the packet, from its Ethernet header on", needs: skbNeeds) { test in
        let object = try loaded("in_tc")
        let packet = packet(100)
        for (offset, fits) in [(0, true), (14, true), (91, true), (92, true), (93, false), (100, false)] {
            for kind in [Operation.Kind.slice, .sliceBare, .sliceRdwr, .sliceRdwrBare] {
                let (answer, data) = try object.perform(
                    test, Operation(kind, at: UInt64(offset)), "in_tc", TestRun(packet: packet))
                let what = "\(kind) of 8 bytes at \(offset) of 100"
                test.expect(answer.sizes.parent, equals: 100, "the size of the dynptr")
                test.expect(answer, gives: fits ? Array(packet[offset..<offset + 8]) : nil, what)
                let writes = fits && kind != .slice && kind != .sliceBare
                test.expect(
                    data, equals: writes ? packet.writing(Operation.given[..<8], at: offset) : packet,
                    "the packet after \(what)")
            }
        }
    }
    for (program, size, kinds) in [("in_tc", 100, skbNeeds), ("in_xdp", 100, xdpNeeds)] {
        Case(
            "D-005.\(program)", "what lies within a packet is read and written, what does not is E2BIG",
            spec: ["D-005", "D-028", "D-029", "D-031"], needs: kinds
        ) { test in
            let object = try loaded(program)
            let packet = packet(size)
            for (offset, length, view, fits) in [
                (0, 64, nil, true), (36, 64, nil, true), (37, 64, nil, false), (99, 1, nil, true),
                (100, 1, nil, false), (100, 0, nil, true), (101, 0, nil, false), (UInt64(UInt32.max), 1, nil, false),
                (0, 20, (14, 34), true), (0, 21, (14, 34), false), (19, 1, (14, 34), true), (20, 1, (14, 34), false),
            ] as [(UInt64, Int, (UInt64, UInt64)?, Bool)] {
                for kind in [Operation.Kind.read, .write] {
                    for onClone in [false, true] {
                        var operation = Operation(kind, at: offset, length: UInt32(length)).with {
                            $0.onClone = onClone
                        }
                        if let view { operation = operation.adjusting(view.0, view.1, ofClone: onClone) }
                        let (answer, data) = try object.perform(test, operation, program, TestRun(packet: packet))
                        let what = "\(kind) of \(length) bytes at \(offset) of \(view.map { "\($0)" } ?? "all")"
                        test.expect(answer.adjusted, nil, "the view is changed")
                        test.expect(answer.result, fits ? nil : .E2BIG, what)
                        let place = Int(truncatingIfNeeded: offset) + Int(view?.0 ?? 0)
                        let wanted = fits && kind == .read ? Array(packet[place..<(place + length)]) : []
                        test.expect(
                            answer.out,
                            equals: wanted + [UInt8](repeating: Operation.untouched, count: 64 - wanted.count),
                            "what is read: \(what)")
                        test.expect(
                            data,
                            equals: fits && kind == .write && length > 0
                                ? packet.writing(Operation.given[..<length], at: place) : packet,
                            "the packet after \(what)")
                        let rest = view.map { $0.1 - $0.0 } ?? 100
                        test.expect(answer.sizes.parent, equals: onClone ? 100 : rest, "the parent's size")
                        test.expect(answer.sizes.clone, equals: onClone ? rest : 100, "the clone's size")
                    }
                }
            }
        }
        Case(
            "D-028.\(program).slice", "a slice of a changed view starts where the view does",
            spec: ["D-028", "D-022"], needs: kinds
        ) { test in
            let object = try loaded(program)
            let packet = packet(size)
            for kind in [Operation.Kind.slice, .sliceRdwr, .sliceBare] {
                for offset in [0, 5, 12, 13] {
                    for onClone in [false, true] {
                        let operation = Operation(kind, at: UInt64(offset)).with { $0.onClone = onClone }
                        let (answer, _) = try object.perform(
                            test, operation.adjusting(14, 34, ofClone: onClone), program, TestRun(packet: packet))
                        test.expect(answer.adjusted, nil, "the view is changed")
                        test.expect(
                            answer, gives: offset <= 12 ? Array(packet[14 + offset..<22 + offset]) : nil,
                            "\(kind) of 8 bytes at \(offset) of 14 to 34")
                    }
                }
            }
        }
        Case(
            "D-026.\(program)", "bpf_dynptr_data of a packet is NULL; a packet is neither null nor read-only",
            spec: ["D-026", "D-030"], needs: kinds
        ) { test in
            let object = try loaded(program)
            let packet = packet(size)
            for offset: UInt64 in [0, 8, 92] {
                let (answer, data) = try object.perform(
                    test, Operation(.data, at: offset), program, TestRun(packet: packet))
                test.expect(answer.made, nil, "the dynptr is made")
                test.expect(answer, gives: nil, "bpf_dynptr_data at \(offset)")
                test.expect(data, equals: packet, "the packet")
                test.expect(!answer.isNull.parent && !answer.isNull.clone, "neither it nor its clone is null")
                test.expect(
                    !answer.isReadOnly.parent && !answer.isReadOnly.clone, "neither it nor its clone is read-only")
            }
        }
        Case(
            "D-002.\(program)", "a packet's dynptr is made without flags; with flags it is null", spec: ["D-002"],
            needs: kinds
        ) { test in
            let object = try loaded(program)
            for kind in [Operation.Kind.read, .write, .slice, .sliceRdwr, .sliceBare] {
                let operation = Operation(kind, length: 0).with { $0.makeFlags = 1 }
                let (answer, data) = try object.perform(test, operation, program, TestRun(packet: packet(size)))
                test.expect(answer.made, .EINVAL, "it is made with flags 1")
                test.expect(answer.isNull.parent, "it is null")
                test.expect(answer.narrowSize, equals: UInt32(bitPattern: -22), "its size")
                if kind == .read || kind == .write { test.expect(answer.result, .EINVAL, "\(kind) of no byte") }
                if kind != .read, kind != .write { test.expect(answer, gives: nil, "\(kind) of it") }
                test.expect(data, equals: packet(size), "the packet")
            }
        }
    }
    Case(
        "D-007.tc", "writing to a packet in tc takes the flags of bpf_skb_store_bytes", spec: ["D-007"], needs: skbNeeds
    ) { test in
        let object = try loaded("in_tc")
        for (kind, flags, expected) in [
            (.write, 1, nil), (.write, 2, nil), (.write, 3, nil), (.write, 4, .EINVAL), (.write, 1 << 32, .EINVAL),
            (.read, 1, .EINVAL),
        ] as [(Operation.Kind, UInt64, Errno?)] {
            let (answer, data) = try object.perform(
                test, Operation(kind, at: 40).with { $0.flags = flags }, "in_tc", TestRun(packet: packet(100)))
            test.expect(answer.result, expected, "\(kind) with flags \(flags)")
            test.expect(
                data,
                equals: expected == nil ? packet(100).writing(Operation.given[..<8], at: 40) : packet(100),
                "the packet")
        }
    }
    Case("D-007.xdp", "reading and writing a packet in XDP takes no flags", spec: ["D-007"], needs: xdpNeeds) { test in
        let object = try loaded("in_xdp")
        for kind in [Operation.Kind.read, .write] {
            for flags: UInt64 in [1, 2, 1 << 32] {
                let (answer, data) = try object.perform(
                    test, Operation(kind, at: 40).with { $0.flags = flags }, "in_xdp", TestRun(packet: packet(100)))
                test.expect(answer.result, .EINVAL, "\(kind) with flags \(flags)")
                test.expect(data, equals: packet(100), "the packet")
            }
        }
    }
    for program in ["in_cgroup", "in_socket"] {
        Case(
            "D-030.\(program)", "a packet that programs may not write has a read-only dynptr, and so has its clone",
            spec: ["D-030", "D-022"], needs: skbNeeds
        ) { test in
            let object = try loaded(program)
            let packet = packet(100)
            // These programs see the packet from behind its Ethernet header on.
            for onClone in [false, true] {
                for kind in [Operation.Kind.read, .write, .slice, .sliceBare, .data] {
                    for (offset, fits) in [(0, true), (78, true), (79, false)] {
                        let operation = Operation(kind, at: UInt64(offset)).with { $0.onClone = onClone }
                        let (answer, data) = try object.perform(test, operation, program, TestRun(packet: packet))
                        let what = "\(kind) of 8 bytes at \(offset) of 86"
                        test.expect(answer.isReadOnly.parent && answer.isReadOnly.clone, "both are read-only")
                        test.expect(!answer.isNull.parent && !answer.isNull.clone, "neither is null")
                        test.expect(answer.sizes.parent, equals: 86, "its size")
                        let bytes = fits ? Array(packet[(14 + offset)..<(22 + offset)]) : []
                        switch kind {
                        case .read:
                            test.expect(answer.result, fits ? nil : .E2BIG, what)
                            test.expect(answer.read(bytes.count), equals: bytes, "what is read: \(what)")
                        case .write: test.expect(answer.result, .EINVAL, what)
                        case .data: test.expect(answer, gives: nil, what)
                        default: test.expect(answer, gives: fits ? bytes : nil, what)
                        }
                        if !data.isEmpty { test.expect(data.suffix(86), equals: packet.suffix(86), "the packet") }
                    }
                }
            }
        }
        Case(
            "D-030.\(program).view", "a read-only dynptr stays so when its view is changed", spec: ["D-030", "D-028"],
            needs: skbNeeds
        ) { test in
            let object = try loaded(program)
            for onClone in [false, true] {
                let operation = Operation(.write).adjusting(8, 24, ofClone: onClone).with { $0.onClone = onClone }
                let (answer, _) = try object.perform(test, operation, program, TestRun(packet: packet(100)))
                test.expect(answer.adjusted, nil, "bpf_dynptr_adjust(8, 24)")
                test.expect(answer.result, .EINVAL, "writing to it")
                test.expect(answer.isReadOnly.parent && answer.isReadOnly.clone, "both are read-only")
                test.expect(onClone ? answer.sizes.clone : answer.sizes.parent, equals: 16, "its size")
                let read = try object.perform(
                    test, operation.with { $0.kind = .read }, program, TestRun(packet: packet(100))
                ).answer
                test.expect(read.read(8), equals: Array(packet(100)[22..<30]), "what is read at its start")
            }
        }
    }
    fragmentCases
    metadataCases
}
