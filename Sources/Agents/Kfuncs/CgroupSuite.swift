// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let cgroupAcquire = Feature.kfunc("bpf_cgroup_acquire", since: "6.2", config: ["CONFIG_CGROUPS"])
    static let cgroupFromID = Feature.kfunc("bpf_cgroup_from_id", since: "6.4", config: ["CONFIG_CGROUPS"])
    static let taskUnderCgroup = Feature.kfunc("bpf_task_under_cgroup", since: "6.5", config: ["CONFIG_CGROUPS"])
    static let taskGetCgroup1 = Feature.kfunc("bpf_task_get_cgroup1", since: "6.8", config: ["CONFIG_CGROUPS"])
}

private let object = "kfuncs/cgroup.bpf.o"
private let refusing = "kfuncs/cgroup_fail.bpf.o"
private let needs = [Features.cgroupAcquire, Features.cgroupFromID, Feature.cgroup2]

/// K-060 to K-067 of docs/semantics/kfuncs.md.
public let cgroupSuite = Suite(
    "kfuncs.cgroup", "kfuncs that find, acquire and release cgroups", isolation: .mount, objects: [object, refusing]
) {
    Case("K-060", "a new cgroup is acquired and released in tp_btf/cgroup_mkdir", since: "6.12", needs: needs) { test in
        let parent = try Cgroup(test)
        let object = try BPFObject(object, programs: ["made"])
        try object.set("pid_wanted", to: getpid())
        let attached = try object.attach("made")
        let cgroup = try withExtendedLifetime(attached) { try parent.child("made") }
        test.expect(try object.value(of: "runs", as: Int32.self), equals: 1, "runs of the program for one mkdir")
        test.expect(try object.value(of: "found", as: Int32.self), equals: 1, "cgroups acquired")
        test.expect(try object.value(of: "found_id"), equals: try cgroup.id, "id of the cgroup acquired")
        test.expect(try object.value(of: "found_level", as: Int32.self), equals: 2, "its level")
        // What was acquired has been released: nothing holds the cgroup when it is removed.
        test.expect(cgroup.remove(), nil, "the cgroup is removed")
        try test.eventually("no cgroup that is removed is held") { try parent.dying() == 0 }
    }
    for (section, program) in [
        ("syscall", "from_id"), ("tc", "from_id_in_tc"), ("xdp", "from_id_in_xdp"),
        ("cgroup_skb", "from_id_in_cgroup_skb"),
    ] {
        Case(
            "K-052.cgroup.\(section)", "\(section) programs find a cgroup by its id", spec: ["K-052"], since: "6.12",
            needs: needs
        ) { test in
            let cgroup = try Cgroup(test)
            let object = try BPFObject(object, programs: [program])
            try object.set("id_wanted", to: try cgroup.id)
            let packet = section == "syscall" ? [] : [UInt8](repeating: 0, count: 64)
            _ = try object.run(program, data: packet).get()
            test.expect(try object.value(of: "found", as: Int32.self), equals: 1, "1 for found")
            test.expect(try object.value(of: "found_id"), equals: try cgroup.id, "id of the cgroup found")
        }
    }
    for (section, program) in [
        ("tracepoint", "from_id_in_tracepoint"), ("perf_event", "from_id_in_perf_event"),
    ] {
        Case(
            "K-052.cgroup.\(section)", "\(section) programs find a cgroup by its id", spec: ["K-052"], since: "6.12",
            needs: needs
        ) { test in
            let cgroup = try Cgroup(test)
            let object = try BPFObject(object, programs: [program])
            try object.set("id_wanted", to: try cgroup.id)
            try runOnSwitch(test, object, program)
            test.expect(try object.value(of: "found", as: Int32.self), equals: 1, "1 for found")
            test.expect(try object.value(of: "found_id"), equals: try cgroup.id, "id of the cgroup found")
        }
    }
    Case("K-063", "bpf_cgroup_ancestor finds the one of each level, and none outside", since: "6.12", needs: needs) {
        test in
        let tree = try CgroupTree(test)
        let object = try BPFObject(object, programs: ["ancestor"])
        for (place, cgroup) in tree.path.enumerated() {
            try object.set("id_wanted", to: try cgroup.id)
            for level in 0...place {
                try object.set("level_wanted", to: Int32(level))
                test.expect(try object.run("ancestor").get(), equals: 1, "1: an ancestor of level \(level) of \(place)")
                test.expect(
                    try object.value(of: "found_id"), equals: try tree.path[level].id, "id of the one of level \(level)"
                )
                test.expect(try object.value(of: "found_level"), equals: Int32(level), "level that is found")
            }
            for level in [-1, Int32(place + 1), Int32(place + 2), Int32.max, Int32.min] {
                try object.set("level_wanted", to: level)
                test.expect(try object.run("ancestor").get(), equals: 0, "0 for level \(level) of \(place): NULL")
            }
        }
    }
    Case(
        "K-064", "bpf_cgroup_from_id finds cgroups outside the caller's cgroup namespace", since: "6.12", needs: needs
    ) { test in
        let inside = try Cgroup(test, "inside")
        let outside = try Cgroup(test, "outside")
        let object = try BPFObject(object, programs: ["from_id"])
        try inside.join()
        try test.require(success: Namespaces.unshare(.cgroup), "a cgroup namespace is made")
        let view = String(decoding: try readFile("/proc/self/cgroup"), as: UTF8.self)
        test.expect(view.contains("0::/\n"), "the own cgroup is the namespace's root: \(view)")
        for (cgroup, level) in [(inside, 1), (outside, 1), (Cgroup.root, 0)] as [(Cgroup, Int32)] {
            try object.set("id_wanted", to: try cgroup.id)
            test.expect(try object.run("from_id").get(), equals: 1, "1: \(cgroup.path) is found")
            test.expect(try object.value(of: "found_id"), equals: try cgroup.id, "its id")
            test.expect(try object.value(of: "found_level"), equals: level, "its level in the whole hierarchy")
        }
        try Cgroup.root.join()
    }
    Case(
        "K-065", "bpf_cgroup_from_id finds nothing for 0, an id never given and a removed cgroup", since: "6.12",
        needs: needs
    ) {
        test in
        let cgroup = try Cgroup(test)
        let child = try cgroup.child("child")
        let gone = try child.id
        let object = try BPFObject(object, programs: ["from_id"])
        let find = { (id: UInt64) in
            try object.set("id_wanted", to: id)
            return try object.run("from_id").get()
        }
        test.expect(try find(gone), equals: 1, "1: the cgroup is found while it is there")
        test.expect(child.remove(), nil, "it is removed")
        test.expect(try find(gone), equals: 0, "0 for the removed cgroup: NULL")
        for id in [0, UInt64.max, gone + (1 << 40)] {
            test.expect(try find(id), equals: 0, "0 for id \(id): NULL")
        }
        // The id of a file of cgroupfs is not a cgroup's.
        var status = stat()
        _ = try Errno.check(unsafe stat(cgroup.path + "/cgroup.procs", &status))
        test.expect(try find(UInt64(status.st_ino)), equals: 0, "0 for the id of a file: NULL")
        test.expect(try find(try cgroup.id), equals: 1, "1: the parent is found")
    }
    Case(
        "K-066", "bpf_task_under_cgroup knows a task's cgroup and those above it", since: "6.12",
        needs: needs + [Features.taskUnderCgroup]
    ) {
        test in
        let tree = try CgroupTree(test)
        let sibling = try tree.path[1].child("sibling")
        let object = try BPFObject(object, programs: ["task_under", "own"])
        let under = { (cgroup: Cgroup) in
            try object.set("id_wanted", to: try cgroup.id)
            test.expect(try object.run("task_under").get(), equals: 1, "1: task and cgroup are there")
            return try object.value(of: "answer", as: Int64.self)
        }
        try object.set("pid_wanted", to: getpid())
        try tree.path[2].join()
        for (level, expected) in [(0, 1), (1, 1), (2, 1), (3, 0)] as [(Int, Int64)] {
            test.expect(try under(tree.path[level]), equals: expected, "task of level 2 under level \(level)")
        }
        test.expect(try under(sibling), equals: 0, "task under the cgroup beside its own")
        test.expect(try object.run("own").get(), equals: 1, "1: the own cgroup is acquired by way of RCU")
        test.expect(try object.value(of: "found_id"), equals: try tree.path[2].id, "id of the own cgroup")
        // Asked of a task that is not the caller.
        let child = try Worker { stop in
            try stop.wait()
            return ""
        }
        try object.set("pid_wanted", to: child.pid)
        try sibling.join(child.pid)
        test.expect(try under(sibling), equals: 1, "the child under the cgroup that it was moved to")
        test.expect(try under(tree.path[2]), equals: 0, "the child under the caller's cgroup")
        test.expect(try under(tree.path[1]), equals: 1, "the child under what is above both")
        _ = try child.finish()
        try Cgroup.root.join()
    }
    Case(
        "K-066.version_1", "bpf_task_get_cgroup1 finds a task's cgroup of a hierarchy of version 1", spec: ["K-066"],
        since: "6.12", needs: needs + [Features.taskGetCgroup1, Feature.cgroup1]
    ) { test in
        let hierarchy = try Cgroup1Hierarchy(test)
        let object = try BPFObject(object, programs: ["of_version_1"])
        try object.set("hierarchy_wanted", to: hierarchy.number)
        try hierarchy.join("inside")
        test.expect(try object.run("of_version_1").get(), equals: 1, "1: a cgroup is found")
        test.expect(try object.value(of: "found_id"), equals: try hierarchy.id("inside"), "its id")
        try hierarchy.join("")
        test.expect(try object.run("of_version_1").get(), equals: 1, "1: a cgroup is found")
        test.expect(try object.value(of: "found_id"), equals: try hierarchy.id(""), "id of the root")
        for number in [Int32.max, -1] {
            try object.set("hierarchy_wanted", to: number)
            test.expect(try object.run("of_version_1").get(), equals: 0, "0 for hierarchy \(number): NULL")
        }
    }
    Case(
        "K-067", "a cgroup kept in a map is removed, and can be read until it is released", since: "6.12", needs: needs
    ) {
        test in
        let parent = try Cgroup(test)
        let kept = try parent.child("kept")
        let id = try kept.id
        let object = try BPFObject(object, programs: ["keep", "read_kept", "drop", "from_id", "ancestor"])
        try object.set("id_wanted", to: id)
        try object.set("level_wanted", to: Int32(1))
        test.expect(try object.run("keep").get(), equals: 1, "a reference goes into a map")
        test.expect(kept.remove(), nil, "rmdir of the cgroup")
        test.expect(try parent.value("nr_descendants", in: "cgroup.stat"), equals: 0, "cgroups below the parent")
        test.expect(try object.run("from_id").get(), equals: 0, "0: it is not found any more")
        // One that nobody holds goes all the way in the meantime.
        let other = try parent.child("other")
        test.expect(other.remove(), nil, "rmdir of another cgroup")
        try test.eventually("only the one that is kept is left") { try parent.dying() == 1 }
        test.expect(try object.run("read_kept").get(), equals: 1, "1: the map still has it")
        test.expect(try object.value(of: "found_id"), equals: id, "id read from it")
        test.expect(try object.value(of: "found_level", as: Int32.self), equals: 2, "level read from it")
        test.expect(try object.value(of: "found", as: Int32.self), equals: 1, "1: acquired once more")
        test.expect(try object.run("drop").get(), equals: 1, "the reference is taken out and released")
        test.expect(try object.run("read_kept").get(), equals: 0, "0: the map is empty")
        try test.eventually("the cgroup is gone with its last reference") { try parent.dying() == 0 }
    }
    Case(
        "K-067.count", "10000 references acquired in each way and released hold nothing", spec: ["K-067"],
        since: "6.12", needs: needs + [Features.iterNum]
    ) { test in
        let parent = try Cgroup(test)
        let cgroup = try parent.child("below")
        let object = try BPFObject(object, programs: ["churn"])
        try object.set("id_wanted", to: try cgroup.id)
        try object.set("repeat", to: Int32(10_000))
        for level in [1, 2] as [Int32] {
            try object.set("runs", to: Int32(0))
            try object.set("level_wanted", to: level)
            test.expect(try object.run("churn").get(), equals: 1, "the loop runs")
            test.expect(try object.value(of: "runs"), equals: Int32(30_000), "references acquired and released")
        }
        // A reference lost would have the kernel complain here, one left over would keep it for ever.
        test.expect(cgroup.remove(), nil, "rmdir of the cgroup")
        try test.eventually("the cgroup is gone") { try parent.dying() == 0 }
    }
    Case(
        "K-118.cgroup", "a cgroup kept in a map is released with the map", spec: ["K-118"], since: "6.12", needs: needs
    ) { test in
        let parent = try Cgroup(test)
        let kept = try parent.child("kept")
        let id = try kept.id
        var object: BPFObject? = try BPFObject(object, programs: ["keep"])
        try object?.set("id_wanted", to: id)
        test.expect(try object?.run("keep").get(), equals: 1, "a reference goes into a map")
        var map: FileHandle? = try duplicate(try object?.map("cgroups") ?? -1)
        test.expect(kept.remove(), nil, "rmdir of the cgroup")
        object = nil
        let other = try parent.child("other")
        test.expect(other.remove(), nil, "rmdir of another cgroup")
        try test.eventually("only the one that is kept is left") { try parent.dying() == 1 }
        map?.close()
        map = nil
        try test.eventually("the cgroup is gone with the map") { try parent.dying() == 0 }
    }
    refusedCgroupPrograms.map { $0.asCase(refusing, needs: needs) }
    rawTracepointCase("K-051.cgroup", "cgroups", refusing, "from_id_in_raw_tp", "bpf_cgroup_from_id", needs)
}

extension Cgroup {
    /// How many cgroups below are removed and still referred to.
    func dying() throws(Errno) -> Int {
        try value("nr_dying_descendants", in: "cgroup.stat") ?? -1
    }
}

/// A cgroup in a cgroup in a cgroup.
struct CgroupTree {
    /// By level, from the root of the hierarchy on.
    let path: [Cgroup]

    init(_ test: Test) throws {
        let top = try Cgroup(test)
        let middle = try top.child("middle")
        path = [.root, top, middle, try middle.child("bottom")]
    }
}
