// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let object = "dynptr/packet.bpf.o"
private let skbNeeds = [Features.slice, Features.clone, Features.fromSkb, .tcx]
private let xdpNeeds = [Features.slice, Features.clone, Features.fromXDP]
/// Of an XDP packet: a page without head and tail room, a whole page, and some of a third.
private let size = 9000

/// Large datagrams over `lo`, whose data the kernel keeps in fragments.
struct Datagrams {
    static let payload = 20_000
    /// With Ethernet, IP and UDP headers.
    static let total = 14 + 20 + 8 + payload
    private let socket: FileHandle
    private var address = sockaddr_in()

    init() throws(Errno) {
        socket = FileHandle(
            adopting: try Errno.check(
                Glibc.socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)))
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        _ = try Errno.check(
            unsafe setsockopt(socket.raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size)))
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                if unsafe bind(socket.raw, general, length) != 0 { return CInt(-1) }
                return unsafe getsockname(socket.raw, general, &length)
            }
        }
        _ = try Errno.check(result)
    }

    /// Sends bytes to itself, and returns what arrives, within ten seconds.
    func exchange(_ bytes: [UInt8]) throws(Errno) -> [UInt8] {
        let sent = unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
                unsafe bytes.withUnsafeBytes {
                    unsafe sendto(
                        socket.raw, $0.baseAddress, $0.count, 0, general, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        _ = try Errno.check(sent)
        var received = [UInt8](repeating: 0, count: 65536)
        let count = unsafe received.withUnsafeMutableBytes { unsafe recv(socket.raw, $0.baseAddress, $0.count, 0) }
        _ = try Errno.check(count)
        return Array(received.prefix(count))
    }
}

/// D-021, D-027 and what else fragments are for.
@CaseBuilder var fragmentCases: [Case] {
    Case("D-021", "a slice across a packet's fragments is a copy in the buffer, and none without one", needs: skbNeeds)
    {
        test in
        let object = try BPFObject(object, programs: ["in_tc"])
        try object.set("wanted", to: UInt32(Datagrams.total))
        let link = try MprogTarget(ifindex: 1, type: .tcxIngress).createLink(try object.program("in_tc")).get()
        let datagrams = try Datagrams()
        let payload = packet(Datagrams.payload)
        /// What a packet of which the program sees the slice holds, and the datagram that arrived.
        func slice(_ operation: Operation) throws -> (Answer, [UInt8]) {
            try object.instruct(operation)
            let arrived = try datagrams.exchange(payload)
            try test.require(try object.value(of: "runs", as: UInt32.self) == 1, "one packet passed the program")
            return (try object.gather(), arrived)
        }
        _ = try slice(Operation(.nothing))
        let head = Int(try object.value(of: "linear", as: UInt32.self))
        let total = Datagrams.total
        // It may not be the headers alone, but it must not be all.
        try test.require(head >= 42 && head + 16 < total, "the packet is in fragments: \(head) bytes are linear")
        /// The bytes of the packet from the first of the payload on; the rest is headers, which are not compared.
        func expected(_ offset: Int) -> [UInt8]? {
            offset >= 42 && offset + 8 <= total ? Array(payload[(offset - 42)..<(offset - 34)]) : nil
        }
        for (offset, copied, isThere) in [
            (head - 8, false, true), (head - 7, true, true), (head - 1, true, true), (head, true, true),
            (head + 1, true, true), (head + 4095, true, true), (total - 8, true, true), (total - 7, false, false),
            (total, false, false),
        ] {
            for kind in [Operation.Kind.slice, .sliceBare, .sliceRdwr, .sliceRdwrBare, .read] {
                // Writing to what lies in the headers would spoil the packet.
                if !copied, isThere, kind == .sliceRdwr || kind == .sliceRdwrBare { continue }
                let (answer, arrived) = try slice(Operation(kind, at: UInt64(offset)))
                let what = "\(kind) of 8 bytes at \(offset), \(head) linear, \(total) in all"
                if kind == .read {
                    test.expect(answer.result, isThere ? nil : .E2BIG, what)
                    if let bytes = expected(offset) { test.expect(answer.read(8), equals: bytes, what) }
                } else {
                    let isBare = kind == .sliceBare || kind == .sliceRdwrBare
                    let gives = isThere && !(isBare && copied)
                    test.expect(answer.found, equals: gives, "whether there is a pointer: \(what)")
                    test.expect(
                        answer.buffer.contains { $0 != Operation.untouched }, equals: gives && copied,
                        "whether the buffer was used: \(what)")
                    if gives, let bytes = expected(offset) {
                        test.expect(answer.read(8), equals: bytes, "what is seen: \(what)")
                    }
                    if gives, copied, kind == .sliceRdwr {
                        test.expect(
                            answer.buffer, equals: Array(Operation.given[..<8]), "the buffer is what is written to")
                    }
                }
                test.expect(arrived, equals: payload, "the datagram after \(what)")
            }
        }
        link.close()
    }
    Case(
        "D-021.write", "bpf_dynptr_write reaches a packet's fragments", spec: ["D-021", "D-005"], needs: skbNeeds
    ) { test in
        let object = try BPFObject(object, programs: ["in_tc"])
        try object.set("wanted", to: UInt32(Datagrams.total))
        let link = try MprogTarget(ifindex: 1, type: .tcxIngress).createLink(try object.program("in_tc")).get()
        let datagrams = try Datagrams()
        let payload = packet(Datagrams.payload)
        let total = Datagrams.total
        for (offset, length, result) in [
            (42, 64, nil), (50, 8, nil), (5000, 64, nil), (total - 64, 64, nil), (total - 63, 64, .E2BIG),
            (total, 0, nil), (total, 1, .E2BIG),
        ] as [(Int, Int, Errno?)] {
            try object.instruct(Operation(.write, at: UInt64(offset), length: UInt32(length)))
            let arrived = try datagrams.exchange(payload)
            let what = "\(length) bytes at \(offset) of \(total)"
            test.expect(try object.value(of: "runs", as: UInt32.self), equals: 1, "packets that passed the program")
            test.expect(try object.gather().result, result, "writing \(what)")
            let wrote = result == nil && length > 0
            let expected = wrote ? payload.writing(Operation.given[..<length], at: offset - 42) : payload
            test.expect(arrived == expected, "the datagram that arrives is changed there and nowhere else: \(what)")
        }
        link.close()
    }
    Case(
        "D-027", "a slice across the fragments of an XDP packet is a copy; bpf_dynptr_write changes the packet",
        needs: xdpNeeds
    ) { test in
        let object = try BPFObject(object, programs: ["in_xdp"])
        let packet = packet(size)
        let first = try object.perform(test, Operation(.nothing), "in_xdp", TestRun(packet: packet)).answer
        test.expect(first.sizes.parent, equals: UInt64(size), "the size of the dynptr: all of the packet")
        let head = Int(try object.value(of: "linear", as: UInt32.self))
        try test.require(head > 1000 && head < 4096, "the first part ends within a page: \(head)")
        for (offset, isWhole, isThere) in [
            (0, true, true), (head - 8, true, true), (head - 7, false, true), (head - 1, false, true),
            (head, true, true), (head + 4088, true, true), (head + 4089, false, true), (head + 4095, false, true),
            (head + 4096, true, true), (size - 8, true, true), (size - 7, false, false), (size, false, false),
        ] {
            let bytes = isThere ? Array(packet[offset..<(offset + 8)]) : nil
            for kind in [Operation.Kind.slice, .sliceBare, .sliceRdwr, .sliceRdwrBare] {
                let (answer, data) = try object.perform(
                    test, Operation(kind, at: UInt64(offset)), "in_xdp", TestRun(packet: packet))
                let what = "\(kind) of 8 bytes at \(offset), parts end at \(head) and \(head + 4096)"
                let isBare = kind == .sliceBare || kind == .sliceRdwrBare
                test.expect(
                    answer, gives: isBare && !isWhole ? nil : bytes, copied: isThere && !isWhole && !isBare, what)
                let writes = isWhole && (kind == .sliceRdwr || kind == .sliceRdwrBare)
                test.expect(
                    data == (writes ? packet.writing(Operation.given[..<8], at: offset) : packet),
                    "the packet is changed through what is no copy, and nowhere else: \(what)")
            }
        }
        for (offset, length, result) in [
            (head - 32, 64, nil), (head - 1, 2, nil), (head + 4064, 64, nil), (size - 64, 64, nil),
            (size - 63, 64, .E2BIG), (0, 64, nil), (size, 0, nil), (size, 1, .E2BIG),
        ] as [(Int, Int, Errno?)] {
            let what = "\(length) bytes at \(offset) of \(size)"
            let (read, same) = try object.perform(
                test, Operation(.read, at: UInt64(offset), length: UInt32(length)), "in_xdp", TestRun(packet: packet))
            test.expect(read.result, result, "reading \(what)")
            if result == nil {
                test.expect(read.read(length), equals: Array(packet[offset..<(offset + length)]), "\(what)")
            }
            test.expect(same == packet, "the packet is not changed by reading \(what)")
            let (wrote, data) = try object.perform(
                test, Operation(.write, at: UInt64(offset), length: UInt32(length)), "in_xdp", TestRun(packet: packet))
            test.expect(wrote.result, result, "writing \(what)")
            let changed = result == nil && length > 0
            test.expect(
                data == (changed ? packet.writing(Operation.given[..<length], at: offset) : packet),
                "the packet is changed there and nowhere else: \(what)")
        }
    }
    Case(
        "D-035.xdp", "bpf_dynptr_copy goes into and out of an XDP packet's fragments", spec: ["D-035"],
        needs: xdpNeeds + [Features.copy]
    ) { test in
        let object = try BPFObject(object, programs: ["copy_in", "copy_out", "copy_within"])
        let packet = packet(size)
        let memory = (0..<64).map { UInt8(0xc0 &+ $0) }
        let head = 3520
        for (offset, other, length, result) in [
            (head - 10, 3, 32, nil), (head + 4090, 0, 64, nil), (size - 64, 0, 64, nil), (size - 63, 0, 64, .E2BIG),
            (0, 1, 64, .E2BIG), (0, 1, 63, nil), (0, 64, 0, nil), (0, 65, 0, .E2BIG),
        ] as [(Int, Int, Int, Errno?)] {
            for program in ["copy_in", "copy_out"] {
                try object.setBytes(of: "memory", to: memory)
                try object.set("other_offset", to: UInt64(other))
                try object.instruct(Operation(.nothing, at: UInt64(offset), length: UInt32(length)))
                let data = try object.run(program, TestRun(packet: packet)).get().data
                let what = "\(program): \(length) bytes, packet at \(offset), memory at \(other)"
                test.expect(try errno(object.value(of: "answer")), result, what)
                let copied = result == nil && length > 0
                let into = program == "copy_in"
                test.expect(
                    data == (copied && into ? packet.writing(memory[other..<(other + length)], at: offset) : packet),
                    "the packet: \(what)")
                test.expect(
                    try object.bytes(of: "memory"),
                    equals: copied && !into
                        ? memory.writing(packet[offset..<(offset + length)], at: other) : memory, "the memory: \(what)")
            }
        }
        // Longer than what the kernel copies at a time.
        for (from, to, length) in [(0, 4000, 3000), (5000, 100, 4000), (100, 8000, 1000)] {
            try object.set("other_offset", to: UInt64(to))
            try object.instruct(Operation(.nothing, at: UInt64(from), length: UInt32(length)))
            let data = try object.run("copy_within", TestRun(packet: packet)).get().data
            test.expect(try errno(object.value(of: "answer")), nil, "\(length) bytes from \(from) to \(to)")
            test.expect(
                data == packet.writing(packet[from..<(from + length)], at: to),
                "the packet after \(length) bytes from \(from) went to \(to)")
        }
    }
    Case(
        "D-036.packet", "bpf_dynptr_memset sets bytes of packets, in fragments too, but not of read-only ones",
        spec: ["D-036"], needs: xdpNeeds + [Features.fromSkb, Features.memset]
    ) { test in
        let object = try BPFObject(object, programs: ["set_bytes", "set_bytes_tc", "set_bytes_cgroup"])
        try object.set("value", to: UInt32(0x5a))
        for (program, size, offset, length, result) in [
            ("set_bytes", size, 0, 8, nil), ("set_bytes", size, 3500, 40, nil), ("set_bytes", size, 100, 8000, nil),
            ("set_bytes", size, 0, size, nil), ("set_bytes", size, 1, size, .E2BIG),
            ("set_bytes", size, size - 1, 1, nil), ("set_bytes", size, size, 1, .E2BIG),
            ("set_bytes_tc", 400, 14, 386, nil), ("set_bytes_tc", 400, 14, 387, .E2BIG),
            ("set_bytes_tc", 400, 399, 1, nil), ("set_bytes_tc", 400, 400, 0, nil),
            ("set_bytes_cgroup", 400, 0, 8, .EINVAL), ("set_bytes_cgroup", 400, 0, 0, .EINVAL),
        ] as [(String, Int, Int, Int, Errno?)] {
            let packet = packet(size)
            try object.instruct(Operation(.nothing, at: UInt64(offset), length: UInt32(length)))
            let data = try object.run(program, TestRun(packet: packet)).get().data
            let what = "\(program): \(length) bytes at \(offset) of \(size)"
            test.expect(try errno(object.value(of: "answer")), result, what)
            let bytes = [UInt8](repeating: 0x5a, count: result == nil ? length : 0)
            if program != "set_bytes_cgroup" {
                test.expect(data == packet.writing(bytes, at: offset), "the packet: \(what)")
            }
        }
    }
}
