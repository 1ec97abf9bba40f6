// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let needs = [Features.tags, Features.tasks, Features.localObjects, Features.percpuObjects]

/// P-065 to P-067 and P-068 of docs/semantics/kptr.md.
public let percpuSuite = Suite(
    "kptr.percpu", "per-cpu objects, and pointers to user memory, in fields", cpus: 2,
    objects: ["kptr/percpu.bpf.o", "kptr/percpu_fail.bpf.o"]
) {
    Case("P-066", "each processor has its own part of a per-cpu object", since: "6.7", needs: needs) { test in
        let programs = try Programs("kptr/percpu.bpf.o", ["make", "add", "total", "drop"])
        test.expect(try programs.run("add"), equals: 0, "0: there is none yet")
        test.expect(try programs.run("make"), equals: 1, "1: made, into an empty field")
        let processors = try Processors.possible
        test.expect(try programs.run("total"), equals: 1, "1: there is one")
        test.expect(try programs.value("processors"), equals: Int32(processors), "parts, one for each processor")
        test.expect(try programs.long("sum"), equals: 0, "sum at first")
        var expected = [UInt64](repeating: 0, count: processors)
        for (round, processor) in (0..<10).flatMap({ round in [0, 1].map { (round, $0) } }) {
            try pin(to: processor)
            try programs.set("amount", to: Int32(1000 * processor + round + 1))
            test.expect(try programs.run("add"), equals: 1, "1: added on processor \(processor)")
            expected[processor] += UInt64(1000 * processor + round + 1)
        }
        test.expect(try programs.run("total"), equals: 1, "1: summed up")
        test.expect(try programs.long("sum"), equals: expected.reduce(0, +), "sum over all processors")
        let parts = try programs.object.bytes(of: "each")
        test.expect(
            (0..<processors).map { UInt64(parts, at: 8 * $0) }, equals: expected, "what each processor has counted")
        test.expect(try programs.run("make"), equals: 1, "1: another one takes its place")
        test.expect(try programs.run("total"), equals: 1, "1: the new one")
        test.expect(try programs.long("sum"), equals: 0, "sum of the new one")
        test.expect(try programs.run("drop"), equals: 1, "1: taken out and dropped")
        test.expect(try programs.run("drop"), equals: 0, "0: nothing comes out twice")
        test.expect(try programs.run("total"), equals: 0, "0: the field is empty")
    }
    Case(
        "P-066.many", "hundreds of per-cpu objects are made, exchanged and freed with their map", spec: ["P-066"],
        since: "6.7", needs: needs
    ) { test in
        for round in 0..<3 {
            let programs = try Programs("kptr/percpu.bpf.o", ["make", "add", "total"])
            test.expect(try programs.run("make"), equals: 1, "1: made, into an empty field")
            // The allocator may be out of them for a moment, until those that were dropped come back.
            for _ in 0..<200 {
                let isMade = try Later.wait { try programs.run("make") == 1 }
                try test.require(isMade, "1: in the place of another")
            }
            try programs.set("amount", to: Int32(5))
            test.expect(try programs.run("add"), equals: 1, "1: added")
            test.expect(try programs.run("total"), equals: 1, "1: summed up")
            test.expect(try programs.long("sum"), equals: 5, "sum in round \(round): the parts are not shared")
            programs.close()
            GracePeriods.pass()
        }
    }
    refusedPercpu.map { $0.asCase("kptr/percpu_fail.bpf.o", needs: needs) }
    Case(
        "P-068", "a user pointer is neither written, nor used untested, nor exchanged", since: "6.13",
        needs: [Features.userPointers]
    ) { test in
        let object = "kptr/uptr.bpf.o"
        test.expect(
            object, program: "write_field",
            refused: Rejection(.EACCES, "store to uptr disallowed", from: KernelRelease(6, 13)))
        test.expect(
            object, program: "read_untested",
            refused: Rejection(.EACCES, "invalid mem access 'mem_or_null'", from: KernelRelease(6, 13)))
        test.expect(
            object, program: "exchange",
            refused: Rejection(.EINVAL, "R1 has no valid kptr", from: KernelRelease(6, 13)))
    }
    Case(
        "P-068.run", "a user pointer is memory that a program and a process share", spec: ["P-068"], since: "6.13",
        needs: [Features.userPointers]
    ) { test in
        let programs = try Programs("kptr/uptr.bpf.o", ["read_and_write"])
        let storage = try programs.map("storage")
        let page = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        try test.require(unsafe page != MAP_FAILED, "a page of memory")
        let memory = unsafe UnsafeMutableRawBufferPointer(start: page, count: 4096)
        unsafe memory.storeBytes(of: 4711, toByteOffset: 64, as: Int32.self)
        let address = UInt64(UInt(bitPattern: memory.baseAddress)) + 64
        let process = FileHandle(try Descriptors.process(getpid()))
        test.expect(try programs.call("read_and_write"), equals: 10, "10: the process has no storage")
        test.expect(storage.update(process.raw.bytes, to: UInt64(1).bytes + address.bytes), nil, "its storage")
        test.expect(try programs.call("read_and_write"), equals: 1, "1: read and written")
        test.expect(try programs.value("found"), equals: 4711, "what the process has written")
        test.expect(unsafe memory.load(fromByteOffset: 68, as: Int32.self), equals: 77, "what the program has written")
        let across = address - 64 + 4092
        test.expect(
            storage.update(process.raw.bytes, to: UInt64(1).bytes + across.bytes), .EOPNOTSUPP,
            "an address whose struct crosses the page's end")
        test.expect(storage.delete(process.raw.bytes), nil, "the storage is deleted")
        test.expect(try programs.call("read_and_write"), equals: 10, "10: the process has no storage")
        _ = unsafe munmap(page, 4096)
    }
}

private let refusedPercpu: [Refused] = [
    Refused(
        "P-065.size", "a per-cpu object has 512 bytes at most", "new_large", since: "6.7",
        Rejection(.EINVAL, "bpf_percpu_obj_new type size (600) is greater than 512")),
    Refused(
        "P-065.special", "a per-cpu object has no fields", "new_special", since: "6.7",
        Rejection(.EINVAL, "bpf_percpu_obj_new type ID argument must not contain special fields")),
    Refused(
        "P-065.pointer", "a per-cpu object has no pointers", "new_nested", since: "6.7",
        Rejection(.EINVAL, "bpf_percpu_obj_new type ID argument must be of a struct of scalars")),
    Refused("P-065.leak", "a per-cpu object must be dropped or given away", "leak", since: "6.7", .leak),
    Refused(
        "P-065.store", "nothing is stored to the field of a per-cpu object", "store", since: "6.7",
        Rejection(.EACCES, "store to referenced kptr disallowed")),
    Refused(
        "P-067.type", "a per-cpu object goes into a field of its own type", "put_other_type", since: "6.7",
        Rejection(.EACCES, "invalid kptr access, R2 type=percpu_ptr_kept_other expected=ptr_kept_counter")),
    Refused(
        "P-067.plain", "an object that is not per cpu does not go into a per-cpu field", "put_plain", since: "6.12",
        // Fixed in 7.3, and in Debian's 6.12. Elsewhere it is let in, and what comes out is not released here.
        Rejection(.EACCES, "invalid kptr access, R2 type=ptr_ expected=ptr_kept_counter")
            .then(KernelRelease(6, 13), .EINVAL, "reference leak")
            .then(.v7_3, .EACCES, "invalid kptr access, R2 type=ptr_ expected=ptr_kept_counter")),
    Refused(
        "P-067.percpu", "a per-cpu object does not go into a field that is not per cpu", "put_percpu", since: "6.7",
        Rejection(.EACCES, "invalid kptr access, R2 type=percpu_ptr_ expected=ptr_kept_counter")),
    Refused(
        "P-067.task", "an object of the kernel does not go into a per-cpu field", "put_task", since: "6.7",
        Rejection(.EACCES, "expected=ptr_kept_counter")),
    Refused(
        "P-067.use", "a per-cpu object is not used after it was dropped", "use_after_drop", since: "6.7",
        Rejection(.EACCES, "R1 type=scalar expected=percpu_ptr_")),
    Refused(
        "P-067.drop_plain", "bpf_percpu_obj_drop is for per-cpu objects", "drop_plain_as_percpu", since: "6.7",
        Rejection(.EINVAL, "expected for bpf_obj_drop")),
    Refused(
        "P-067.drop_percpu", "bpf_obj_drop is not for per-cpu objects", "drop_percpu_as_plain", since: "6.7",
        Rejection(.EINVAL, "expected for bpf_percpu_obj_drop")),
]
