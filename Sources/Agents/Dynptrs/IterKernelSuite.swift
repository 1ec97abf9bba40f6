// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let object = "iters/kernel.bpf.o"

/// What a program of kernel.bpf.c saw, in its order.
struct Walk {
    var made: Errno?
    var first: [UInt64]
    var second: [UInt64]

    init(_ test: Test, _ object: BPFObject, _ program: String, flags: UInt32 = 0, stopAfter: UInt32 = 0) throws {
        try object.set("flags", to: flags)
        try object.set("stop_after", to: stopAfter)
        try object.reset()
        test.expect(try object.run(program).get(), equals: 1, "\(program) comes to its end")
        self = try Walk(test, object)
    }

    /// What the last run left.
    init(_ test: Test, _ object: BPFObject) throws {
        made = errno(try object.value(of: "made"))
        let count = Int(try object.value(of: "count", as: UInt32.self))
        try test.require(count <= 2048, "there is room for all that came: \(count)")
        first = try object.bytes(of: "first").numbers(count)
        second = try object.bytes(of: "second").numbers(count)
    }
}

extension BPFObject {
    /// Forgets what the last run left.
    func reset() throws {
        try set("made", to: Int64(-9999))
        try set("made2", to: Int64(-9999))
        try set("count", to: UInt32(0))
        try set("count2", to: UInt32(0))
        try set("after_end", to: UInt64(0))
    }
}

/// The numbers among the names in a directory, in rising order.
func numbers(in path: String) throws(Errno) -> [UInt64] {
    guard let directory = unsafe opendir(path) else { throw Errno.last }
    defer { unsafe closedir(directory) }
    var found: [UInt64] = []
    while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
            unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        if let number = UInt64(name) { found.append(number) }
    }
    return found.sorted()
}

/// The threads of all processes.
private func allThreads() throws(Errno) -> [UInt64] {
    var found: [UInt64] = []
    for pid in try numbers(in: "/proc") {
        do {
            found += try numbers(in: "/proc/\(pid)/task")
        } catch {
            // It has ended in between: whoever compares looks again.
            if error != .noSuchFileOrDirectory, error != .noSuchProcess { throw error }
        }
    }
    return found.sorted()
}

/// Threads that wait until the case's process ends.
private func startThreads(_ count: Int) throws(Errno) {
    for _ in 0..<count {
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, nil,
            { _ in
                while true { pause() }
            }, nil)
        if result != 0 { throw Errno(rawValue: result) }
    }
}

/// What a program saw while nothing came or went: seen the same before and after.
private func steadily(
    _ test: Test, _ truth: () throws -> [UInt64], _ walk: () throws -> Walk
) throws -> (seen: Walk, truth: [UInt64]) {
    for _ in 0..<50 {
        let before = try truth()
        let seen = try walk()
        if try truth() == before { return (seen, before) }
    }
    throw test.abort("processes come and go all the time: 50 looks at /proc were never the same twice in a row")
}

/// I-014 to I-027: loops over the kernel's objects.
public let iterKernelSuite = Suite(
    "iter.kernel", "loops over tasks, cgroups, mappings, bits and other objects of the kernel", objects: [object]
) {
    Case("I-014", "a loop over all processes has each once, in the order of their start", needs: [Features.iterTask]) {
        test in
        let object = try BPFObject(object, programs: ["tasks", "tasks_beyond"])
        try startThreads(3)
        let children = try (0..<3).map { _ in
            try Worker { stop in
                try stop.wait()
                return ""
            }
        }
        let (seen, truth) = try steadily(test, { try numbers(in: "/proc") }, { try Walk(test, object, "tasks") })
        test.expect(seen.made, nil, "bpf_iter_task_new")
        test.expect(seen.first.first, equals: 0, "the first: the idle task, which /proc does not show")
        test.expect(seen.first.dropFirst().sorted(), equals: truth, "the others: what /proc shows")
        test.expect(seen.first, equals: seen.second, "each is the leader of its process")
        let own = children.map { UInt64($0.pid) }
        test.expect(seen.first.filter(own.contains), equals: own, "the children in the order of their start")
        let three = try Walk(test, object, "tasks", stopAfter: 3)
        test.expect(three.first, equals: Array(seen.first.prefix(3)), "a loop left after three")
        _ = try Walk(test, object, "tasks_beyond")
        test.expect(try object.value(of: "after_end", as: UInt64.self), equals: 0, "NULL after the end")
        for child in children { _ = try child.finish() }
    }
    Case(
        "I-014.threads", "a loop over all threads has each once, those of a process together", spec: ["I-014"],
        needs: [Features.iterTask]
    ) { test in
        let object = try BPFObject(object, programs: ["tasks", "tasks_beyond", "tasks_nested"])
        try startThreads(4)
        let (seen, truth) = try steadily(test, allThreads, { try Walk(test, object, "tasks", flags: 1) })
        test.expect(seen.made, nil, "bpf_iter_task_new with flags 1")
        test.expect(seen.first.first, equals: 0, "the first: the idle task")
        // The idle tasks of the other processors have the number 0 too.
        test.expect(seen.first.filter { $0 != 0 }.sorted(), equals: truth, "the others: what /proc shows")
        let own = zip(seen.first, seen.second).filter { $0.1 == UInt64(getpid()) }.map(\.0)
        test.expect(own, equals: try numbers(in: "/proc/self/task"), "this process's five threads, the oldest first")
        test.expect(own.count, equals: 5, "how many they are")
        try test.require(!own.isEmpty, "this process's threads are among them")
        let place = seen.first.firstIndex(of: own[0]) ?? 0
        test.expect(Array(seen.first[place...].prefix(5)), equals: own, "they come one behind the other")
        let (again, now) = try steadily(test, allThreads, { try Walk(test, object, "tasks_nested") })
        test.expect(again.first.filter { $0 != 0 }.sorted(), equals: now, "the same by loops in a loop")
        _ = try Walk(test, object, "tasks_beyond", flags: 1)
        test.expect(try object.value(of: "after_end", as: UInt64.self), equals: 0, "NULL after the end")
    }
    Case(
        "I-014.process", "a loop over a process's threads has them all, and no others", spec: ["I-014", "I-015"],
        needs: [Features.iterTask]
    ) { test in
        let object = try BPFObject(object, programs: ["tasks_of"])
        let children = try (0..<2).map { _ in
            try Worker { stop in
                try stop.wait()
                return ""
            }
        }
        try object.set("pid_wanted", to: UInt32(getpid()))
        for count in 1...4 {
            let seen = try Walk(test, object, "tasks_of", flags: 2)
            test.expect(seen.made, nil, "bpf_iter_task_new with flags 2")
            test.expect(seen.first, equals: try numbers(in: "/proc/self/task"), "the threads of this process")
            test.expect(seen.first.count, equals: count, "how many they are")
            try startThreads(1)
        }
        let two = try Walk(test, object, "tasks_of", flags: 2, stopAfter: 2)
        test.expect(two.first.count, equals: 2, "threads of a loop left after two")
        try object.set("pid_wanted", to: UInt32(children[1].pid))
        test.expect(
            try Walk(test, object, "tasks_of", flags: 2).first, equals: [UInt64(children[1].pid)],
            "the only thread of a child")
        // With a task given the other kinds still start at the first of all.
        test.expect(try Walk(test, object, "tasks_of").first.first, equals: 0, "the first of all processes")
        for child in children { _ = try child.finish() }
    }
    Case(
        "I-015", "a loop over a process's threads needs a process; other flags are EINVAL", needs: [Features.iterTask]
    ) { test in
        let object = try BPFObject(object, programs: ["tasks", "tasks_of"])
        try object.set("pid_wanted", to: UInt32(getpid()))
        for (program, flags) in [
            ("tasks", 2), ("tasks", 3), ("tasks", 99), ("tasks", .max), ("tasks_of", 3), ("tasks_of", 4),
            ("tasks_of", 1 << 31),
        ] as [(String, UInt32)] {
            let seen = try Walk(test, object, program, flags: flags)
            test.expect(seen.made, .EINVAL, "bpf_iter_task_new with flags \(flags), \(program)")
            test.expect(seen.first, equals: [], "tasks after that")
        }
    }
    cgroupIterCases
    mappingIterCases
    bitsIterCases
    cacheIterCases
}
