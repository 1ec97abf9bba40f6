// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let object = "iters/kernel.bpf.o"
private let cssNeeds = [Features.iterCSS, Features.cgroupFromID, .cgroup2]
private let taskNeeds = [Features.iterCSSTask, Features.cgroupFromID, .cgroup2]

/// Cgroups: a, a/b, a/b/c, a/b/d, a/e, in the order of their making.
private struct Tree {
    let a: Cgroup, b: Cgroup, c: Cgroup, d: Cgroup, e: Cgroup

    init(_ test: Test) throws {
        a = try Cgroup(test, "a")
        b = try a.child("b")
        c = try b.child("c")
        e = try a.child("e")
        d = try b.child("d")
    }
}

/// I-017 to I-020.
@CaseBuilder var cgroupIterCases: [Case] {
    Case("I-017", "a loop over cgroups goes down or up a tree in the order asked for", needs: cssNeeds) { test in
        let tree = try Tree(test)
        let object = try BPFObject(object, programs: ["cgroups"])
        let order = { (start: Cgroup, flags: UInt32, stopAfter: UInt32) throws in
            try object.set("id_wanted", to: try start.id)
            let seen = try Walk(test, object, "cgroups", flags: flags, stopAfter: stopAfter)
            test.expect(seen.made, nil, "bpf_iter_css_new with flags \(flags)")
            return seen.first
        }
        func expect(
            _ start: Cgroup, _ flags: UInt32, _ expected: [Cgroup], _ what: String, stopAfter: UInt32 = 0,
            line: Int = #line
        ) throws {
            test.expect(
                try order(start, flags, stopAfter), equals: try expected.map { try $0.id }, what, line: line)
        }
        let (a, b, c, d, e) = (tree.a, tree.b, tree.c, tree.d, tree.e)
        try expect(a, 2, [a, b, c, d, e], "each before those below it")
        try expect(a, 3, [c, d, b, e, a], "each after those below it")
        try expect(b, 2, [b, c, d], "from a cgroup in the middle: nothing beside it")
        try expect(b, 3, [c, d, b], "the same, those below first")
        try expect(c, 4, [c, b, a, .root], "up to the root")
        try expect(e, 4, [e, a, .root], "up to the root, another way")
        try expect(c, 2, [c], "a cgroup with none below")
        try expect(c, 3, [c], "the same, those below first")
        try expect(.root, 4, [.root], "up from the root")
        for count: UInt32 in [1, 3] {
            test.expect(
                try order(a, 3, count), equals: try [c, d, b].prefix(Int(count)).map { try $0.id },
                "a loop left after \(count)")
        }
        // What is gone is seen until the last reference to it is: no loop must have kept one.
        test.expect(d.remove(), nil, "rmdir of a/b/d")
        let left = try [a, b, c, e].map { try $0.id }
        for _ in 0..<200 where try order(a, 2, 0) != left { GracePeriods.pass() }
        try expect(a, 2, [a, b, c, e], "after a/b/d is gone")
        try expect(a, 3, [c, b, e, a], "the same, those below first")
    }
    Case("I-018", "other orders are EINVAL, and no cgroup comes", needs: cssNeeds) { test in
        let a = try Cgroup(test)
        let object = try BPFObject(object, programs: ["cgroups"])
        try object.set("id_wanted", to: try a.id)
        for flags: UInt32 in [0, 1, 99, .max, 1 << 31] {
            let seen = try Walk(test, object, "cgroups", flags: flags)
            test.expect(seen.made, .EINVAL, "bpf_iter_css_new with flags \(flags)")
            test.expect(seen.first, equals: [], "cgroups after that")
        }
    }
    Case("I-020", "a loop over a cgroup's processes has those that are in it", needs: taskNeeds) { test in
        let tree = try Tree(test)
        let object = try BPFObject(object, programs: ["cgroup_tasks"])
        let children = try (0..<4).map { _ in
            try Worker { stop in
                try stop.wait()
                return ""
            }
        }
        for child in children[..<3] { try tree.b.join(child.pid) }
        try tree.c.join(children[3].pid)
        for (cgroup, pids) in [
            (tree.b, children[..<3].map(\.pid)), (tree.c, [children[3].pid]), (tree.a, []), (tree.d, []),
        ] {
            for flags: UInt32 in [0, 1, 3] {
                try object.set("id_wanted", to: try cgroup.id)
                let seen = try Walk(test, object, "cgroup_tasks", flags: flags)
                let what = "\(pids.count) processes in \(cgroup.path), flags \(flags)"
                test.expect(seen.made, nil, "bpf_iter_css_task_new: \(what)")
                test.expect(seen.first.sorted(), equals: pids.map(UInt64.init).sorted(), what)
            }
        }
        try object.set("id_wanted", to: try tree.b.id)
        test.expect(
            try Walk(test, object, "cgroup_tasks", flags: 1, stopAfter: 2).first.count, equals: 2,
            "a loop left after two")
        for flags: UInt32 in [2, 4, 5, 99, 1 << 16] {
            let seen = try Walk(test, object, "cgroup_tasks", flags: flags)
            test.expect(seen.made, .EINVAL, "bpf_iter_css_task_new with flags \(flags)")
            test.expect(seen.first, equals: [], "tasks after that")
        }
        for child in children { _ = try child.finish() }
        try tree.b.waitUntilEmpty()
        test.expect(try Walk(test, object, "cgroup_tasks", flags: 1).first, equals: [], "after they have ended")
    }
    Case(
        "I-020.threads", "a loop over a cgroup's tasks has all threads, or the leaders alone", spec: ["I-020"],
        needs: taskNeeds
    ) { test in
        let cgroup = try Cgroup(test)
        let object = try BPFObject(object, programs: ["cgroup_tasks"])
        let ready = try Descriptors.pipe()
        let (reading, writing) = (FileHandle(ready.first), FileHandle(ready.second))
        let child = try Worker { stop in
            for _ in 0..<3 {
                var thread = pthread_t()
                _ = unsafe pthread_create(
                    &thread, nil,
                    { _ in
                        while true { pause() }
                    }, nil)
            }
            try writing.writeAll([1])
            try stop.wait()
            return ""
        }
        var byte: [UInt8] = [0]
        test.expect(try reading.read(into: &byte), equals: 1, "the child has its threads")
        try cgroup.join(child.pid)
        try object.set("id_wanted", to: try cgroup.id)
        test.expect(
            try Walk(test, object, "cgroup_tasks", flags: 0).first.sorted(),
            equals: try numbers(in: "/proc/\(child.pid)/task"), "flags 0: the child's four threads")
        for flags: UInt32 in [1, 3] {
            test.expect(
                try Walk(test, object, "cgroup_tasks", flags: flags).first, equals: [UInt64(child.pid)],
                "flags \(flags): the child's leader")
        }
        _ = try child.finish()
    }
    Case(
        "I-020.lsm", "LSM programs that do not sleep may go over a cgroup's tasks", spec: ["I-020", "I-019"],
        needs: taskNeeds + [.bpfLSM]
    ) { test in
        let cgroup = try Cgroup(test)
        let object = try BPFObject(object, programs: ["cgroup_tasks_in_lsm"])
        let children = try (0..<3).map { _ in
            try Worker { stop in
                try stop.wait()
                return ""
            }
        }
        for child in children { try cgroup.join(child.pid) }
        try object.set("id_wanted", to: try cgroup.id)
        try object.set("pid_wanted", to: UInt32(getpid()))
        try object.set("flags", to: UInt32(1))
        let attached = try object.attach("cgroup_tasks_in_lsm")
        try object.reset()
        do { _ = try Descriptors.open("/dev/null", O_RDONLY) }
        attached.detach()
        let seen = try Walk(test, object)
        test.expect(seen.made, nil, "bpf_iter_css_task_new")
        test.expect(seen.first.sorted(), equals: children.map { UInt64($0.pid) }.sorted(), "the three processes")
        for child in children { _ = try child.finish() }
    }
}
