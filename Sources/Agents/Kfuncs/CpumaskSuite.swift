// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import BTF
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let cpumask = Feature.kfunc("bpf_cpumask_create", since: "6.3")
    static let cpumaskWeight = Feature.kfunc("bpf_cpumask_weight", since: "6.8")
    static let cpumaskPopulate = Feature.kfunc("bpf_cpumask_populate", since: "6.15")
}

private let object = "kfuncs/cpumask.bpf.o"
private let refusing = "kfuncs/cpumask_fail.bpf.o"
private let needs = [Features.cpumask, Features.cpumaskWeight, Features.iterNum]

/// K-068 to K-074 of docs/semantics/kfuncs.md; with two processors, so that sets differ.
public let cpumaskSuite = Suite(
    "kfuncs.cpumask", "kfuncs that make, change and compare sets of processors", cpus: 2, objects: [object, refusing]
) {
    Case("K-073", "references to a cpumask are counted, 200 times over", since: "6.12", needs: needs) { test in
        let object = try BPFObject(object, programs: ["count_references"])
        try object.set("repeat", to: Int32(200))
        test.expect(try object.run("count_references").get(), equals: 1, "1: a mask is made")
        test.expect(try object.value(of: "usage", as: Int32.self), equals: 1, "references to a new mask")
        test.expect(try object.value(of: "usage_held", as: Int32.self), equals: 2, "references when it is acquired")
        test.expect(try object.value(of: "runs", as: Int32.self), equals: 200, "acquires that gave the same mask")
        test.expect(try object.value(of: "usage_after", as: Int32.self), equals: 1, "references after as many releases")
    }
    Case(
        "K-073.kept", "a cpumask in two maps has two references and keeps its bits", spec: ["K-073"], since: "6.12",
        needs: needs
    ) { test in
        let object = try BPFObject(object, programs: ["keep_twice", "read_other", "drop_other"])
        try object.set("in_a", to: UInt64(1))
        test.expect(try object.run("keep_twice").get(), equals: 1, "1: the mask is in both maps")
        test.expect(try object.run("read_other").get(), equals: 1, "1: a mask is there")
        test.expect(try object.value(of: "usage", as: Int32.self), equals: 2, "references")
        test.expect(try object.value(of: "bits", as: UInt64.self), equals: 1, "the mask's bits, read in the map")
        test.expect(try object.value(of: "tested", as: UInt64.self), equals: 1, "the same, by bpf_cpumask_test_cpu")
        // What is stored in its place releases the first one.
        test.expect(try object.run("keep_twice").get(), equals: 1, "1: another mask is in both maps")
        test.expect(try object.run("drop_other").get(), equals: 1, "1: it is taken out of one")
        test.expect(try object.value(of: "usage", as: Int32.self), equals: 2, "references, its own included")
        test.expect(try object.run("read_other").get(), equals: 0, "0: that map is empty")
    }
    Case(
        "K-073.values", "every question about all sets of the machine's processors is answered right", spec: ["K-073"],
        since: "6.12", needs: needs
    ) { test in
        try CpumaskArithmetic(test).judgeAll()
    }
    Case(
        "K-073.changes", "every change of all sets of the machine's processors does what it says", spec: ["K-073"],
        since: "6.12", needs: needs
    ) { test in
        try CpumaskArithmetic(test).judgeChanges()
    }
    Case(
        "K-073.task", "the processors that a task may run on are read from its cpus_ptr", spec: ["K-073"],
        since: "6.12", needs: needs
    ) { test in
        let object = try BPFObject(object, programs: ["own_processors"])
        for cpu in 0..<min(try Processors.possible, 2) {
            try test.require(success: Processors.pin(to: cpu), "the process is pinned to processor \(cpu)")
            test.expect(try object.run("own_processors").get(), equals: 1, "the program runs")
            test.expect(try object.value(of: "tested"), equals: UInt64(1) << cpu, "bits of cpus_ptr")
            test.expect(try object.value(of: "first"), equals: UInt32(cpu), "the first processor")
            test.expect(try object.value(of: "weight"), equals: UInt32(1), "processors in it")
        }
    }
    Case(
        "K-074", "bpf_cpumask_populate copies bits from memory of any address", since: "6.15",
        needs: needs + [Features.cpumaskPopulate]
    ) { test in
        let object = try BPFObject(object, programs: ["populate"])
        let cpus = UInt64(1) << UInt64(try Processors.possible) - 1
        var source = [UInt8](repeating: 0, count: 32)
        (source[0], source[1]) = (2, 1)
        try object.setBytes(of: "source", to: source)
        // What was in the mask goes.
        for former in [0, 3] as [UInt64] {
            try object.set("in_b", to: former)
            for (operation, what, bits) in [
                (0, "32 bytes of a map", 2), (1, "8 bytes of the stack", 2), (2, "8 bytes at an odd address", 1),
            ] as [(Int32, String, UInt64)] {
                try object.set("operation", to: operation)
                test.expect(try object.run("populate").get(), equals: 1, "the program runs")
                test.expect(
                    try object.value(of: "answer", as: Int32.self), equals: 0, "bpf_cpumask_populate from \(what)")
                test.expect(try object.value(of: "bits", as: UInt64.self) & cpus, equals: bits, "bits from \(what)")
            }
            for (operation, size) in [(3, 4), (4, 0)] as [(Int32, Int)] {
                try object.set("operation", to: operation)
                test.expect(try object.run("populate").get(), equals: 1, "the program runs")
                test.expect(
                    try object.value(of: "answer"), equals: -Errno.EACCES.rawValue,
                    "EACCES for \(size) bytes, fewer than a mask has")
                test.expect(try object.value(of: "bits"), equals: former, "the mask is as it was")
            }
        }
    }
    for (section, program) in [("tracepoint", "in_tracepoint"), ("perf_event", "in_perf_event")] {
        Case(
            "K-052.cpumask.\(section)", "\(section) programs make a cpumask", spec: ["K-052"], since: "6.12",
            needs: needs
        ) { test in
            let object = try BPFObject(object, programs: [program])
            try runOnSwitch(test, object, program)
            test.expect(
                try object.value(of: "answer", as: Int32.self), equals: try object.value(of: "runs"),
                "masks made: one in each run")
        }
    }
    refusedCpumaskPrograms.map { $0.asCase(refusing, needs: needs) }
    rawTracepointCase("K-051.cpumask", "cpumasks", refusing, "create_in_raw_tp", "bpf_cpumask_create", needs)
    Case(
        "K-074.borrowed", "a mask that belongs to the kernel is not populated from 7.3 on", spec: ["K-074"],
        since: "6.15", needs: needs + [Features.cpumaskPopulate]
    ) { test in
        let program = "populate_borrowed"
        let types = try BTFTypes.kernel()
        let prototype = types.function("bpf_cpumask_populate").flatMap { types.prototype(of: $0) } ?? ""
        // Stable releases have it too: 7.2.12 is seen to.
        if KernelRelease.running >= .v7_3 || prototype.contains("(struct bpf_cpumask *") {
            test.expect(
                refusing, program: program,
                refused: Rejection(.EINVAL, "expected pointer to STRUCT bpf_cpumask", from: .v7_3))
        } else {
            // Taken for memory of that size: never run, it would change what the scheduler goes by.
            _ = try BPFObject(refusing, programs: [program])
        }
    }
}

/// tests-bpf/kfuncs/cpumask_fail.bpf.c, program by program.
private let refusedCpumaskPrograms: [Refused] = [
    Refused("K-068", "a cpumask that is made must be released", "leak", .leak),
    Refused("K-068.acquired", "an acquired cpumask must be released", "leak_acquired", .leak),
    Refused("K-068.exchanged", "what bpf_kptr_xchg takes out of a map must be released", "leak_exchanged", .leak),
    Refused(
        "K-069", "a cpumask is released once", "release_twice",
        // All of it is numbers: up to 6.12 the same bytes of memory would do, and are asked for.
        Rejection(.EACCES, "R1 type=scalar expected=fp").then(
            .v7_2, .EINVAL, "release kfunc bpf_cpumask_release expects referenced PTR_TO_BTF_ID passed to R1")),
    Refused("K-069.unchecked", "what bpf_cpumask_create returns may be NULL", "release_unchecked", .maybeNull),
    Refused(
        "K-070", "a mask that belongs to the kernel is not acquired", "acquire_borrowed",
        Rejection(.EINVAL, "must be referenced")),
    Refused(
        "K-071", "a mask that belongs to the kernel is not changed", "set_borrowed",
        Rejection(.EINVAL, "bpf_cpumask_set_cpu args#1 expected pointer to STRUCT bpf_cpumask").then(
            .v7_2, .EINVAL, "bpf_cpumask_set_cpu R2 expected pointer to STRUCT bpf_cpumask")),
    Refused(
        "K-072", "a kptr is no RCU pointer outside an RCU section", "set_outside_rcu",
        Rejection(.EINVAL, "R2 must be a rcu pointer")),
    Refused(
        "K-072.ended", "a kptr is no RCU pointer after its RCU section", "test_outside_rcu",
        Rejection(.EINVAL, "R2 must be a rcu pointer")),
    Refused(
        "K-072.unchecked", "a kptr read from a map may be NULL", "set_unchecked_kptr",
        Rejection(.EACCES, "Possibly NULL pointer passed to trusted arg1").then(
            .v7_2, .EACCES, "Possibly NULL pointer passed to trusted R2")),
    Refused(
        "K-074.number", "a number is no cpumask to populate", "populate_number", since: "6.15",
        needs: [Features.cpumaskPopulate], Rejection(.EACCES, "type=scalar expected=fp")),
    Refused(
        "K-074.source", "a number is no memory to populate from", "populate_from_number", since: "6.15",
        needs: [Features.cpumaskPopulate], Rejection(.EACCES, "leads to invalid memory access")),
    Refused(
        "K-074.length", "memory to populate from is as long as it is said to be", "populate_too_long", since: "6.15",
        needs: [Features.cpumaskPopulate],
        Rejection(.EACCES, "leads to invalid memory access").then(.v7_3, .EINVAL, "leads to invalid memory access")),
    Refused("K-052.cpumask.tc", "tc programs make no cpumask", "create_in_tc", .notAllowed("bpf_cpumask_create")),
]
