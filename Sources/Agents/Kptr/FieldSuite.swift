// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let needs = [Features.fields, Features.objects]
private let taskNeeds = [Features.tags, Features.tasks]

/// P-001 to P-020, P-026, P-028, P-034, P-039 to P-041, P-070 and P-074 of docs/semantics/kptr.md: what programs may do
/// with fields that hold references.
public let fieldSuite = Suite(
    "kptr.fields", "fields of map values that hold references: exchanged, loaded, stored to", isolation: .mount,
    objects: [Era.object("fields"), Era.object("fields_fail"), Era.object("count")]
) {
    Case(
        "P-001", "a reference goes into a field by bpf_kptr_xchg, and the same one comes out", since: "5.19",
        needs: needs
    ) { test in
        try exchange(test, "array", "a field of an array")
    }
    for (map, since) in [
        ("percpu_array", "5.19"), ("hash", "5.19"), ("hash_no_prealloc", "5.19"), ("lru_hash", "5.19"),
        ("percpu_hash", "6.4"), ("percpu_hash_no_prealloc", "6.4"), ("lru_percpu_hash", "6.4"),
    ] {
        Case(
            "P-020.\(map)", "references go into values of a \(map) and come out", spec: ["P-020"], since: since,
            needs: since == "6.4" ? taskNeeds : needs
        ) { test in
            try exchange(test, map, "a field of a \(map)")
        }
    }
    Case(
        "P-020.storage", "references go into local storage and come out", spec: ["P-020"], since: "6.4",
        needs: taskNeeds + [Features.cgroups, .cgroup2]
    ) { test in
        let references = try References(test)
        let programs = try Programs(
            "kptr/storage.bpf.o",
            [
                "put_task_storage", "take_task_storage", "put_cgroup_storage", "take_cgroup_storage",
                "put_and_take_socket_storage",
            ])
        let cgroup = try Cgroup(test)
        try programs.set("cgroup_wanted", to: try cgroup.id)
        for kind in ["task_storage", "cgroup_storage"] {
            test.expect(try programs.call("put_\(kind)"), equals: 1, "1: into an empty field of \(kind)")
            try references.expect(1, "in \(kind)")
            test.expect(try programs.call("put_\(kind)"), equals: 2, "2: in the place of another")
            try references.expect(1, "in \(kind), after another has been released")
            test.expect(try programs.call("take_\(kind)"), equals: 1, "1: taken out")
            test.expect(try programs.value("found"), equals: getpid(), "pid of the task taken out of \(kind)")
            try references.expect(0, "after it was taken out of \(kind)")
            test.expect(try programs.call("take_\(kind)"), equals: 0, "0: \(kind) is empty")
        }
        test.expect(try programs.run("put_and_take_socket_storage"), equals: 1, "1: in and out of a socket's storage")
        test.expect(try programs.value("found"), equals: getpid(), "pid of the task taken out of a socket's storage")
        try references.expect(0, "at the end")
    }
    Case(
        "P-016", "a tc program acquires what it loads from a field: RCU protects it", since: "6.4", needs: taskNeeds
    ) { test in
        try acquireLoaded(test, "acquire_loaded", isSyscall: false)
    }
    Case(
        "P-018", "what is acquired in an RCU section is released after it, where programs may sleep", since: "6.4",
        needs: taskNeeds + [Features.sections]
    ) { test in
        try acquireLoaded(test, "acquire_in_section", isSyscall: true)
    }
    Case(
        "P-026", "arrays of references and references in structs of the value are fields of their own", since: "6.11",
        needs: taskNeeds + [Features.arrays]
    ) { test in
        let references = try References(test)
        let fields = ["0", "1", "2", "3", "nested"]
        let programs = try Programs("kptr/arrays.bpf.o", fields.flatMap { ["put_\($0)", "take_\($0)"] })
        for (count, field) in fields.enumerated() {
            test.expect(try programs.run("put_\(field)"), equals: 1, "1: field \(field) was empty")
            try references.expect(Int32(count + 1), "in the fields up to \(field)")
        }
        test.expect(try programs.run("put_2"), equals: 2, "2: field 2 was not empty")
        try references.expect(5, "in all fields")
        test.expect(try programs.run("take_1"), equals: 1, "1: taken out of field 1")
        test.expect(try programs.value("found"), equals: getpid(), "pid of the task taken out")
        test.expect(try programs.run("take_1"), equals: 0, "0: field 1 is empty, the others are not")
        try references.expect(4, "in four fields")
        programs.close()
        try references.expectAtLast(0, "after the map is gone")
    }
    Case(
        "P-026.index", "a field is not chosen by a variable index", spec: ["P-026"], since: "6.11",
        needs: taskNeeds + [Features.arrays]
    ) { test in
        test.expect(
            "kptr/arrays.bpf.o", program: "take_any",
            refused: Rejection(.EINVAL, "R1 doesn't have constant offset. kptr has to be"))
    }
    Case("P-028", "user space reads zeros where a reference is", since: "5.19", needs: needs) { test in
        let references = try References(test)
        let maps = ["array", "hash", "hash_no_prealloc", "lru_hash"]
        let programs = try Programs(Era.object("fields"), maps.map { "put_\($0)" } + ["put_unreferenced"])
        let key = Int32(0).bytes
        for map in maps {
            let opened = try programs.map(map)
            test.expect(opened.update(key, to: UInt64(42).bytes + zeros(16)), nil, "an element of \(map)")
            test.expect(try programs.run("put_\(map)", key: 0), equals: 1, "1: a reference in \(map)")
            if map == "array" {
                test.expect(try programs.run("put_unreferenced", key: 0), equals: 1, "1: an address in \(map)")
            }
            test.expect(
                opened.lookup(key, size: 24), equals: .success(UInt64(42).bytes + zeros(16)),
                "the value of \(map): a number and two fields")
        }
        try references.expect(4, "in four maps")
        programs.close()
        try references.expectAtLast(0, "after the maps are gone")
    }
    Case(
        "P-034", "a task that is gone is acquired as long as a reference is kept, and never again after that",
        since: "6.4", needs: taskNeeds
    ) { test in
        let programs = try Programs("kptr/fields.bpf.o", ["put_array", "release_last", "look_array"])
        let child = try Worker { stop in
            try stop.wait()
            return ""
        }
        try programs.set("pid_wanted", to: child.pid)
        test.expect(try programs.run("put_array", key: 0), equals: 1, "1: a reference to the child is kept")
        _ = try child.finish()
        // Both references of the task itself go at its end: one when it is waited for, one when it is switched from.
        _ = try Later.wait { try programs.run("look_array") == 1 && programs.value("users") == 1 }
        test.expect(try programs.value("users"), equals: 1, "rcu_users: the map's reference alone")
        test.expect(try programs.run("release_last"), equals: 1, "1: it was in the field")
        test.expect(try programs.value("acquired_before"), equals: 1, "acquired while the map has a reference")
        test.expect(try programs.value("acquired_after"), equals: 0, "NULL after the last reference")
    }
    Case(
        "P-070", "a map inside an array of maps holds references, and keeps them when it is taken out", since: "6.4",
        needs: taskNeeds
    ) { test in
        let references = try References(test)
        let programs = try Programs("kptr/inner.bpf.o", ["put", "take", "take_first"])
        let outer = try programs.map("outer")
        test.expect(try programs.run("put"), equals: 1, "1: into an empty field")
        test.expect(try programs.run("put"), equals: 2, "2: in the place of another")
        try references.expect(1, "in the inner map")
        test.expect(outer.update(Int32(0).bytes, to: try programs.map("second").raw.bytes), nil, "another inner map")
        test.expect(try programs.run("take"), equals: 0, "0: the other inner map is empty")
        test.expect(try programs.run("put"), equals: 1, "1: into an empty field of the other map")
        try references.expect(2, "in both inner maps")
        test.expect(try programs.run("take_first"), equals: 1, "1: the first map still has it")
        test.expect(try programs.value("found"), equals: getpid(), "pid of the task taken out")
        test.expect(try programs.run("take"), equals: 1, "1: taken out of the other map")
        try references.expect(0, "at the end")
    }
    Case(
        "P-005.unreferenced", "a field that is not referenced holds an address: storing takes no reference",
        spec: ["P-005"], since: "5.19", needs: needs
    ) { test in
        let references = try References(test)
        let programs = try Programs(
            Era.object("fields"), ["put_unreferenced", "look_at_unreferenced", "clear_unreferenced", "look_array"])
        test.expect(try programs.run("put_unreferenced", key: 3), equals: 1, "1: stored")
        try references.expect(0, "with an address stored")
        try programs.set("found", to: Int32(-1))
        test.expect(try programs.run("look_at_unreferenced", key: 3), equals: 1, "1: it is there")
        test.expect(
            try programs.value("found"), equals: Era.isOld ? 42 : getpid(), "what is read from the object's memory")
        test.expect(try programs.run("look_array", key: 3), equals: 0, "0: the field beside it is empty")
        test.expect(try programs.run("clear_unreferenced", key: 3), equals: 1, "1: cleared")
        test.expect(try programs.run("look_at_unreferenced", key: 3), equals: 0, "0: it is gone")
        programs.close()
        try references.expectAtLast(0, "at the end")
    }
    Case(
        "P-039", "KF_KPTR_GET: a reference to what is in a field, which stays there (6.0 to 6.3)", since: "5.19",
        needs: needs
    ) { test in
        guard Era.isOld else { throw test.skip("there is no KF_KPTR_GET from 6.4 on") }
        let references = try References(test)
        let programs = try Programs("kptr/get_old.bpf.o", ["put", "get"])
        test.expect(try programs.run("get"), equals: 0, "0: NULL from an empty field")
        test.expect(try programs.run("put"), equals: 1, "1: a reference in the field")
        try references.expect(1, "in the field")
        for _ in 0..<3 {
            test.expect(try programs.run("get"), equals: 1, "1: got one, and released it")
            test.expect(try programs.value("found"), equals: 42, "the object's first number")
            test.expect(
                try programs.value("users") - references.before, equals: 2, "references: the field's and the program's")
            try references.expect(1, "in the field, where it stays")
        }
        programs.close()
        try references.expectAtLast(0, "after the map is gone")
    }
    Case(
        "P-041", "bpf_kfunc_call_test_kptr_get is a function that no kernel from 6.4 on has", since: "6.4",
        needs: taskNeeds
    ) { test in
        test.expect(
            "kptr/fields_fail.bpf.o", program: "call_kptr_get",
            refused: Rejection(.EINVAL, "invalid kernel function call not eliminated in verifier pass"))
    }
    Case(
        "P-074", "a field tagged kptr is referenced from 6.4 on, and was not before", since: "5.19", needs: needs
    ) { test in
        if Era.isOld {
            test.expect(
                "kptr/today_tag.bpf.o", program: "exchange",
                refused: Rejection(.EACCES, "off=8 kptr isn't referenced kptr", from: .v6_1))
        } else {
            let programs = try Programs("kptr/today_tag.bpf.o", ["exchange"])
            test.expect(try programs.run("exchange"), equals: 1, "1: exchanged, and there was nothing in it")
        }
    }
    refusedFieldPrograms
}

private func zeros(_ count: Int) -> [UInt8] {
    [UInt8](repeating: 0, count: count)
}

/// In, in again, looked at, out: with the count of references at each step.
private func exchange(_ test: Test, _ map: String, _ what: String) throws {
    let references = try References(test)
    let programs = try Programs(Era.object("fields"), ["put_\(map)", "take_\(map)", "look_\(map)"])
    let processors = map.contains("percpu") ? try Processors.possible : 1
    if map != "array" && map != "percpu_array" {
        let value = (0..<processors).flatMap { _ in UInt64(7).bytes + zeros(16) }
        test.expect(try programs.map(map).update(Int32(2).bytes, to: value), nil, "an element of \(map)")
    }
    test.expect(try programs.run("take_\(map)", key: 2), equals: 0, "0: \(what) is empty at first")
    test.expect(try programs.run("put_\(map)"), equals: 1, "1: into an empty field")
    try references.expect(1, "one in \(what)")
    test.expect(try programs.run("look_\(map)"), equals: 1, "1: it is there")
    test.expect(try programs.value("users") - references.before, equals: 1, "references seen through \(what)")
    try references.expect(1, "after it was looked at")
    test.expect(try programs.run("put_\(map)"), equals: 2, "2: in the place of another, which is given back")
    try references.expect(1, "after the other has been released")
    try programs.set("found", to: Int32(-1))
    test.expect(try programs.run("take_\(map)"), equals: 1, "1: taken out")
    test.expect(try programs.value("found"), equals: Era.isOld ? 42 : getpid(), "the object that was put in")
    test.expect(
        try programs.value("users") - references.before, equals: 1, "references: the field's is now the program's")
    try references.expect(0, "after it was released")
    test.expect(try programs.run("look_\(map)"), equals: 0, "0: the field is empty")
    test.expect(try programs.run("take_\(map)"), equals: 0, "0: nothing comes out twice")
    test.expect(try programs.run("put_\(map)"), equals: 1, "1: one is left behind")
    try references.expect(1, "left behind in \(what)")
    programs.close()
    try references.expectAtLast(0, "after the map is gone")
}

private func acquireLoaded(_ test: Test, _ program: String, isSyscall: Bool) throws {
    let references = try References(test)
    let programs = try Programs("kptr/fields.bpf.o", ["put_array", "take_array", program])
    let run = { isSyscall ? try programs.call(program) : try programs.run(program) }
    test.expect(try run(), equals: 0, "0: the field is empty")
    test.expect(try programs.run("put_array", key: 0), equals: 1, "1: a reference in the field")
    for _ in 0..<3 {
        test.expect(try run(), equals: 1, "1: acquired")
        test.expect(try programs.value("found"), equals: getpid(), "pid of the task acquired")
        test.expect(
            try programs.value("users") - references.before, equals: 2, "references: the field's and the program's")
        try references.expect(1, "after the program has released its own")
    }
    test.expect(try programs.run("take_array"), equals: 1, "1: the field still has it")
    try references.expect(0, "at the end")
}
