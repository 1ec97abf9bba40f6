// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

private let object = "dynptr/memory.bpf.o"

/// A ring buffer of 4096 bytes, programs that write to it, and its reader.
private struct Ring {
    let object: BPFObject
    let reader: RingBuffer
    let test: Test

    init(_ test: Test) throws {
        self.test = test
        object = try BPFObject(
            "dynptr/memory.bpf.o", programs: ["submit", "discard", "interleaved", "query"])
        reader = try RingBuffer(try object.map("ring"), size: 4096)
        try object.setBytes(of: "in", to: Operation.given)
        try object.setBytes(of: "memory", to: (0..<64).map { UInt8($0) })
    }

    /// Runs a program with a record of a size.
    ///
    /// - Returns: of reserving it, and of writing to it.
    func run(
        _ program: String, size: UInt32, offset: UInt32 = 0, length: UInt32 = 0, makeFlags: UInt64 = 0
    ) throws -> (made: Errno?, wrote: Errno?) {
        try object.set("size", to: size)
        try object.set("make_flags", to: makeFlags)
        try object.set("operation", to: UInt32(2))
        try object.set("offset", to: offset)
        try object.set("length", to: length)
        for name in ["made", "answer", "nothing"] { try object.set(name, to: Int64(-9999)) }
        let returned = try object.run(program)
        test.expect(returned.errno, nil, "test run of \(program)")
        return (errno(try object.value(of: "made")), errno(try object.value(of: "answer")))
    }

    /// Bytes in the ring that the reader has not taken, headers and all.
    func expectAvailable(_ bytes: UInt64, _ when: String, file: String = #fileID, line: Int = #line) throws {
        test.expect(try object.run("query").get(), equals: 1, "the ring is asked", file: file, line: line)
        test.expect(
            try object.value(of: "available"), equals: bytes, "bytes in the ring \(when)", file: file, line: line)
    }
}

/// D-001, D-009 and D-011: records of a ring buffer, as its reader sees them.
@CaseBuilder var ringCases: [Case] {
    Case(
        "D-001.ring", "a record of 2^24 bytes is E2BIG, one that the ring has no room for EINVAL", spec: ["D-001"],
        needs: [Features.dynptrs]
    ) { test in
        let ring = try Ring(test)
        for (size, expected) in [
            (1 << 24, .E2BIG), (1 << 24 - 1, .EINVAL), (.max, .E2BIG), (4096, .EINVAL), (4081, .EINVAL),
        ] as [(UInt32, Errno)] {
            for program in ["submit", "discard"] {
                let (made, wrote) = try ring.run(program, size: size, length: 1)
                test.expect(made, expected, "a record of \(size) bytes is reserved in 4096")
                test.expect(wrote, .EINVAL, "it is written to: its dynptr is null")
                test.expect(
                    errno(try ring.object.value(of: "nothing")), .EINVAL, "no byte of it is read: its dynptr is null")
            }
        }
        let (made, wrote) = try ring.run("submit", size: 8, length: 1, makeFlags: 1)
        test.expect(made, .EINVAL, "a record is reserved with flags 1")
        test.expect(wrote, .EINVAL, "it is written to: its dynptr is null")
        test.expect(ring.reader.take(), equals: [], "records in the ring")
        try ring.expectAvailable(0, "after nothing was reserved")
    }
    Case("D-009", "the reader sees what was submitted, byte by byte", needs: [Features.dynptrs]) { test in
        let ring = try Ring(test)
        for (size, offset, length) in [(1, 0, 1), (8, 0, 8), (64, 0, 64), (64, 60, 4), (63, 1, 62), (100, 99, 1)]
            as [(UInt32, UInt32, UInt32)]
        {
            // What the ring's memory held before shows where nothing was written.
            let (made, wrote) = try ring.run("submit", size: size, offset: offset, length: length)
            test.expect(made, nil, "a record of \(size) bytes is reserved")
            test.expect(wrote, nil, "\(length) bytes are written at \(offset)")
            try ring.expectAvailable(UInt64((size + 8 + 7) & ~7), "with a record of \(size)")
            let records = ring.reader.take()
            try test.require(records.count == 1 && !records[0].isDiscarded, "the reader gets one record")
            test.expect(records[0].data.count, equals: Int(size), "its size")
            test.expect(
                Array(records[0].data[Int(offset)..<Int(offset + length)]),
                equals: Array(Operation.given[..<Int(length)]), "what was written")
            try ring.expectAvailable(0, "after it was taken")
        }
    }
    Case(
        "D-009.bounds", "what does not fit a record is E2BIG, and is not written", spec: ["D-009", "D-005"],
        needs: [Features.dynptrs]
    ) { test in
        let ring = try Ring(test)
        for (offset, length, expected) in [
            (24, 8, nil), (25, 8, .E2BIG), (0, 32, nil), (0, 33, .E2BIG), (32, 0, nil), (33, 0, .E2BIG),
            (.max, 1, .E2BIG),
        ] as [(UInt32, UInt32, Errno?)] {
            let (_, wrote) = try ring.run("submit", size: 32, offset: offset, length: length)
            test.expect(wrote, expected, "\(length) bytes are written at \(offset) of 32")
            test.expect(ring.reader.take().map(\.data.count), equals: [32], "the record")
        }
    }
    Case(
        "D-009.discard", "a discarded record is passed over, and its space comes back", spec: ["D-009", "D-011"],
        needs: [Features.dynptrs]
    ) { test in
        let ring = try Ring(test)
        for round in 1...300 {
            let (made, wrote) = try ring.run("discard", size: 40, length: 8)
            test.expect(made, nil, "a record is reserved, round \(round)")
            test.expect(wrote, nil, "it is written to, round \(round)")
            let records = ring.reader.take()
            try test.require(records.map(\.isDiscarded) == [true], "one record is discarded, round \(round)")
        }
        try ring.expectAvailable(0, "after 300 discarded records")
        let (made, _) = try ring.run("submit", size: 4080, length: 8)
        test.expect(made, nil, "a record as large as the ring takes")
        test.expect(ring.reader.take().map(\.data.count), equals: [4080], "it is seen")
    }
    Case(
        "D-009.order", "records are seen in the order of their reserving, each ended its own way", spec: ["D-009"],
        needs: [Features.dynptrs]
    ) { test in
        let ring = try Ring(test)
        let (made, second) = try ring.run("interleaved", size: 8)
        test.expect(made, nil, "the first is reserved")
        test.expect(second, nil, "the second is reserved")
        test.expect(
            try Array(ring.object.bytes(of: "out").prefix(8)), equals: Array(0..<8),
            "what is read of the first after the second was written to")
        test.expect(
            ring.reader.take(),
            equals: [
                RingBuffer.Record(Array(0..<8), isDiscarded: true),
                RingBuffer.Record(Array(Operation.given[..<8])),
            ], "the first discarded, the second submitted")
        try ring.expectAvailable(0, "after both were taken")
    }
    Case(
        "D-011", "when the ring is full reserving is EINVAL, and no record is seen", needs: [Features.dynptrs]
    ) { test in
        let ring = try Ring(test)
        test.expect(try ring.run("submit", size: 4000, length: 8).made, nil, "a record of 4000 bytes")
        for (size, expected) in [(80, .EINVAL), (73, .EINVAL), (72, nil)] as [(UInt32, Errno?)] {
            for program in expected == nil ? ["submit"] : ["submit", "discard"] {
                let (made, wrote) = try ring.run(program, size: size, length: 8)
                test.expect(made, expected, "a record of \(size) bytes in the 80 + 8 that are left, of which 1 stays")
                test.expect(wrote, expected, "it is written to")
            }
        }
        test.expect(try ring.run("submit", size: 1, length: 1).made, .EINVAL, "a record in the full ring")
        try ring.expectAvailable(4008 + 80, "when it is full")
        test.expect(ring.reader.take().map(\.data.count), equals: [4000, 72], "the records seen")
        try ring.expectAvailable(0, "after they were taken")
        test.expect(try ring.run("submit", size: 4080, length: 8).made, nil, "the whole ring is there again")
        test.expect(ring.reader.take().map(\.data.count), equals: [4080], "the record seen")
    }
}

/// D-039: records of user space.
@CaseBuilder var userRingCases: [Case] {
    Case(
        "D-039", "the callback of bpf_user_ringbuf_drain reads each record, in order and within its bounds",
        needs: [Features.dynptrs, Features.userRing]
    ) { test in
        let object = try BPFObject("dynptr/user_ringbuf.bpf.o")
        let writer = try UserRingBuffer(try object.map("user_ring"), size: 4096)
        let none = try object.run("drain").get()
        test.expect(none, equals: 1, "the program comes to its end")
        test.expect(try object.value(of: "drained", as: Int64.self), equals: 0, "records in an empty ring")
        for first: UInt8 in [7, 9, 3] { writer.put([first] + [UInt8](repeating: 0x55, count: 20)) }
        _ = try object.run("drain").get()
        test.expect(try object.value(of: "drained", as: Int64.self), equals: 3, "records drained")
        test.expect(try object.value(of: "seen", as: UInt32.self), equals: 3, "calls of the callback")
        test.expect(try Array(object.bytes(of: "order").prefix(3)), equals: [7, 9, 3], "records in their order")
        test.expect(writer.consumed, equals: writer.produced, "the kernel's position: all is taken")
        // Records of 21 bytes: what the callback may read of them.
        for (offset, length, expected, data) in [
            (0, 21, nil, true), (13, 8, nil, true), (14, 7, nil, false), (14, 8, .E2BIG, false), (20, 1, nil, false),
            (21, 1, .E2BIG, false), (0, 22, .E2BIG, true), (.max, 1, .E2BIG, false),
        ] as [(UInt32, UInt32, Errno?, Bool)] {
            try object.set("seen", to: UInt32(0))
            try object.set("offset", to: offset)
            try object.set("length", to: length)
            try object.setBytes(of: "out", to: [UInt8](repeating: Operation.untouched, count: 64))
            let record = (0..<21).map { UInt8($0 + 100) }
            writer.put(record)
            _ = try object.run("drain").get()
            test.expect(try object.value(of: "drained", as: Int64.self), equals: 1, "records drained")
            test.expect(
                errno(try object.value(of: "answer")), expected, "reading \(length) bytes at \(offset) of 21")
            let wanted = expected == nil ? Array(record[Int(offset)..<Int(offset + length)]) : []
            test.expect(
                try object.bytes(of: "out"),
                equals: wanted + [UInt8](repeating: Operation.untouched, count: 64 - wanted.count),
                "what is read at \(offset)")
            test.expect(
                try object.value(of: "found", as: UInt32.self) == 1, equals: data,
                "whether 8 bytes at \(offset) of 21 are given as data")
        }
    }
    Case(
        "D-039.stop", "the callback ends the draining with 1; discarded records are passed over", spec: ["D-039"],
        needs: [Features.dynptrs, Features.userRing]
    ) { test in
        let object = try BPFObject("dynptr/user_ringbuf.bpf.o")
        let writer = try UserRingBuffer(try object.map("user_ring"), size: 4096)
        writer.put([1])
        writer.put([2], isDiscarded: true)
        writer.put([3])
        writer.put([4])
        try object.set("stop_after", to: UInt32(1))
        _ = try object.run("drain").get()
        test.expect(try object.value(of: "drained", as: Int64.self), equals: 1, "records drained before the stop")
        test.expect(writer.consumed, equals: 16, "the kernel's position: one record of 8 + 8 bytes")
        try object.set("stop_after", to: UInt32(0))
        _ = try object.run("drain").get()
        test.expect(try object.value(of: "drained", as: Int64.self), equals: 2, "records drained after it")
        test.expect(
            try Array(object.bytes(of: "order").prefix(3)), equals: [1, 3, 4], "records that the callback saw")
        test.expect(writer.consumed, equals: writer.produced, "the kernel's position: all is taken")
    }
    Case(
        "D-039.malformed", "records whose lengths cannot be are refused, and those not ended are waited for",
        spec: ["D-039"], needs: [Features.dynptrs, Features.userRing]
    ) { test in
        let object = try BPFObject("dynptr/user_ringbuf.bpf.o")
        let writer = try UserRingBuffer(try object.map("user_ring"), size: 4096)
        let drain = { (flags: UInt64) throws in
            try object.set("seen", to: UInt32(0))
            try object.set("flags", to: flags)
            test.expect(try object.run("drain").get(), equals: 1, "the program comes to its end")
            return (try object.value(of: "drained", as: Int64.self), try object.value(of: "seen", as: UInt32.self))
        }
        let (invalid, tooBig) = (Int64(-Errno.EINVAL.rawValue), Int64(-Errno.E2BIG.rawValue))
        for (what, claimed, advance, expected) in [
            ("a position that no record ends at", 8, 17, invalid),
            ("a length beyond the writer's position", 9, 16, invalid),
            ("a length far beyond it", 1 << 29, 16, invalid), ("a length of the whole ring", 4089, 8192, tooBig),
            ("a length that no dynptr has", 1 << 24, 1 << 25, tooBig),
        ] as [(String, UInt32, UInt64, Int64)] {
            writer.put([1, 2, 3, 4, 5, 6, 7, 8], claiming: claimed, advance: advance)
            let (drained, seen) = try drain(0)
            test.expect(drained, equals: expected, what)
            test.expect(seen, equals: 0, "calls of the callback for \(what)")
            writer.rewind()
        }
        writer.put([1, 2, 3, 4, 5, 6, 7, 8])
        for flags: UInt64 in [4, 1 << 32] {
            let (drained, seen) = try drain(flags)
            test.expect(drained, equals: invalid, "flags \(flags)")
            test.expect(seen, equals: 0, "calls of the callback with flags \(flags)")
        }
        var (drained, seen) = try drain(1)
        test.expect(drained, equals: 1, "a right record, and no wakeup: nothing is left of the wrong ones")
        test.expect(seen, equals: 1, "calls of the callback")
        writer.put([1], isBusy: true)
        writer.put([2])
        (drained, seen) = try drain(0)
        test.expect(drained, equals: 0, "records drained while the first is not ended")
        test.expect(seen, equals: 0, "calls of the callback")
    }
}
