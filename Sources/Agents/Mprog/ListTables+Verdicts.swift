// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    /// M-156 to M-165: what tcx makes of the values that programs return, and clsact beside it. P9 is a classic filter of
    /// clsact in the same direction.
    static let verdicts: [Row] = [
        filtered("M-156", "PASS ends the list and lets the packet pass, clsact unasked", ofThree) { list in
            // The filter would drop it.
            try list.expect([1: .next, 2: .pass, 9: .drop], runs: [1, 2], arrives: true)
            try list.expect([1: .pass, 9: .drop], runs: [1], arrives: true)
            try list.expect([3: .pass, 9: .drop], runs: [1, 2, 3], arrives: true)
        },
        filtered("M-157", "NEXT of the last program leaves the packet to clsact", [.p(1), .p(2)]) { list in
            try list.expect([9: .pass], runs: [1, 2, 9], arrives: true)
            try list.expect([9: .drop], runs: [1, 2, 9], arrives: false)
            try list.expect([9: .next], runs: [1, 2, 9], arrives: true)
        },
        Row("M-157.header", "programs of both directions see the whole frame", [.p(1)], on: Flavour.tcx) { list in
            let object = try BPFObject("mprog/redirect.bpf.o")
            let program = try object.program("look")
            try list.test.require(success: list.target.attach(program), "attach the program that looks")
            try list.expect([:], runs: [1], arrives: true)
            // A byte in UDP in IPv4 in an Ethernet frame.
            list.test.expect(try object.value(of: "length"), equals: UInt32(14 + 20 + 8 + 1), "length of the packet")
            list.test.expect(try object.bytes(of: "protocol"), equals: [0x08, 0x00], "bytes 12 and 13, the EtherType")
            list.test.expect(list.target.detach(program), nil, "detach it")
        },
        filtered("M-158", "DROP ends the list and the packet", [.p(1), .p(2)]) { list in
            try list.expect([1: .drop], runs: [1], arrives: false)
            try list.expect([2: .drop], runs: [1, 2], arrives: false)
            try list.expect([1: .drop, 2: .pass, 9: .pass], runs: [1], arrives: false)
            try list.expect([:], runs: [1, 2, 9], arrives: true)
        },
        filtered(
            "M-159", "a value that tcx does not know ends the list, not the packet: clsact decides", [.p(1), .p(2)]
        ) { list in
            for value: Int32 in [1, 3, 4, 5, 6, 8, 42, 0x7fff_ffff, -2] {
                try list.expect([1: .other(value), 2: .drop, 9: .pass], runs: [1, 9], arrives: true, "\(value)")
                try list.expect([1: .other(value), 2: .pass, 9: .drop], runs: [1, 9], arrives: false, "\(value)")
            }
        },
        filtered("M-160", "STOLEN of a program steals no packet", [.p(1)]) { list in
            for value: Int32 in [4, 5, 8] {
                try list.expect([1: .other(value), 9: .pass], runs: [1, 9], arrives: true, "\(value)")
            }
            // clsact's own does.
            try list.expect([9: .other(4)], runs: [1, 9], arrives: false)
        },
        Row(
            "M-161", "after a value that tcx does not know a packet passes where there is no clsact", [.p(1), .p(2)],
            on: Flavour.tcx
        ) { list in
            for value: Int32 in [1, 3, 4, 5, 6, 8, 42, 0x7fff_ffff, -2] {
                try list.expect([1: .other(value), 2: .drop], runs: [1], arrives: true, "\(value)")
                try list.expect([2: .other(value)], runs: [1, 2], arrives: true, "\(value)")
            }
        },
        Row("M-162", "a packet that is redirected leaves by the other device", [.p(1)], on: Flavour.tcx) { list in
            try Netkit.silenceNewDevices()
            try Netlink.addDummy("elsewhere0")
            let index = try Netlink.index("elsewhere0")
            let object = try BPFObject("mprog/redirect.bpf.o")
            let program = try object.program("redirect")
            try object.set("ifindex", to: index)
            try list.test.require(success: list.target.attach(program), "attach the redirecting program")
            try list.test.require(success: try list.attach(2), "attach P2 behind it")
            let out = MprogTarget(ifindex: index, type: .tcxEgress)
            let into = MprogTarget(ifindex: index, type: .tcxIngress)
            try list.test.require(success: out.attach(list.programs.fd(5)), "P5 where packets leave the other device")
            try list.test.require(success: into.attach(list.programs.fd(6)), "P6 where they come in")
            try list.expect([:], runs: [1, 5], arrives: false, "redirected to leave by the other device")
            try object.set("flags", to: UInt64(1))
            try list.expect([6: .drop], runs: [1, 6], arrives: false, "redirected to come in by the other device")
            // What the program has said before ends with the packet.
            list.test.expect(list.target.detach(program), nil, "detach the redirecting program")
            try list.expect([:], runs: [1, 2], arrives: true, "no more redirected")
            for (target, number) in [(out, 5), (into, 6)] {
                list.test.expect(target.detach(list.programs.fd(number)), nil, "detach P\(number)")
            }
            try Netlink.delete("elsewhere0")
        },
        filtered("M-163", "a packet that is redirected to no device is dropped", [.p(1)]) { list in
            let object = try BPFObject("mprog/redirect.bpf.o")
            let program = try object.program("redirect")
            try list.test.require(success: list.target.attach(program), "attach the redirecting program")
            for index: UInt32 in [0, 99_999] {
                try object.set("ifindex", to: index)
                try list.expect([9: .pass], runs: [1], arrives: false, "redirected to ifindex \(index)")
            }
            list.test.expect(list.target.detach(program), nil, "detach the redirecting program")
            try list.expect([:], runs: [1, 9], arrives: true)
        },
        filtered("M-164", "programs go before clsact's filters, whoever came first", []) { list in
            try list.expect([:], runs: [9], arrives: true, "the filter alone")
            try list.test.require(success: try list.attach(1), "attach P1")
            try list.expect([1: .pass, 9: .drop], runs: [1], arrives: true, "P1 returns PASS")
            try list.expect([:], runs: [1, 9], arrives: true, "P1 returns NEXT")
            list.test.expect(try list.detach(1), nil, "detach P1")
            try list.expect([9: .drop], runs: [9], arrives: false, "the filter alone again")
            try list.expect([:], runs: [9], arrives: true, "the filter alone again")
            // Its qdisc keeps the list, which goes on counting.
            try list.expect(query: [], revision: 3)
        },
        Row("M-165", "clsact comes and goes and the list does not notice", [.p(1), .l(2)], on: Flavour.tcx) { list in
            for _ in 0..<4 {
                try list.addFilter()
                try list.expect([:], runs: [1, 2, 9], arrives: true, "with clsact")
                try list.expect(query: [.p(1), .l(2)], revision: 3)
                try list.deleteClsact()
                try list.expect([:], runs: [1, 2], arrives: true, "without clsact")
                try list.expect(query: [.p(1), .l(2)], revision: 3)
            }
            // The list came first and goes last; between them the other way round.
            try list.addClsact()
            list.test.expect(try list.detach(1), nil, "detach P1")
            list.test.expect(try list.madeLink(2).detach(), nil, "detach L2")
            try list.expect(query: [], revision: 5)
            try list.test.require(success: try list.attach(3), "attach P3")
            try list.deleteClsact()
            try list.expect(list: [.p(3)], revision: 6)
        },
    ]

    /// A row with P9 as a filter of clsact.
    private static func filtered(
        _ id: String, _ title: String, _ given: [Slot], body: @escaping @Sendable (ListTest) throws -> Void
    ) -> Row {
        Row(id, title, given, on: Flavour.tcx) { list in
            try list.addFilter()
            try body(list)
            try list.deleteClsact()
        }
    }

    private static let ofThree: [Slot] = [.p(1), .p(2), .p(3)]
}

/// What a program returns.
enum Verdict {
    case next, pass, drop
    case other(Int32)

    var value: Int32 {
        switch self {
        case .next: -1
        case .pass: 0
        case .drop: 2
        case .other(let value): value
        }
    }
}

extension ListTest {
    /// Makes P9 a filter of clsact in the list's direction.
    func addFilter() throws {
        try addClsact()
        let direction: TrafficControl.Direction = flavour == .ingress ? .ingress : .egress
        try test.require(success: TrafficControl.attach(programs.fd(9), to: device, direction), "P9 becomes a filter")
    }

    /// States what runs on a packet when programs return this, the others NEXT; and whether it arrives.
    func expect(
        _ verdicts: [Int: Verdict], runs expected: [Int], arrives: Bool, _ what: String = "", file: String = #fileID,
        line: Int = #line
    ) throws {
        for (number, verdict) in verdicts { programs.setVerdict(verdict.value, of: number) }
        defer { for number in verdicts.keys { programs.setVerdict(-1, of: number) } }
        programs.forget()
        let arrived = try exchange()
        let said = verdicts.sorted { $0.key < $1.key }.map { "P\($0.key) returning \($0.value.value)" }
        let when = (said + [what]).filter { !$0.isEmpty }.joined(separator: ", ")
        test.expect(programs.trace, equals: expected, "programs that ran on a packet: \(when)", file: file, line: line)
        test.expect(arrived, equals: arrives, "the packet has arrived: \(when)", file: file, line: line)
    }
}
