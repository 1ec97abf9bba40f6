// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

private let object = "dynptr/ops.bpf.o"
private let pattern: [UInt8] = (0..<64).map { UInt8($0) }
private let needs = [Features.dynptrs, Features.slice, Features.clone]
/// Memory of a map, and a record of a ring buffer that starts as a copy of it.
private let programs = ["local", "record"]

extension Test {
    /// States what a slice or bpf_dynptr_data gave: bytes, from where they lie or copied to the buffer; or nothing.
    func expect(
        _ answer: Answer, gives bytes: [UInt8]?, copied: Bool = false, _ what: String, file: String = #fileID,
        line: Int = #line
    ) {
        expect(answer.found, equals: bytes != nil, "whether there is a pointer: \(what)", file: file, line: line)
        let empty = [UInt8](repeating: Operation.untouched, count: 8)
        expect(answer.read(8), equals: bytes ?? empty, "what is seen through it: \(what)", file: file, line: line)
        // Through a writable one the program writes after it has looked.
        expect(
            answer.buffer != empty, equals: copied, "whether the buffer was used: \(what)", file: file, line: line)
    }
}

private func loaded(_ programs: [String]) throws -> BPFObject {
    let object = try BPFObject(object, programs: programs)
    try object.setBytes(of: "memory", to: pattern)
    return object
}

/// D-028 to D-036 and what else kfuncs do with memory that has no packet around it.
public let dynptrMemorySuite = Suite(
    "dynptr.memory", "slices, changed views and clones of dynptrs to memory", objects: [object]
) {
    for program in programs {
        Case(
            "D-013.\(program)", "a slice of plain memory is the memory itself, within its bounds",
            spec: ["D-013", "D-014"], needs: needs
        ) { test in
            let object = try loaded(programs)
            for kind in [Operation.Kind.data, .slice, .sliceBare, .sliceRdwr, .sliceRdwrBare] {
                for (offset, fits) in [
                    (0, true), (1, true), (55, true), (56, true), (57, false), (63, false), (64, false), (65, false),
                    (UInt64(UInt32.max), false), (UInt64(UInt32.max) - 6, false),
                ] as [(UInt64, Bool)] {
                    try object.setBytes(of: "memory", to: pattern)
                    let (answer, _) = try object.perform(test, Operation(kind, at: offset), program)
                    let what = "\(kind) of 8 bytes at \(offset) of 64"
                    test.expect(answer, gives: fits ? Array(pattern[Int(offset)..<Int(offset) + 8]) : nil, what)
                    let writes = fits && kind != .slice && kind != .sliceBare && program == "local"
                    test.expect(
                        try object.bytes(of: "memory"),
                        equals: writes ? pattern.writing(Operation.given[..<8], at: Int(offset)) : pattern,
                        "the memory after \(what)")
                }
            }
        }
        Case("D-028.\(program)", "a changed view starts and ends where it was told", spec: ["D-028"], needs: needs) {
            test in
            let object = try loaded(programs)
            for (start, end) in [(2, 10), (0, 64), (0, 0), (64, 64), (63, 64), (0, 63), (1, 64), (32, 32)] {
                let size = end - start
                let view = { (operation: Operation) throws in
                    try object.setBytes(of: "memory", to: pattern)
                    return try object.perform(test, operation.adjusting(UInt64(start), UInt64(end)), program).answer
                }
                let what = "of bytes \(start) to \(end)"
                let all = try view(Operation(.read, length: UInt32(size)))
                test.expect(all.adjusted, nil, "bpf_dynptr_adjust(\(start), \(end))")
                test.expect(all.sizes.parent, equals: UInt64(size), "size \(what)")
                test.expect(all.sizes.clone, equals: 64, "size of the clone made before")
                test.expect(all.result, nil, "the view \(what) is read")
                test.expect(all.read(size), equals: Array(pattern[start..<end]), "the view \(what)")
                test.expect(
                    try view(Operation(.read, length: UInt32(size) + (size < 64 ? 1 : 0))).result,
                    size < 64 ? .E2BIG : nil, "one byte more than the view \(what)")
                test.expect(try view(Operation(.read, at: UInt64(size), length: 0)).result, nil, "no byte at the end")
                test.expect(
                    try view(Operation(.write, at: UInt64(size), length: 1)).result, .E2BIG,
                    "a byte behind the view \(what) is written")
                if size >= 8 {
                    for kind in [Operation.Kind.slice, .sliceRdwr, .data] {
                        test.expect(
                            try view(Operation(kind, at: UInt64(size - 8))),
                            gives: Array(pattern[(end - 8)..<end]), "\(kind) of the last 8 bytes \(what)")
                        test.expect(
                            try view(Operation(kind, at: UInt64(size - 7))), gives: nil, "\(kind) one byte further")
                    }
                }
            }
        }
        Case(
            "D-029.\(program)", "a view is not changed to end before it starts, or beyond its size", spec: ["D-029"],
            needs: needs
        ) { test in
            let object = try loaded(programs)
            for (start, end, expected) in [
                (5, 3, .EINVAL), (0, 65, .ERANGE), (64, 65, .ERANGE), (65, 65, .ERANGE), (65, 64, .EINVAL),
                (1, 0, .EINVAL), (0, UInt64(UInt32.max), .ERANGE), (0, 1 << 24, .ERANGE),
                (UInt64(UInt32.max), UInt64(UInt32.max), .ERANGE),
            ] as [(UInt64, UInt64, Errno)] {
                let (answer, _) = try object.perform(
                    test, Operation(.read, length: 64).adjusting(start, end), program)
                test.expect(answer.adjusted, expected, "bpf_dynptr_adjust(\(start), \(end)) of 64")
                test.expect(answer.sizes.parent, equals: 64, "the size afterwards")
                test.expect(answer.out, equals: pattern, "what is read afterwards: nothing was moved")
            }
        }
        Case("D-031.\(program)", "a clone has a view of its own of the same memory", spec: ["D-031"], needs: needs) {
            test in
            let object = try loaded(programs)
            for (start, end) in [(8, 24), (0, 8), (64, 64), (0, 64)] as [(UInt64, UInt64)] {
                let parent = try object.perform(
                    test, Operation(.read, length: 64).adjusting(start, end, ofClone: true), program
                ).answer
                test.expect(parent.cloned, nil, "bpf_dynptr_clone")
                test.expect(parent.adjusted, nil, "the clone's view is changed")
                test.expect(parent.sizes.parent, equals: 64, "the parent's size")
                test.expect(parent.sizes.clone, equals: end - start, "the clone's size")
                test.expect(parent.result, nil, "the parent is read as before")
                test.expect(parent.out, equals: pattern, "what is read of the parent")
                let length = UInt32(end - start)
                let clone = try object.perform(
                    test,
                    Operation(.read, length: length).adjusting(start, end, ofClone: true).with { $0.onClone = true },
                    program
                ).answer
                test.expect(clone.result, nil, "the clone is read")
                test.expect(
                    clone.read(Int(length)), equals: Array(pattern[Int(start)..<Int(end)]),
                    "what is read of the clone")
                let other = try object.perform(
                    test, Operation(.read, length: 64).adjusting(start, end).with { $0.onClone = true }, program
                ).answer
                test.expect(other.sizes.clone, equals: 64, "the clone's size when the parent's view is changed")
                test.expect(other.sizes.parent, equals: end - start, "the parent's own")
                test.expect(other.result, nil, "the clone is read as before")
                test.expect(other.out, equals: pattern, "what is read of the clone")
            }
        }
        Case(
            "D-034.\(program)", "a null dynptr's clone is null; nothing can be done with either", spec: ["D-034"],
            needs: needs
        ) { test in
            let object = try loaded(programs)
            for onClone in [false, true] {
                for kind in [
                    Operation.Kind.read, .write, .data, .slice, .sliceBare, .sliceRdwr, .sliceRdwrBare,
                ] {
                    let operation = Operation(kind, length: 0).adjusting(0, 0, ofClone: onClone).with {
                        $0.makeFlags = 1
                        $0.onClone = onClone
                    }
                    let (answer, _) = try object.perform(test, operation, program)
                    test.expect(answer.made, .EINVAL, "it is made with flags 1")
                    test.expect(answer.cloned, .EINVAL, "bpf_dynptr_clone of a null dynptr")
                    test.expect(answer.adjusted, .EINVAL, "bpf_dynptr_adjust(0, 0) of a null dynptr")
                    test.expect(answer.isNull.parent && answer.isNull.clone, "bpf_dynptr_is_null of both")
                    test.expect(
                        !answer.isReadOnly.parent && !answer.isReadOnly.clone, "neither is read-only: both are null")
                    if kind == .read || kind == .write {
                        test.expect(answer.result, .EINVAL, "\(kind) of no byte")
                    } else {
                        test.expect(answer, gives: nil, "\(kind) of a null dynptr")
                    }
                }
            }
        }
    }
    Case("D-031.changed", "a clone of a changed view starts and ends where that does", spec: ["D-031"], needs: needs) {
        test in
        let object = try loaded(["clone_of_changed"])
        for (start, end) in [(8, 40), (56, 64), (0, 8)] as [(UInt64, UInt64)] {
            try object.set("start", to: start)
            try object.set("end", to: end)
            try object.wipe()
            test.expect(try object.run("clone_of_changed").get(), equals: 1, "the program comes to its end")
            let what = "\(start) to \(end)"
            test.expect(errno(try object.value(of: "cloned")), nil, "bpf_dynptr_clone of \(what)")
            test.expect(try object.value(of: "size_clone"), equals: end - start, "the size of a clone of \(what)")
            test.expect(errno(try object.value(of: "answer")), nil, "8 bytes are read of a clone of \(what)")
            test.expect(
                Array(try object.bytes(of: "out")[..<8]), equals: Array(pattern[Int(start)..<Int(start) + 8]),
                "what is read of a clone of \(what)")
        }
    }
    Case("D-028.twice", "a view is changed relative to what it is", spec: ["D-028", "D-029"], needs: needs) { test in
        let object = try loaded(["adjusted_twice"])
        for (first, second, expected, start, size) in [
            ((8, 40), (4, 12), nil, 12, 8), ((8, 40), (0, 32), nil, 8, 32), ((8, 40), (0, 33), .ERANGE, 8, 32),
            ((8, 40), (32, 32), nil, 40, 0), ((8, 40), (33, 33), .ERANGE, 8, 32), ((8, 40), (2, 1), .EINVAL, 8, 32),
            ((60, 64), (3, 4), nil, 63, 1),
        ] as [((UInt64, UInt64), (UInt64, UInt64), Errno?, Int, UInt64)] {
            try object.set("start", to: first.0)
            try object.set("end", to: first.1)
            try object.set("start2", to: second.0)
            try object.set("end2", to: second.1)
            try object.wipe()
            test.expect(try object.run("adjusted_twice").get(), equals: 1, "the program comes to its end")
            let what = "(\(second.0), \(second.1)) after (\(first.0), \(first.1))"
            test.expect(errno(try object.value(of: "adjusted")), nil, "the first change")
            test.expect(errno(try object.value(of: "adjusted2")), expected, "bpf_dynptr_adjust\(what)")
            test.expect(try object.value(of: "size_parent"), equals: size, "size after \(what)")
            test.expect(errno(try object.value(of: "answer")), size == 0 ? .E2BIG : nil, "a byte is read after \(what)")
            if size > 0 {
                test.expect(try object.bytes(of: "out")[0], equals: UInt8(start), "the first byte after \(what)")
            }
        }
    }
    Case(
        "D-030", "memory is neither null nor read-only, and is as large as it was made", needs: needs
    ) { test in
        let object = try loaded(["local"])
        for size: UInt32 in [0, 1, 63, 64] {
            try object.set("size", to: size)
            let (answer, _) = try object.perform(test, Operation(.nothing), "local")
            test.expect(answer.made, nil, "a dynptr of \(size) bytes")
            test.expect(!answer.isNull.parent && !answer.isNull.clone, "not null, \(size) bytes")
            test.expect(!answer.isReadOnly.parent && !answer.isReadOnly.clone, "not read-only, \(size) bytes")
            test.expect(answer.sizes.parent, equals: UInt64(size), "its size")
            test.expect(answer.sizes.clone, equals: UInt64(size), "its clone's size")
        }
    }
    Case("D-041", "the size of a null dynptr is -EINVAL, in 64 bits where sizes have 64", needs: needs) { test in
        let object = try loaded(["local"])
        let (answer, _) = try object.perform(test, Operation(.nothing).with { $0.makeFlags = 1 }, "local")
        test.expect(answer.narrowSize, equals: UInt32(bitPattern: -22), "in 32 bits")
        // Commit 531b87d865eb, 6.19: sizes and offsets have 64 bits.
        let isWide = KernelRelease.running >= KernelRelease(6, 19)
        test.expect(
            answer.sizes.parent, equals: isWide ? UInt64(bitPattern: -22) : UInt64(UInt32(bitPattern: -22)),
            "in 64 bits")
    }
    Case(
        "D-029.wide", "an offset beyond 32 bits is out of range and not cut to them", spec: ["D-029", "D-041"],
        since: "6.19", needs: needs
    ) { test in
        let object = try loaded(["local"])
        let (null, _) = try object.perform(test, Operation(.nothing).with { $0.makeFlags = 1 }, "local")
        if KernelRelease.running < KernelRelease(6, 19), null.sizes.parent == UInt64(UInt32(bitPattern: -22)) {
            throw test.skip("sizes and offsets have 32 bits: bpf_dynptr_size of a null dynptr is 0xffffffea")
        }
        for kind in [Operation.Kind.read, .write] {
            let (answer, _) = try object.perform(test, Operation(kind, at: 1 << 32, length: 1), "local")
            test.expect(answer.result, .E2BIG, "\(kind) at 2^32")
        }
        for kind in [Operation.Kind.data, .slice, .sliceRdwr] {
            let (answer, _) = try object.perform(test, Operation(kind, at: 1 << 32), "local")
            test.expect(answer, gives: nil, "\(kind) at 2^32")
        }
        let moved = try object.perform(test, Operation(.nothing).adjusting(1 << 32, 1 << 32), "local").answer
        test.expect(moved.adjusted, .ERANGE, "bpf_dynptr_adjust(2^32, 2^32)")
        test.expect(moved.sizes.parent, equals: 64, "the size afterwards")
        test.expect(try object.bytes(of: "memory"), equals: pattern, "the memory")
    }
    Case(
        "D-009.clone", "a record's clone writes to the record, which is submitted once", spec: ["D-009", "D-031"],
        needs: needs
    ) { test in
        let object = try loaded(["record"])
        let reader = try RingBuffer(try object.map("ring"), size: 4096)
        try object.set("submitting", to: UInt32(1))
        for onClone in [false, true] {
            let (answer, _) = try object.perform(
                test,
                Operation(.write, at: 3, length: 5).adjusting(10, 20, ofClone: onClone).with { $0.onClone = onClone },
                "record")
            test.expect(answer.result, nil, "5 bytes are written at 3 of bytes 10 to 20")
            test.expect(
                reader.take(), equals: [RingBuffer.Record(pattern.writing(Operation.given[..<5], at: 13))],
                "the record, all of it: the changed view has not shortened it")
        }
    }
    Case(
        "D-033.local", "a clone lives on when its parent without a reference is written over", spec: ["D-033"],
        needs: needs
    ) { test in
        let object = try loaded(["clone_outlives"])
        try object.wipe()
        test.expect(try object.run("clone_outlives").get(), equals: 1, "the program comes to its end")
        test.expect(try object.value(of: "size_clone"), equals: UInt64(64), "the clone's size")
        test.expect(errno(try object.value(of: "answer")), nil, "the clone is read")
        test.expect(try Array(object.bytes(of: "out").prefix(8)), equals: Array(8..<16), "what is read")
    }
    Case(
        "D-033", "a record's dynptr may be written over while its clone is there to end it, from 7.2 on", needs: needs
    ) { test in
        let program = "overwrite_with_clone"
        let release = KernelRelease.running
        if release <= .v6_12 {
            test.expect(object, program: program, refused: Rejection(.EINVAL, "cannot overwrite referenced dynptr"))
            return
        }
        if release < .v7_2 { throw test.skip("which of 6.13 to 7.1 began to allow it is not known") }
        let object = try BPFObject(object, programs: [program])
        let reader = try RingBuffer(try object.map("ring"), size: 4096)
        try object.setBytes(of: "in", to: Operation.given)
        test.expect(try object.run(program).get(), equals: 1, "the program comes to its end")
        test.expect(errno(try object.value(of: "answer")), nil, "the record is written through the clone")
        test.expect(reader.take(), equals: [RingBuffer.Record(Array(Operation.given[..<8]))], "the record")
    }
    copyCases
}

/// D-035 and D-036, on memory.
@CaseBuilder private var copyCases: [Case] {
    for (program, from, to) in [("copy", 0, 16), ("copy_back", 16, 0)] {
        Case(
            "D-035.\(program)", "bpf_dynptr_copy moves bytes right where they overlap, and none beyond an end",
            spec: ["D-035"], needs: needs + [Features.copy]
        ) { test in
            let object = try loaded([program])
            for (source, target, length, expected) in [
                (0, 0, 32, nil), (0, 0, 31, nil), (0, 0, 33, .E2BIG), (1, 0, 31, nil), (1, 0, 32, .E2BIG),
                (0, 1, 31, nil), (0, 1, 32, .E2BIG), (32, 0, 0, nil), (33, 0, 0, .E2BIG), (0, 33, 0, .E2BIG),
                (31, 31, 1, nil), (31, 32, 1, .E2BIG), (32, 31, 1, .E2BIG), (8, 4, 20, nil), (0, 0, 0, nil),
            ] as [(Int, Int, Int, Errno?)] {
                try object.setBytes(of: "memory", to: pattern)
                try object.set("offset", to: UInt64(source))
                try object.set("other_offset", to: UInt64(target))
                try object.set("length", to: UInt32(length))
                try object.wipe()
                test.expect(try object.run(program).get(), equals: 1, "the program comes to its end")
                let what = "\(length) bytes from \(source) to \(target), each of 32"
                test.expect(errno(try object.value(of: "made")), nil, "both dynptrs")
                test.expect(errno(try object.value(of: "answer")), expected, "bpf_dynptr_copy of \(what)")
                let moved = pattern[(from + source)...].prefix(expected == nil ? length : 0)
                test.expect(
                    try object.bytes(of: "memory"),
                    equals: moved.isEmpty ? pattern : pattern.writing(moved, at: to + target), "the memory: \(what)")
            }
        }
    }
    Case(
        "D-035.null", "bpf_dynptr_copy from or to a null dynptr is EINVAL", spec: ["D-035"],
        needs: needs + [Features.copy]
    ) { test in
        let object = try loaded(["copy_null"])
        try object.wipe()
        test.expect(try object.run("copy_null").get(), equals: 1, "the program comes to its end")
        test.expect(errno(try object.value(of: "answer")), .EINVAL, "from a null dynptr")
        test.expect(errno(try object.value(of: "adjusted")), .EINVAL, "to a null dynptr")
        test.expect(try object.bytes(of: "memory"), equals: pattern, "the memory")
    }
    Case(
        "D-036", "bpf_dynptr_memset sets the bytes asked for, and none beyond the end", needs: needs + [Features.memset]
    ) { test in
        let object = try loaded(["set_bytes"])
        for (offset, length, start, end, expected) in [
            (0, 48, 0, 48, nil), (0, 49, 0, 48, .E2BIG), (47, 1, 0, 48, nil), (48, 1, 0, 48, .E2BIG),
            (48, 0, 0, 48, nil), (49, 0, 0, 48, .E2BIG), (1, 46, 0, 48, nil), (0, 0, 0, 48, nil),
            (0, 8, 4, 12, nil), (1, 7, 4, 12, nil), (1, 8, 4, 12, .E2BIG), (0, 9, 4, 12, .E2BIG),
        ] as [(Int, Int, Int, Int, Errno?)] {
            try object.setBytes(of: "memory", to: pattern)
            try object.instruct(
                Operation(.nothing, at: UInt64(offset), length: UInt32(length)).adjusting(UInt64(start), UInt64(end)))
            try object.set("value", to: UInt32(0x5a))
            test.expect(try object.run("set_bytes").get(), equals: 1, "the program comes to its end")
            let what = "\(length) bytes at \(offset) of \(start) to \(end)"
            test.expect(errno(try object.value(of: "answer")), expected, "bpf_dynptr_memset of \(what)")
            let bytes = [UInt8](repeating: 0x5a, count: expected == nil ? length : 0)
            test.expect(
                try object.bytes(of: "memory"), equals: pattern.writing(bytes, at: start + offset), "memory: \(what)")
        }
        // A null dynptr has no bytes: to set none of them is nothing.
        for (length, expected) in [(UInt32(0), nil), (1, .E2BIG)] as [(UInt32, Errno?)] {
            try object.setBytes(of: "memory", to: pattern)
            try object.instruct(Operation(.nothing, length: length).with { $0.makeFlags = 1 })
            test.expect(try object.run("set_bytes").get(), equals: 1, "the program comes to its end")
            test.expect(
                errno(try object.value(of: "answer")), expected, "bpf_dynptr_memset of \(length) bytes, null dynptr")
            test.expect(try object.bytes(of: "memory"), equals: pattern, "memory that the dynptr was not made of")
        }
    }
}
