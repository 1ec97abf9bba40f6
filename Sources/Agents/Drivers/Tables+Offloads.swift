// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Tables {
    private static let accessDenied = -13

    static let checksums: [Row] = [
        completed("V-030", .udp), completed("V-031", .tcp), known("V-032", .udp), known("V-033", .tcp),
        mistaken("V-034", .udp), mistaken("V-035", .tcp),
    ]

    private static func completed(_ id: String, _ transport: InternetFrame.Transport) -> Row {
        Row(id, "a \(transport) checksum left to the device is right on the wire, behind the chain", .egress) { rig in
            let looker = try rig.look("look")
            let frame = InternetFrame(transport: transport, payload: InternetFrame.payload(701))
            try rig.send(offloaded: frame.bytes(to: rig.destination, .partial), frame.virtioHeader())
            rig.test.expect(try looker.seen("count"), equals: 1, "frames that passed the chain")
            let sent = try rig.transmitted().compactMap { InternetFrame.parse($0) }
            rig.test.expect(sent.count, equals: 1, "frames on the wire")
            if rig.kind.hasWire {
                rig.test.expect(sent.first?.checksumIsRight, equals: true, "the checksum on the wire is right")
            }
            rig.test.expect(sent.first?.payload, equals: frame.payload, "payload")
        }
    }

    private static func known(_ id: String, _ transport: InternetFrame.Transport) -> Row {
        Row(id, "a right \(transport) checksum is known to the chain where the device has checked it", .ingress) {
            rig in
            let looker = try rig.look("look")
            try rig.receive(transport, .right)
            let level = rig.kind.checksChecksums ? 0 : accessDenied
            rig.test.expect(try looker.checksumLevel(), equals: level, "bpf_csum_level(BPF_CSUM_LEVEL_QUERY)")
        }
    }

    private static func mistaken(_ id: String, _ transport: InternetFrame.Transport) -> Row {
        Row(id, "a wrong \(transport) checksum is never taken for a right one", .ingress) { rig in
            let looker = try rig.look("look")
            try rig.receive(transport, .wrong)
            rig.test.expect(try looker.checksumLevel(), equals: accessDenied, "bpf_csum_level(BPF_CSUM_LEVEL_QUERY)")
        }
    }

    /// An identifier of 12 bits and a priority.
    private static let tag: UInt16 = 0x6123

    static let tags: [Row] = [
        Row("V-040", "a tag on the wire is beside the frame when the chain sees it", .ingress) { rig in
            let looker = try rig.look("look")
            let promiscuous = try PacketSocket(rig.device.index, type: PacketSocket.all, [.incoming, .promiscuous])
            let bytes = Tables.tagged(rig.frame(1))
            try rig.far.inject([bytes])
            try rig.waitForLook(looker)
            rig.test.expect(try looker.seen("vlan_present"), equals: 1, "skb->vlan_present")
            rig.test.expect(try looker.seen("vlan_tci"), equals: Int(tag), "skb->vlan_tci")
            rig.test.expect(try looker.seen("vlan_protocol"), equals: 0x0081, "skb->vlan_proto, as on the wire")
            rig.test.expect(try looker.seen("protocol"), equals: 0xb588, "skb->protocol, as on the wire")
            rig.test.expect(try looker.seen("length"), equals: bytes.count - 4, "skb->len, without the tag")
            promiscuous.close()
        },
        Row("V-041", "a tag that a program takes off is gone for those behind it", .ingress) { rig in
            let looker = try rig.look("pop_tag", "look")
            let promiscuous = try PacketSocket(rig.device.index, type: PacketSocket.all, [.incoming, .promiscuous])
            try rig.far.inject([Tables.tagged(rig.frame(1))])
            try rig.waitForLook(looker)
            rig.test.expect(try looker.seen("vlan_present"), equals: 0, "skb->vlan_present")
            rig.test.expect(try looker.seen("protocol"), equals: 0xb588, "skb->protocol, as on the wire")
            promiscuous.close()
        },
        Row("V-042", "a tag that a program puts on is on the wire", .egress) { rig in
            let looker = try rig.look("push_tag", "look")
            try looker.set(tag: tag)
            try rig.send([rig.frame(1)])
            // The one behind it gets a tag as well: it comes from where all frames of tests do.
            let frames = try rig.collect(1)
            rig.test.expect(frames.first, equals: Tables.tagged(rig.frame(1)), "the frame on the wire")
            rig.test.expect(try looker.seen("vlan_present"), equals: 1, "skb->vlan_present behind the push")
            rig.test.expect(try looker.seen("vlan_tci"), equals: Int(tag), "skb->vlan_tci behind the push")
        },
        Row("V-043", "a tag put on and taken off again leaves the frame as it was", .egress) { rig in
            let looker = try rig.look("push_tag", "pop_tag", "look")
            try looker.set(tag: tag)
            try rig.send([rig.frame(1)])
            rig.test.expect(try rig.collect(1).first, equals: rig.frame(1), "the frame on the wire")
            rig.test.expect(try looker.seen("vlan_present"), equals: 0, "skb->vlan_present")
        },
    ]

    /// A frame with a tag behind its addresses.
    static func tagged(_ frame: [UInt8]) -> [UInt8] {
        frame[..<12] + [0x81, 0x00, UInt8(tag >> 8), UInt8(tag & 0xff)] + frame[12...]
    }

    static let tagsByHand: [Row] = [
        Row("V-044", "a tag that the card leaves in the frame is beside it when the chain sees it", .ingress) { rig in
            try rig.turnOff("rx-vlan-hw-parse")
            let looker = try rig.look("look")
            let promiscuous = try PacketSocket(rig.device.index, type: PacketSocket.all, [.incoming, .promiscuous])
            let bytes = Tables.tagged(rig.frame(1))
            try rig.far.inject([bytes])
            try rig.waitForLook(looker)
            rig.test.expect(try looker.seen("vlan_present"), equals: 1, "skb->vlan_present")
            rig.test.expect(try looker.seen("vlan_tci"), equals: Int(tag), "skb->vlan_tci")
            rig.test.expect(try looker.seen("length"), equals: bytes.count - 4, "skb->len, without the tag")
            promiscuous.close()
        },
        Row("V-045", "a tag that the card does not put into the frame is put there by the kernel", .egress) { rig in
            // The drivers of Intel's cards have both or none.
            try rig.turnOff("rx-vlan-hw-parse")
            try rig.turnOff("tx-vlan-hw-insert")
            let looker = try rig.look("push_tag", "look")
            try looker.set(tag: tag)
            try rig.send([rig.frame(1)])
            rig.test.expect(try rig.collect(1).first, equals: Tables.tagged(rig.frame(1)), "the frame on the wire")
            rig.test.expect(try looker.seen("vlan_present"), equals: 1, "skb->vlan_present behind the push")
        },
    ]

    private static let segment = 1000

    static let segmentation: [Row] = [
        Row("V-050", "a TCP send of several segments passes the chain as one and is right on the wire", .egress) {
            rig in
            let sent = try rig.sendSegments(.tcp, payload: 3500, segment: segment)
            guard rig.kind.hasWire else { return }
            rig.test.expect(sent.map(\.sequence), equals: [0x1000, 0x13e8, 0x17d0, 0x1bb8], "sequence numbers")
        },
        Row("V-051", "a UDP send of several datagrams passes the chain as one and is right on the wire", .egress) {
            rig in
            // QEMU's igb cuts it into fragments of one datagram (net_tx_pkt.c, QEMU 10.0): the kernel is to do it.
            try rig.turnOff("tx-udp-segmentation")
            _ = try rig.sendSegments(.udp, payload: 3500, segment: segment)
        },
        Row("V-053", "a TCP send that the kernel cuts behind the chain is right on the wire", .egress) { rig in
            try rig.turnOff("tx-tcp-segmentation")
            let sent = try rig.sendSegments(.tcp, payload: 3500, segment: segment)
            guard rig.kind.hasWire else { return }
            rig.test.expect(sent.map(\.sequence), equals: [0x1000, 0x13e8, 0x17d0, 0x1bb8], "sequence numbers")
            rig.test.expect(sent.map(\.flags), equals: [0x10, 0x10, 0x10, 0x18], "ACK each, PSH on the last one")
        },
        Row("V-052", "a chain that drops a send of several segments drops all of them", .egress) { rig in
            try rig.attach([1])
            let looker = try rig.look("look", "drop")
            let frame = InternetFrame(transport: .tcp, payload: InternetFrame.payload(3500))
            do throws(Errno) {
                try PacketSocket(rig.device.index, .virtioHeader).send(
                    frame.virtioHeader(segment: segment) + frame.bytes(to: rig.destination, .partial))
                rig.test.fail("the send succeeds", expected: "ENOBUFS", observed: "0")
            } catch {
                rig.test.expect(error, .noBufferSpace, "the send")
            }
            rig.test.expect(try looker.seen("count"), equals: 1, "frames that passed the chain")
            try rig.test.require(success: rig.target.detach(try looker.program("drop")), "detach drop")
            rig.test.expect(try rig.transmitted().count, equals: 0, "frames on the wire")
        },
    ]

    static let jumbo: [Row] = [9000, 4000].map { size in
        Row(
            size == 9000 ? "V-060" : "V-061", "a frame of \(size) bytes passes the chain whole", nil
        ) { rig in
            try rig.grow()
            try rig.attach([1, 2, 3])
            try rig.expect(ran: [1, 2, 3], arrives: true, size: size + 14)
            let looker = try rig.look("look")
            try rig.expect(ran: [1, 2, 3], arrives: true, number: 2, size: size + 14)
            rig.test.expect(try looker.seen("bytes") > size, "the chain saw all of its bytes")
        }
    }
}

extension Rig {
    /// Receives an Internet frame, and waits until it has passed the chain.
    func receive(_ transport: InternetFrame.Transport, _ checksum: InternetFrame.Checksum) throws {
        let frame = InternetFrame(transport: transport, payload: InternetFrame.payload(120))
        let arrivals = try PacketSocket(device.index, type: InternetFrame.etherType, .incoming)
        try far.inject([frame.bytes(to: device.address, checksum)])
        while true {
            guard let arrived = try arrivals.receive(until: .now + PacketSocket.limit) else {
                throw test.abort("the frame does not arrive")
            }
            guard let parts = InternetFrame.parse(arrived.bytes) else { continue }
            test.expect(parts.payload, equals: frame.payload, "payload")
            test.expect(parts.checksumIsRight, equals: checksum == .right, "the checksum as it was sent")
            return
        }
    }

    /// Waits until a frame has passed `look`: a frame behind it is what arrives.
    func waitForLook(_ looker: Looker) throws {
        let sentinel = TestFrame.bytes(to: device.address, run: run | 0x8000_0000, number: 1)
        // It comes from elsewhere: no program takes it for a test's.
        let other = Array(sentinel[..<6]) + [0x0a, 0x62, 0x70, 0x66, 0x74, 0x0f] + Array(sentinel[12...])
        try far.inject([other])
        while let frame = try socket.receive(until: .now + PacketSocket.limit) {
            if frame.bytes == other {
                test.expect(try looker.seen("count"), equals: 1, "frames that passed the chain")
                return
            }
        }
        throw test.abort("no frame arrives any more")
    }

    /// Collects frames of the case, as many as that.
    func collect(_ count: Int) throws -> [[UInt8]] {
        var frames: [[UInt8]] = []
        while frames.count < count {
            frames += try far.collect(wait: true).filter {
                $0.count > 12 && $0[6..<12].elementsEqual(TestFrame.stranger)
            }
        }
        return frames
    }

    /// Sends what is to be cut into segments, and states how it passes the chain and what leaves the device.
    func sendSegments(_ transport: InternetFrame.Transport, payload: Int, segment: Int) throws -> [InternetFrame.Parts]
    {
        let looker = try look("look")
        let frame = InternetFrame(transport: transport, payload: InternetFrame.payload(payload))
        let bytes = frame.bytes(to: destination, .partial)
        try send(offloaded: bytes, frame.virtioHeader(segment: segment))
        test.expect(try looker.seen("count"), equals: 1, "frames that passed the chain")
        test.expect(try looker.seen("length"), equals: bytes.count, "skb->len")
        let segments = (payload + segment - 1) / segment
        // Of a packet socket the kernel counts them when it has to; until then there are 0 (virtio_net_hdr_to_skb()).
        let counted = try looker.seen("segments")
        test.expect(counted == 0 || counted == segments, "skb->gso_segs is \(segments) or not counted yet: \(counted)")
        test.expect(try looker.seen("segment_size"), equals: segment, "skb->gso_size")
        let sent = try transmitted().compactMap { InternetFrame.parse($0) }
        test.expect(sent.flatMap(\.payload), equals: frame.payload, "payload of all frames on the wire")
        guard kind.hasWire else {
            // Joined devices hand it over as it is.
            test.expect(sent.count, equals: 1, "frames at the other end")
            return sent
        }
        let sizes = stride(from: 0, to: payload, by: segment).map { min(segment, payload - $0) }
        test.expect(sent.map(\.payload.count), equals: sizes, "payloads of the frames on the wire")
        test.expect(sent.allSatisfy(\.checksumIsRight), "their checksums are right")
        test.expect(sent.allSatisfy(\.ipIsRight), "their IP headers' checksums are right")
        return sent
    }

    /// Has the kernel do what a card may do for it, until the case is over.
    func turnOff(_ feature: String, file: String = #fileID, line: Int = #line) throws {
        // Joined devices hand over what is to be done: there is nothing to be turned off.
        guard kind.hasWire else { return }
        try test.require(try !device.set(feature: feature, to: false), "\(feature) is off", file: file, line: line)
        let device = device
        test.atEnd { [test] in
            do {
                try device.set(feature: feature, to: true)
                try NetworkDevice.waitForCarrier(of: [device], limit: .seconds(30))
            } catch {
                test.fail("\(feature) of \(device.name) cannot be turned on again: \(error)")
            }
        }
        try NetworkDevice.waitForCarrier(of: [device], limit: .seconds(30))
    }

    /// Makes room for jumbo frames, until the case is over.
    func grow() throws {
        var devices = [device]
        if kind.card == nil { devices.append(try NetworkDevice("far0")) }
        for device in devices { try device.set(mtu: 9000) }
        try NetworkDevice.waitForCarrier(of: devices, limit: .seconds(30))
        let device = device
        test.atEnd { [test] in
            do {
                try device.set(mtu: 1500)
                try NetworkDevice.waitForCarrier(of: [device], limit: .seconds(30))
            } catch {
                test.fail("\(device.name) does not go back to 1500 bytes: \(error)")
            }
        }
    }
}
