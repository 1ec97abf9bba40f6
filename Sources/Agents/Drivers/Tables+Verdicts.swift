// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Tables {
    /// TC_ACT_*, of which tcx knows the first, the third and the last.
    private enum Verdict {
        static let pass: Int32 = 0
        static let reclassify: Int32 = 1
        static let drop: Int32 = 2
        static let stolen: Int32 = 4
    }

    /// The program behind clsact.
    static let filter = 64

    static let verdicts: [Row] = [
        Row("M-156", "PASS ends the chain, clsact included, and the frame arrives") { rig in
            try rig.attachFilter()
            try rig.attach([1, 2, 3])
            rig.set([2: Verdict.pass])
            try rig.expect(ran: [1, 2], arrives: true)
        },
        Row("M-157", "after the last NEXT clsact's filters run") { rig in
            try rig.attachFilter()
            try rig.attach([1, 2])
            try rig.expect(ran: [1, 2, filter], arrives: true)
        },
        Row("M-158", "DROP ends the chain and the frame") { rig in
            try rig.attachFilter()
            try rig.attach([1, 2, 3])
            rig.set([2: Verdict.drop])
            try rig.expect(ran: [1, 2], arrives: false)
            rig.set([2: Chain.next])
            try rig.expect(ran: [1, 2, 3, filter], arrives: true, number: 2)
        },
        unknown("M-159", "RECLASSIFY", Verdict.reclassify),
        unknown("M-160", "STOLEN", Verdict.stolen),
        Row("M-161", "a verdict that nobody knows ends the chain, and the frame arrives") { rig in
            try rig.attach([1, 2])
            rig.set([1: 42])
            try rig.expect(ran: [1], arrives: true)
        },
        Row("M-162", "REDIRECT to another device sends the frame out there and nowhere else") { rig in
            try rig.attachFilter()
            try rig.attach([1, 2, 3])
            let other = try rig.other()
            rig.set([2: Chain.redirect])
            rig.chain.redirect(to: other.device.index)
            try rig.expect(ran: [1, 2], arrives: false)
            try rig.expectElsewhere([1], try other.collect(), trace: [1, 2])
        },
        Row("V-010", "REDIRECT with BPF_F_INGRESS delivers the frame as if another device had received it") { rig in
            try rig.attach([1, 2, 3])
            let other = try rig.other()
            rig.set([2: Chain.redirect])
            rig.chain.redirect(to: other.device.index, flags: 1)
            let incoming = try PacketSocket(other.device.index, type: TestFrame.etherType, .incoming)
            try rig.expect(ran: [1, 2], arrives: false)
            guard let frame = try incoming.receive(until: .now + PacketSocket.limit) else {
                throw rig.test.abort("the frame does not come in at \(other.device.name)")
            }
            try rig.expectElsewhere([1], [frame.bytes], trace: [1, 2])
        },
        Row("M-163", "REDIRECT to device 0 is the end of the frame") { rig in
            try rig.attach([1, 2])
            rig.set([1: Chain.redirect])
            rig.chain.redirect(to: 0)
            try rig.expect(ran: [1], arrives: false)
        },
        Row("M-164", "PASS keeps frames from clsact's filters until the chain is gone") { rig in
            try rig.attachFilter()
            try rig.expect(ran: [filter], arrives: true)
            rig.set([1: Verdict.pass])
            try rig.attach([1])
            try rig.expect(ran: [1], arrives: true, number: 2)
            try rig.test.require(success: rig.target.detach(rig.chain.fd(1)), "detach P1")
            try rig.expect(ran: [filter], arrives: true, number: 3)
        },
        Row("M-165", "clsact comes and goes, the chain stays") { rig in
            try rig.attach([1])
            for round in 0..<10 {
                try rig.attachFilter()
                try rig.expect(ran: [1, filter], arrives: true, number: UInt32(2 * round))
                try Netlink.deleteClsact(rig.device.name)
                try rig.expect(ran: [1], arrives: true, number: UInt32(2 * round + 1))
            }
        },
        Row("V-011", "DROP of a clsact filter drops what the chain has let through") { rig in
            try rig.attachFilter()
            try rig.attach([1])
            rig.set([filter: Verdict.drop])
            try rig.expect(ran: [1, filter], arrives: false)
        },
    ]

    private static func unknown(_ id: String, _ name: String, _ verdict: Int32) -> Row {
        Row(id, "\(name), which tcx does not know, ends the chain; clsact's filters run and the frame arrives") { rig in
            try rig.attachFilter()
            try rig.attach([1, 2])
            rig.set([1: verdict])
            try rig.expect(ran: [1, filter], arrives: true)
        }
    }
}

extension Rig {
    /// Attaches the last program as a filter of clsact.
    func attachFilter(file: String = #fileID, line: Int = #line) throws {
        let answer = TrafficControl.attach(
            chain.fd(Tables.filter), to: device.name, direction == .ingress ? .ingress : .egress)
        try test.require(success: answer, "P64 becomes a filter of clsact", file: file, line: line)
    }

    /// The device that frames are redirected to.
    func other() throws -> Other { try Other(self) }

    /// States that frames have come out elsewhere, each once, whole and with their trace.
    func expectElsewhere(
        _ numbers: [UInt32], _ frames: [[UInt8]], trace: [UInt8], file: String = #fileID, line: Int = #line
    ) throws {
        let arrived = frames.compactMap { TestFrame($0) }.filter { $0.run == run }
        test.expect(arrived.map(\.number), equals: numbers, "frames at the other device", file: file, line: line)
        for frame in arrived {
            test.expect(frame.trace, equals: trace, "trace of frame \(frame.number)", file: file, line: line)
        }
    }
}

/// The second virtio-net card; without its driver, a veth device.
final class Other {
    let device: NetworkDevice
    private let far: any FarEnd
    private let run: UInt32
    private let socket: PacketSocket

    init(_ rig: Rig) throws {
        if let card = NetworkDevice(card: DeviceKind.otherCard) {
            device = card
            far = CardEnd(rig.wire, card: DeviceKind.otherCard)
        } else {
            try Links.make(.veth, "other0", "other1")
            rig.test.atEnd { Links.remove("other0") }
            device = try NetworkDevice("other0")
            far = try PeerEnd(try NetworkDevice("other1"))
        }
        run = rig.run
        socket = try PacketSocket(device.index)
        try Links.clean(device)
    }

    /// What the device has transmitted until now: until a frame of our own, sent now, has come out.
    func collect() throws -> [[UInt8]] {
        let last = TestFrame.bytes(to: [0x0a, 0x62, 0x70, 0x66, 0x74, 0x02], run: run | 0x8000_0000, number: 0)
        try socket.send(last)
        var frames: [[UInt8]] = []
        while !frames.contains(last) { frames += try far.collect(wait: true) }
        return frames
    }
}
