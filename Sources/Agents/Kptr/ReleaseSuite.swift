// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let needs = [Features.fields, Features.objects]
private let taskNeeds = [Features.tags, Features.tasks]

/// P-029 to P-033 and P-071 of docs/semantics/kptr.md: when what a field holds is released, seen by the count of
/// references.
public let releaseSuite = Suite(
    "kptr.release", "when the references that map values hold are released", isolation: .mount,
    objects: [Era.object("fields"), Era.object("count")]
) {
    for (how, title) in [("user", "user space"), ("program", "a program")] {
        Case(
            "P-029.\(how)",
            "\(title) overwrites an array element: its reference is released (up to 6.18), or stays (7.2)",
            spec: ["P-029"], since: "5.19", needs: needs
        ) { test in
            try overwrite(test, byProgram: how == "program")
        }
    }
    Case(
        "P-029.percpu",
        "user space overwrites a per-cpu array element: its references are released (up to 6.18), or stay (7.2)",
        spec: ["P-029"], since: "5.19", needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs(Era.object("fields"), ["put_percpu_array", "take_percpu_array"])
        test.expect(try programs.run("put_percpu_array", key: 1), equals: 1, "1: a reference in the field")
        let value = garbage(77, times: try Processors.possible)
        test.expect(try programs.map("percpu_array").update(Int32(1).bytes, to: value), nil, "an element overwritten")
        switch Era.leaving {
        case .released: try references.expect(0, "after the update")
        case .kept: try references.expect(1, "after the update: it stays in place")
        case .unknown: break
        }
        let kept = try references.kept
        test.expect(
            try programs.run("take_percpu_array"), equals: UInt32(kept), "what the field holds: never the user's bytes")
        try references.expect(0, "at the end")
    }
    for action in HashAction.allCases {
        for map in ["hash", "hash_no_prealloc", "lru_hash"] where action.isFor(map) {
            Case("P-030.\(map).\(action.rawValue)", action.title(map), spec: ["P-030"], since: "5.19", needs: needs) {
                test in
                try leave(test, map, action)
            }
        }
        for map in ["percpu_hash", "percpu_hash_no_prealloc"] where action == .deleted || action == .emptied {
            Case("P-030.\(map).\(action.rawValue)", action.title(map), spec: ["P-030"], since: "6.4", needs: taskNeeds)
            {
                test in
                try leave(test, map, action)
            }
        }
    }
    Case(
        "P-030.cgroup", "a cgroup kept by a hash element dies with the element (up to 6.18), or later (7.2)",
        spec: ["P-030"], since: "6.4", needs: taskNeeds + [Features.cgroups, .cgroup2]
    ) { test in
        for map in ["hash", "hash_no_prealloc"] {
            try keepCgroup(test, map)
        }
    }
    Case(
        "P-030.cpumask",
        "a mask of processors that two elements keep loses one user with one of them (up to 6.18), or not yet (7.2)",
        spec: ["P-030"], since: "6.4", needs: taskNeeds + [Features.cpumasks]
    ) { test in
        let programs = try Programs("kptr/cgroup.bpf.o", ["put_mask_twice", "usage_of_mask"])
        let map = try programs.map("hash_no_prealloc")
        for key in [Int32(0), 1] {
            test.expect(map.update(key.bytes, to: [UInt8](repeating: 0, count: 24)), nil, "element \(key)")
        }
        let before = try programs.value("usage")
        test.expect(before, equals: 0, "nothing is counted yet")
        test.expect(try programs.call("put_mask_twice"), equals: 1, "1: a mask in two elements")
        test.expect(try programs.value("usage"), equals: 2, "users: both elements")
        test.expect(map.delete(Int32(0).bytes), nil, "one element is deleted")
        let users = { try programs.call("usage_of_mask") == 1 ? programs.value("usage") : -1 }
        switch Era.leaving {
        case .released:
            test.expect(try Later.wait { try users() == 1 }, "the mask loses a user with the element")
            test.expect(try users(), equals: 1, "users: the other element")
        case .kept:
            GracePeriods.pass()
            test.expect(try users(), equals: 2, "users: the other element, and memory for the next one")
        case .unknown: break
        }
    }
    Case(
        "P-030.evicted",
        "what an LRU hash evicts loses its reference (up to 6.18), or keeps it till the map's end (7.2)",
        spec: ["P-030"], since: "5.19", needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs(Era.object("fields"), ["put_lru_hash"])
        let map = try programs.map("lru_hash")
        for key in Int32(0)..<200 {
            test.expect(map.update(key.bytes, to: [UInt8](repeating: 0, count: 24)), nil, "element \(key) is made")
            let answer = try programs.run("put_lru_hash", key: key)
            // In a recycled element there may be what the last one left behind.
            let isAllowed = answer == 1 || Era.leaving != .released && answer == 2
            try test.require(isAllowed, "\(answer): a reference goes into element \(key)")
        }
        let elements = Int32(try count(map))
        test.expect(elements > 0 && elements < 200, "elements were evicted: \(elements) are left")
        if Era.leaving == .released {
            try references.expect(elements, "one in each element that is left")
        } else {
            test.expect(try references.kept >= elements, "one in each element that is left, at least")
        }
        programs.close()
        try references.expectAtLast(0, "after the map is gone")
    }
    Case(
        "P-031", "a recycled element of a preallocated hash is empty (up to 6.18), or has what was left in it (7.2)",
        since: "5.19", needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs(Era.object("fields"), ["put_hash_one", "take_hash_one", "look_hash_one"])
        let map = try programs.map("hash_one")
        let value = garbage(5)
        var found = 0
        for key in Int32(0)..<8 {
            test.expect(map.update(key.bytes, to: value), nil, "element \(key) is made")
            let there = try programs.run("look_hash_one", key: key)
            if Era.leaving == .released { test.expect(there, equals: 0, "0: a new element is empty") }
            if there == 1 {
                found += 1
                test.expect(try programs.run("take_hash_one"), equals: 1, "1: what was left behind is taken out")
                test.expect(
                    try programs.value("found"), equals: Era.isOld ? 42 : getpid(),
                    "what is found is what was left behind, not the user's bytes")
            }
            test.expect(try programs.run("put_hash_one"), equals: 1, "1: a reference goes into the element")
            test.expect(map.delete(key.bytes), nil, "element \(key) is deleted")
        }
        test.log("found in a recycled element: \(found) of 7")
        let kept = try references.kept
        switch Era.leaving {
        case .released: test.expect(kept, equals: 0, "references kept: every one was released with its element")
        case .kept: test.expect(kept, equals: Int32(8 - found), "references kept: those put in, without those found")
        case .unknown: break
        }
        programs.close()
        try references.expectAtLast(0, "after the map is gone")
    }
    for map in ["array", "hash", "hash_no_prealloc"] {
        Case(
            "P-032.\(map)", "1000 references are released with a \(map) that is freed", spec: ["P-032"], since: "5.19",
            needs: needs
        ) { test in
            let references = try References(test)
            let programs = try Programs(Era.object("fields"), ["put_\(map)"])
            let opened = try programs.map(map)
            for key in Int32(0)..<1000 {
                if map != "array" {
                    try test.require(
                        success: opened.update(key.bytes, to: [UInt8](repeating: 0, count: 24)), "element \(key)")
                }
                try test.require(try programs.run("put_\(map)", key: key) == 1, "1: a reference in element \(key)")
            }
            try references.expect(1000, "in the map")
            programs.close()
            try references.expectAtLast(0, "after the map is gone")
        }
    }
    Case(
        "P-032.held", "references stay as long as somebody has the map open", spec: ["P-032"], since: "5.19",
        needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs(Era.object("fields"), ["put_array"])
        test.expect(try programs.run("put_array", key: 9), equals: 1, "1: a reference in the field")
        let opened = try BPFMap.byID(try programs.map("array").info().get().id).get()
        programs.close()
        GracePeriods.pass()
        try references.expect(1, "in a map that has a descriptor, and no program")
        opened.close()
        try references.expectAtLast(0, "after the last descriptor is closed")
    }
    for by in ["exit", "deletion", "map"] {
        Case(
            "P-033.\(by)", "what the storage of a task keeps is released at the \(by == "map" ? "map's end" : by)",
            spec: ["P-033"], since: "6.4", needs: taskNeeds
        ) { test in
            let references = try References(test)
            let programs = try Programs("kptr/storage.bpf.o", ["put_task_storage", "delete_task_storage"])
            let child = try Worker { stop in
                let answer = try programs.call("put_task_storage")
                if by == "deletion" { return "\(answer) \(try programs.call("delete_task_storage"))" }
                if by == "exit" { return "\(answer) \(try references.kept)" }
                try stop.wait()
                return "\(answer)"
            }
            switch by {
            case "exit": test.expect(try child.finish(), equals: "1 1", "1: into an empty field; references kept")
            case "deletion": test.expect(try child.finish(), equals: "1 0", "1: into an empty field; 0: deleted")
            default:
                // The child lives on.
                let isThere = try Later.wait { try references.kept == 1 }
                test.expect(isThere, "the child's storage has a reference")
                programs.close()
            }
            if by == "map" {
                // The child's copy of the descriptors keeps the map.
                try references.expect(1, "while the child has the map open")
                test.expect(try child.finish(), equals: "1", "1: into an empty field")
            }
            try references.expectAtLast(0, "after the storage is gone")
        }
    }
    Case(
        "P-033.socket", "what the storage of a socket keeps is released with the socket", spec: ["P-033"], since: "6.4",
        needs: taskNeeds
    ) { test in
        let references = try References(test)
        let programs = try Programs("kptr/storage.bpf.o", ["put_socket_storage"])
        for _ in 0..<10 {
            test.expect(try programs.run("put_socket_storage"), equals: 1, "1: into the storage of a new socket")
        }
        try references.expectAtLast(0, "after the sockets are gone, the map is not")
        programs.close()
    }
    Case(
        "P-033.cgroup", "what the storage of a cgroup keeps is released with the cgroup", spec: ["P-033"], since: "6.4",
        needs: taskNeeds + [Features.cgroups, .cgroup2]
    ) { test in
        let references = try References(test)
        let programs = try Programs("kptr/storage.bpf.o", ["put_cgroup_storage"])
        let parent = try Cgroup(test)
        let cgroup = try parent.child("kept")
        try programs.set("cgroup_wanted", to: try cgroup.id)
        test.expect(try programs.call("put_cgroup_storage"), equals: 1, "1: into the storage of a new cgroup")
        try references.expect(1, "in the cgroup's storage")
        test.expect(cgroup.remove(), nil, "the cgroup is removed")
        try references.expectAtLast(0, "after the cgroup is gone, the map is not")
        programs.close()
    }
    Case(
        "P-033.inode", "what the storage of an inode keeps is released with the inode", spec: ["P-033"], since: "6.4",
        needs: taskNeeds + [.bpfLSM]
    ) { test in
        let references = try References(test)
        let programs = try Programs("kptr/inode_storage.bpf.o", ["put_inode_storage"])
        unsafe mkdir("/tmp", 0o755)
        unsafe mkdir("/tmp/kptr", 0o755)
        _ = try Errno.check(unsafe mount("none", "/tmp/kptr", "tmpfs", 0, nil))
        let attached = try programs.object.attach("put_inode_storage")
        try programs.set("opener", to: getpid())
        do {
            _ = FileHandle(try Descriptors.open("/tmp/kptr/file", O_WRONLY | O_CREAT))
        }
        test.expect(try programs.value("result"), equals: 1, "1: into the storage of the new inode")
        try references.expect(1, "in the inode's storage")
        do {
            _ = FileHandle(try Descriptors.open("/tmp/kptr/file", O_RDONLY))
        }
        test.expect(try programs.value("result"), equals: 2, "2: the same inode's storage, which was not empty")
        test.expect(try programs.value("found"), equals: getpid(), "pid of the task that was in it")
        attached.detach()
        try test.require(unsafe unlink("/tmp/kptr/file") == 0, "the file is unlinked")
        try references.expectAtLast(0, "after the inode is gone, the map is not")
        programs.close()
    }
    Case(
        "P-071", "a pinned map keeps its references without a program, and another program takes them out",
        since: "6.12", needs: taskNeeds + [Features.localObjects, Features.fieldsOfObjects]
    ) { test in
        unsafe mkdir("/sys/fs/bpf", 0o755)
        _ = try Errno.check(unsafe mount("bpffs", "/sys/fs/bpf", "bpf", 0, nil))
        let references = try References(test)
        let first = try Programs("kptr/pinned.bpf.o", ["put"])
        try first.set("key_wanted", to: UInt64(0x1234_5678))
        test.expect(try first.run("put"), equals: 1, "1: a task and an object go into the map")
        first.close()
        GracePeriods.pass()
        try references.expect(2, "the field's and the object's, in a map that no program has")
        let second = try Programs("kptr/pinned.bpf.o", ["take"])
        test.expect(try second.run("take"), equals: 1, "1: both are taken out by another program")
        test.expect(try second.value("found"), equals: getpid(), "pid of the task taken out")
        test.expect(try second.long("found_key"), equals: 0x1234_5678, "key of the object taken out")
        try references.expectAtLast(0, "after both were released")
        test.expect(try second.run("take"), equals: 0, "0: the map is empty")
        // The types of a new object are not those of the map that is pinned: it has to make its own.
        second.close()
        try test.require(unsafe unlink("/sys/fs/bpf/kptr_pinned") == 0, "the pin is removed")
        let third = try Programs("kptr/pinned.bpf.o", ["put"])
        test.expect(try third.run("put"), equals: 1, "1: a task and an object are left behind")
        third.close()
        GracePeriods.pass()
        try references.expect(2, "in the pinned map")
        try test.require(unsafe unlink("/sys/fs/bpf/kptr_pinned") == 0, "the pin is removed")
        try references.expectAtLast(0, "after the pin is gone")
    }
}

// MARK: Arrays

/// A value whose bytes over the fields mean nothing.
private func garbage(_ number: UInt64, times: Int = 1) -> [UInt8] {
    (0..<times).flatMap { _ in number.bytes + [UInt8](repeating: 0x41, count: 16) }
}

private func overwrite(_ test: Test, byProgram: Bool) throws {
    let references = try References(test)
    let programs = try Programs(
        Era.object("fields"),
        ["put_array", "take_array", "look_array", "number_in_array", "put_unreferenced", "update_array"])
    test.expect(try programs.run("put_array", key: 4), equals: 1, "1: a reference in the field")
    test.expect(try programs.run("put_array", key: 5), equals: 1, "1: another in the next element")
    if byProgram {
        test.expect(try programs.run("update_array", key: 4), equals: 0, "0: the element is overwritten")
    } else {
        test.expect(
            try programs.map("array").update(Int32(4).bytes, to: garbage(77)), nil, "the element is overwritten")
    }
    test.expect(try programs.run("number_in_array", key: 4), equals: 77, "the number beside the field is the new one")
    switch Era.leaving {
    case .released: try references.expect(1, "in the other element, after the update of the first")
    case .kept: try references.expect(2, "in both elements: the update leaves it in place")
    case .unknown: break
    }
    let kept = try references.kept
    test.expect(
        try programs.run("take_array", key: 4), equals: UInt32(kept) - 1, "what the field holds: never the user's bytes"
    )
    test.expect(try programs.run("take_array", key: 5), equals: 1, "1: the other element still has its own")
    try references.expect(0, "after both were taken out")
    test.expect(
        try programs.map("array").delete(Int32(4).bytes), .EINVAL, "array elements are not deleted")
    programs.close()
    try references.expectAtLast(0, "after the map is gone")
}

// MARK: Hashes

/// How an element leaves a hash.
private enum HashAction: String, CaseIterable {
    case deleted, replaced, emptied, deletedByProgram, replacedByProgram

    func isFor(_ map: String) -> Bool {
        switch self {
        case .deletedByProgram, .replacedByProgram: map != "lru_hash"
        default: true
        }
    }

    func title(_ map: String) -> String {
        let what =
            switch self {
            case .deleted: "user space deletes"
            case .replaced: "user space replaces"
            case .emptied: "BPF_MAP_LOOKUP_AND_DELETE_ELEM takes"
            case .deletedByProgram: "a program deletes"
            case .replacedByProgram: "a program replaces"
            }
        return "\(what) an element of a \(map): its reference is released (up to 6.18), or at the map's end (7.2)"
    }
}

private func leave(_ test: Test, _ map: String, _ action: HashAction) throws {
    let references = try References(test)
    let byProgram = map.hasPrefix("hash") ? ["update_\(map)", "delete_\(map)"] : []
    let programs = try Programs(Era.object("fields"), ["put_\(map)", "take_\(map)"] + byProgram)
    let opened = try programs.map(map)
    let processors = map.contains("percpu") ? try Processors.possible : 1
    let (key, other) = (Int32(1).bytes, Int32(2).bytes)
    let empty = [UInt8](repeating: 0, count: 24 * processors)
    for (number, element) in [key, other].enumerated() {
        test.expect(opened.update(element, to: empty), nil, "element \(number + 1) is made")
        test.expect(try programs.run("put_\(map)", key: Int32(number + 1)), equals: 1, "1: a reference in it")
    }
    try references.expect(2, "in two elements")
    switch action {
    case .deleted: test.expect(opened.delete(key), nil, "the element is deleted")
    case .replaced: test.expect(opened.update(key, to: garbage(77)), nil, "the element is replaced")
    case .emptied:
        test.expect(
            opened.lookupAndDelete(key, size: 24 * processors), equals: .success(empty),
            "the element is taken: its field reads as zeros")
    case .deletedByProgram: test.expect(try programs.run("delete_\(map)", key: 1), equals: 0, "0: deleted")
    case .replacedByProgram: test.expect(try programs.run("update_\(map)", key: 1), equals: 0, "0: replaced")
    }
    switch Era.leaving {
    case .released: try references.expect(1, "in the other element, after the first has gone")
    // What is not allocated beforehand is kept too: it goes to the processor's list of free elements.
    case .kept:
        GracePeriods.pass()
        try references.expect(2, "in the other element, and in memory for the next one")
    case .unknown: break
    }
    test.expect(try programs.run("take_\(map)", key: 2), equals: 1, "1: the other element still has its own")
    if Era.leaving == .released { try references.expectAtLast(0, "after it was taken out") }
    programs.close()
    try references.expectAtLast(0, "after the map is gone")
}

private func count(_ map: BPFMap) throws -> Int {
    var count = 0
    var key: [UInt8]?
    while case .success(let next) = map.nextKey(after: key, size: 4) {
        count += 1
        key = next
    }
    return count
}

// MARK: Cgroups

private func keepCgroup(_ test: Test, _ map: String) throws {
    let parent = try Cgroup(test, map)
    let cgroup = try parent.child("kept")
    let dying = { try parent.value("nr_dying_descendants", in: "cgroup.stat") }
    let programs = try Programs("kptr/cgroup.bpf.o", ["put_\(map)"])
    let opened = try programs.map(map)
    try programs.set("cgroup_wanted", to: try cgroup.id)
    test.expect(opened.update(Int32(0).bytes, to: [UInt8](repeating: 0, count: 24)), nil, "an element of \(map)")
    test.expect(try programs.run("put_\(map)"), equals: 1, "1: the cgroup is kept by the element")
    test.expect(cgroup.remove(), nil, "the cgroup is removed")
    let without = try parent.child("not-kept")
    test.expect(without.remove(), nil, "another one is removed that nobody keeps")
    test.expect(try Later.wait { try dying() == 1 }, "of two cgroups that were removed one is dying")
    test.expect(opened.delete(Int32(0).bytes), nil, "the element is deleted")
    if Era.leaving == .kept {
        GracePeriods.pass()
        test.expect(try dying(), equals: 1, "cgroups dying: what was in the element is still kept")
        programs.close()
    }
    if Era.leaving == .unknown { programs.close() }
    test.expect(try Later.wait { try dying() == 0 }, "the cgroup is gone at last")
    test.expect(try dying(), equals: 0, "cgroups dying at the end")
    programs.close()
}
