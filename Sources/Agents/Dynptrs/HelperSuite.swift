// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

private let object = "dynptr/memory.bpf.o"
private let size = 64
private let pattern: [UInt8] = (0..<64).map { UInt8($0) }
private let untouched = [UInt8](repeating: Operation.untouched, count: size)

/// `operation` of memory.bpf.c.
private enum Kind: UInt32 { case nothing, read, write, data }

/// One run of a program of memory.bpf.c, and what it left.
private struct Run {
    var made: Errno?
    var result: Errno?
    /// EINVAL of a dynptr that is null.
    var nothing: Errno?
    var found: Bool
    var out: [UInt8]
    var memory: [UInt8]

    init(
        _ test: Test, _ object: BPFObject, _ program: String, _ kind: Kind = .nothing, size: Int = size,
        offset: UInt32 = 0, length: Int = 0, flags: UInt64 = 0, makeFlags: UInt64 = 0, target: Int = 0
    ) throws {
        try object.set("size", to: UInt32(size))
        try object.set("make_flags", to: makeFlags)
        try object.set("operation", to: kind.rawValue)
        try object.set("offset", to: offset)
        try object.set("length", to: UInt32(length))
        try object.set("flags", to: flags)
        try object.set("target", to: UInt32(target))
        for name in ["made", "answer", "nothing"] { try object.set(name, to: Int64(-9999)) }
        try object.set("found", to: UInt32(9999))
        try object.setBytes(of: "memory", to: pattern)
        try object.setBytes(of: "in", to: Operation.given)
        try object.setBytes(of: "out", to: untouched)
        let returned = try object.run(program)
        test.expect(returned.errno, nil, "test run of \(program)")
        test.expect(try returned.get(), equals: 1, "\(program) came to its end")
        made = errno(try object.value(of: "made"))
        result = errno(try object.value(of: "answer"))
        nothing = errno(try object.value(of: "nothing"))
        found = try object.value(of: "found", as: UInt32.self) == 1
        out = try object.bytes(of: "out")
        memory = try object.bytes(of: "memory")
    }
}

/// Offset, length, and whether they lie within 64 bytes.
private let bounds: [(offset: UInt32, length: Int, fits: Bool)] = [
    (0, 64, true), (0, 1, true), (1, 63, true), (1, 64, false), (63, 1, true), (63, 2, false), (64, 1, false),
    (65, 1, false), (.max, 1, false), (.max - 62, 63, false), (.max - 63, 64, false), (.max, 64, false),
]

extension [UInt8] {
    /// With some bytes replaced.
    func writing(_ bytes: some Collection<UInt8>, at offset: Int) -> [UInt8] {
        var copy = self
        copy.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
        return copy
    }
}

/// D-001 to D-011 and D-017: what helpers alone can do, in kernels since 5.19.
public let dynptrHelperSuite = Suite(
    "dynptr.helpers", "dynptrs to memory and to records of a ring buffer, by helpers",
    objects: [object, "dynptr/large.bpf.o"]
) {
    Case(
        "D-001", "a dynptr is made of 0 to 2^24-1 bytes; 2^24 are E2BIG",
        needs: [Features.dynptrs, Features.largeValues]
    ) { test in
        let object = try BPFObject("dynptr/large.bpf.o")
        let most = 1 << 24 - 1
        for (size, offset, made, inside) in [
            (0, 0, nil, Errno.E2BIG), (1, 0, nil, nil), (1, 1, nil, .E2BIG), (most - 1, most - 2, nil, nil),
            (most - 1, most - 1, nil, .E2BIG), (most, 0, nil, nil), (most, most - 1, nil, nil),
            (most, most, nil, .E2BIG), (most + 1, 0, Errno.E2BIG, .EINVAL),
        ] as [(Int, Int, Errno?, Errno?)] {
            try object.set("size", to: UInt32(size))
            try object.set("offset", to: UInt32(offset))
            try object.set("byte", to: UInt8(0))
            test.expect(try object.run("local").get(), equals: 1, "the program comes to its end")
            let what = "of \(size) bytes"
            test.expect(errno(try object.value(of: "made")), made, "bpf_dynptr_from_mem \(what)")
            test.expect(
                errno(try object.value(of: "nothing")), made == nil ? nil : .EINVAL, "reading no byte \(what)")
            test.expect(errno(try object.value(of: "wrote")), inside, "writing byte \(offset) \(what)")
            test.expect(errno(try object.value(of: "got")), inside, "reading byte \(offset) \(what)")
            test.expect(
                try object.value(of: "byte", as: UInt8.self), equals: inside == nil ? 0x5a : 0,
                "byte \(offset) \(what)")
        }
    }
    Case(
        "D-001.small", "a dynptr is as large as it was made, whatever is behind it", spec: ["D-001"],
        needs: [Features.dynptrs]
    ) { test in
        let object = try BPFObject(object, programs: ["local"])
        for size in [1, 7, 8, 32, 63] {
            let last = try Run(test, object, "local", .read, size: size, offset: UInt32(size - 1), length: 1)
            test.expect(last.made, nil, "bpf_dynptr_from_mem of \(size) bytes")
            test.expect(last.result, nil, "the last of \(size) bytes is read")
            test.expect(last.out[0], equals: UInt8(size - 1), "the last of \(size) bytes")
            let next = try Run(test, object, "local", .read, size: size, offset: UInt32(size), length: 1)
            test.expect(next.result, .E2BIG, "the byte behind \(size) is read")
            let more = try Run(test, object, "local", .write, size: size, length: size + 1)
            test.expect(more.result, .E2BIG, "\(size + 1) bytes are written to \(size)")
            test.expect(more.memory, equals: pattern, "the memory after what was refused")
        }
        let empty = try Run(test, object, "local", .read, size: 0, length: 1)
        test.expect(empty.made, nil, "bpf_dynptr_from_mem of no byte")
        test.expect(empty.nothing, nil, "reading no byte of none: it is not null")
        test.expect(empty.result, .E2BIG, "reading one byte of none")
    }
    Case("D-002", "bpf_dynptr_from_mem takes no flags, and makes a null dynptr then", needs: [Features.dynptrs]) {
        test in
        let object = try BPFObject(object, programs: ["local"])
        for flags: UInt64 in [1, 1 << 31, 1 << 32, 1 << 63] {
            for kind in [Kind.read, .write, .data] {
                let run = try Run(test, object, "local", kind, length: 1, makeFlags: flags)
                test.expect(run.made, .EINVAL, "flags \(flags)")
                test.expect(run.nothing, .EINVAL, "reading no byte: it is null")
                if kind == .data {
                    test.expect(!run.found, "NULL for data of a null dynptr")
                } else {
                    test.expect(run.result, .EINVAL, "\(kind) on a null dynptr")
                }
                test.expect(run.memory, equals: pattern, "the memory")
                test.expect(run.out, equals: untouched, "what was read")
            }
        }
    }
    Case("D-005", "what lies within a dynptr is read, what does not is E2BIG", needs: [Features.dynptrs]) { test in
        let object = try BPFObject(object, programs: ["local"])
        for (offset, length, fits) in bounds {
            let run = try Run(test, object, "local", .read, offset: offset, length: length)
            test.expect(run.result, fits ? nil : .E2BIG, "reading \(length) bytes at \(offset) of 64")
            let expected = fits ? untouched.writing(pattern[Int(offset)..<(Int(offset) + length)], at: 0) : untouched
            test.expect(run.out, equals: expected, "what is read of \(length) bytes at \(offset)")
            test.expect(run.memory, equals: pattern, "the memory after reading")
        }
    }
    Case(
        "D-005.write", "what lies within a dynptr is written, what does not is E2BIG", spec: ["D-005"],
        needs: [Features.dynptrs]
    ) { test in
        let object = try BPFObject(object, programs: ["local"])
        for (offset, length, fits) in bounds {
            let run = try Run(test, object, "local", .write, offset: offset, length: length)
            test.expect(run.result, fits ? nil : .E2BIG, "writing \(length) bytes at \(offset) of 64")
            let expected = fits ? pattern.writing(Operation.given[..<length], at: Int(offset)) : pattern
            test.expect(run.memory, equals: expected, "the memory after \(length) bytes at \(offset)")
        }
    }
    Case(
        "D-005.data", "bpf_dynptr_data gives what lies within, and NULL otherwise", spec: ["D-005", "D-014"],
        needs: [Features.dynptrs]
    ) { test in
        let object = try BPFObject(object, programs: ["local"])
        for (size, offset, fits) in [
            (64, 0, true), (64, 13, true), (64, 56, true), (64, 57, false), (64, 64, false), (64, 65, false),
            (64, .max, false), (64, .max - 6, false), (8, 0, true), (7, 0, false), (8, 1, false),
        ] as [(Int, UInt32, Bool)] {
            let run = try Run(test, object, "local", .data, size: size, offset: offset)
            test.expect(run.found, equals: fits, "whether 8 bytes at \(offset) of \(size) are given")
            let expected = fits ? pattern.writing(Operation.given[..<8], at: Int(offset)) : pattern
            test.expect(run.memory, equals: expected, "the memory, written to through the data at \(offset)")
        }
    }
    Case("D-006", "no byte is read at the end of a dynptr, one further is E2BIG", needs: [Features.dynptrs]) { test in
        let object = try BPFObject(object, programs: ["local"])
        for kind in [Kind.read, .write] {
            for (offset, expected) in [(0, nil), (63, nil), (64, nil), (65, .E2BIG), (.max, .E2BIG)]
                as [(UInt32, Errno?)]
            {
                let run = try Run(test, object, "local", kind, offset: offset, length: 0)
                test.expect(run.result, expected, "\(kind) of no byte at \(offset) of 64")
                test.expect(run.memory, equals: pattern, "the memory")
                test.expect(run.out, equals: untouched, "what was read")
            }
        }
    }
    Case("D-007", "reading and writing memory takes no flags", needs: [Features.dynptrs]) { test in
        let object = try BPFObject(object, programs: ["local", "discard"])
        for program in ["local", "discard"] {
            for kind in [Kind.read, .write] {
                for flags: UInt64 in [1, 2, 1 << 63] {
                    let run = try Run(test, object, program, kind, length: 8, flags: flags)
                    test.expect(run.result, .EINVAL, "\(kind) with flags \(flags), \(program)")
                    test.expect(run.memory, equals: pattern, "the memory")
                    test.expect(run.out, equals: untouched, "what was read")
                }
            }
        }
    }
    Case(
        "D-008", "memory is moved right where it overlaps, in both directions", since: "6.2",
        needs: [Features.dynptrs, Features.slice]
    ) { test in
        let object = try BPFObject(object, programs: ["overlap"])
        for (offset, target, length) in [(0, 1, 32), (1, 0, 32), (0, 7, 32), (9, 1, 31), (4, 4, 32), (0, 32, 32)] {
            let read = try Run(
                test, object, "overlap", .read, offset: UInt32(offset), length: length, target: target)
            test.expect(read.result, nil, "reading \(length) bytes from \(offset) to \(target)")
            test.expect(
                read.memory, equals: pattern.writing(pattern[offset..<(offset + length)], at: target),
                "the memory after reading \(length) bytes from \(offset) to \(target)")
            let wrote = try Run(
                test, object, "overlap", .write, offset: UInt32(offset), length: length, target: target)
            test.expect(wrote.result, nil, "writing \(length) bytes of \(target) to \(offset)")
            test.expect(
                wrote.memory, equals: pattern.writing(pattern[target..<(target + length)], at: offset),
                "the memory after writing \(length) bytes of \(target) to \(offset)")
        }
    }
    Case(
        "D-005.alias", "two dynptrs over one memory each keep to their own part", spec: ["D-005"],
        needs: [Features.dynptrs]
    ) { test in
        let object = try BPFObject(object, programs: ["alias"])
        let run = try Run(test, object, "alias")
        test.expect(run.made, nil, "both are made")
        test.expect(run.result, nil, "8 bytes are written to the part of 8")
        test.expect(run.nothing, .E2BIG, "8 bytes are written at 1 to the part of 8")
        let expected = pattern.writing(Operation.given[..<8], at: 16)
        test.expect(run.memory, equals: expected, "the memory")
        test.expect(run.out, equals: expected, "what is read through the other dynptr")
    }
    Case(
        "D-017", "the slot of a dynptr without a reference may be written over and used again",
        since: "6.3", needs: [Features.dynptrs, Features.slice]
    ) { test in
        let object = try BPFObject(object, programs: ["remade"])
        let run = try Run(test, object, "remade")
        test.expect(run.result, nil, "it is made anew")
        test.expect(run.out, equals: untouched.writing(pattern[8..<16], at: 0), "what is read through the new one")
        test.expect(run.nothing, .E2BIG, "reading behind the new one's end: nothing of the old one is left")
    }
    ringCases
    userRingCases
}
