// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// What all programs of tests-bpf/kptr/lists.bpf.c need.
let localNeeds = [
    Features.tags, Features.tasks, Features.localObjects, Features.lists, Features.trees, Features.shares,
    Features.fieldsOfObjects,
]

/// P-042 to P-064 and P-073 of docs/semantics/kptr.md: objects that programs make, and the lists and trees they keep
/// them in. Each object holds a reference to the calling process, so its count says how many objects there are.
public let localSuite = Suite(
    "kptr.local", "objects of the program's own, in lists, trees and fields",
    objects: [
        "kptr/lists.bpf.o", "kptr/lists_fail.bpf.o", "kptr/stash.bpf.o", "kptr/stash_fail.bpf.o", "kptr/count.bpf.o",
    ]
) {
    Case("P-042", "an object is made, and dropping it releases what it holds", since: "6.12", needs: localNeeds) {
        test in
        let objects = try Objects(test, ["new_and_drop", "churn"])
        test.expect(try objects.run("new_and_drop", key: 0xfeed), equals: 1, "1: made and dropped")
        test.expect(try objects.users, equals: 1, "references while there is an object")
        test.expect(try objects.key, equals: 0xfeed, "the key written is the key read")
        try objects.references.expect(0, "after it was dropped")
        for _ in 0..<20 {
            test.expect(try objects.run("churn"), equals: 64, "objects made and dropped in one run")
        }
        test.expect(try objects.programs.value("dirty"), equals: 0, "fields of new objects that were not empty")
        try objects.references.expectAtLast(0, "after 1281 objects")
    }
    Case("P-051", "a list gives back what was put into it, in its order", since: "6.12", needs: localNeeds) { test in
        let objects = try Objects(test, ["list_push_front", "list_push_back", "list_pop_front", "list_pop_back"])
        for (push, pop, isStack) in [
            ("list_push_front", "list_pop_front", true), ("list_push_front", "list_pop_back", false),
            ("list_push_back", "list_pop_back", true), ("list_push_back", "list_pop_front", false),
        ] {
            for key in UInt64(0)..<100 { try objects.put(push, key) }
            try objects.references.expect(100, "one for each object in the list")
            var keys: [UInt64] = []
            while let key = try objects.take(pop) { keys.append(key) }
            let expected = isStack ? Array((UInt64(0)..<100).reversed()) : Array(UInt64(0)..<100)
            test.expect(keys, equals: expected, "keys by \(push) and \(pop)")
            try objects.references.expect(0, "after all were taken out")
        }
    }
    Case(
        "P-051.mixed", "both ends of two lists do what a model of them does", spec: ["P-051"], since: "6.12",
        needs: localNeeds
    ) { test in
        let objects = try Objects(test, ["list_push_front", "list_push_back", "list_pop_front", "list_pop_back"])
        var random = Sequence(seed: 7)
        var models: [[UInt64]] = [[], []]
        for step in UInt64(0)..<600 {
            let home = Int(random.next() % 2)
            try objects.programs.set("home_wanted", to: Int32(home))
            switch random.next() % 5 {
            case 0, 1:
                try objects.put("list_push_front", step)
                models[home].insert(step, at: 0)
            case 2:
                try objects.put("list_push_back", step)
                models[home].append(step)
            case 3:
                let expected = models[home].isEmpty ? nil : models[home].removeFirst()
                test.expect(try objects.take("list_pop_front"), equals: expected, "step \(step): key from the front")
            default:
                test.expect(try objects.take("list_pop_back"), equals: models[home].popLast(), "step \(step): key")
            }
            if test.failed { break }
        }
        try objects.references.expect(Int32(models[0].count + models[1].count), "one for each object in the lists")
        objects.programs.close()
        try objects.references.expectAtLast(0, "after the map is gone with its lists")
    }
    for (program, what) in [("push_into_second_list", "another list"), ("push_twice", "the list that it is in")] {
        Case(
            "P-052.\(program)", "pushing an object into \(what) is EINVAL, and drops the share", spec: ["P-052"],
            since: "6.12", needs: localNeeds
        ) { test in
            let objects = try Objects(test, [program, "list_pop_front"])
            try objects.refuseSecond(program) { try objects.take("list_pop_front") }
        }
    }
    for (program, what) in [("insert_into_second_tree", "another tree"), ("insert_twice", "the tree that it is in")] {
        Case(
            "P-052.\(program)", "inserting an object into \(what) is EINVAL, and drops the share", spec: ["P-052"],
            since: "6.12", needs: localNeeds
        ) { test in
            let objects = try Objects(test, [program, "tree_remove_first"])
            try objects.refuseSecond(program) { try objects.take("tree_remove_first") }
        }
    }
    Case("P-053", "a tree gives its objects in ascending order", since: "6.12", needs: localNeeds) { test in
        let objects = try Objects(test, ["tree_insert", "tree_look_at_first", "tree_remove_first"])
        var random = Sequence(seed: 11)
        var model: [UInt64] = []
        // Some keys come twice.
        for _ in 0..<100 {
            let key = random.next() % 90
            try objects.put("tree_insert", key)
            model.append(key)
            test.expect(try objects.run("tree_look_at_first"), equals: 1, "1: there is a first one")
            test.expect(try objects.key, equals: model.min() ?? 0, "the first key after \(model.count) inserts")
            if model.count % 10 == 0 {
                // Taking some out in between turns the tree over.
                model.sort()
                test.expect(try objects.take("tree_remove_first"), equals: model.removeFirst(), "the first key removed")
            }
            if test.failed { break }
        }
        try objects.references.expect(Int32(model.count), "one for each object in the tree")
        var keys: [UInt64] = []
        while let key = try objects.take("tree_remove_first") { keys.append(key) }
        test.expect(keys, equals: model.sorted(), "all keys")
        test.expect(try objects.run("tree_look_at_first"), equals: 0, "0: the tree is empty")
        try objects.references.expect(0, "after all were removed")
    }
    Case("P-055", "what is in no tree is not removed from one", since: "6.12", needs: localNeeds) { test in
        // Since 6.16 the kernel answers at run time.
        if KernelRelease.running < KernelRelease(6, 16) {
            test.expect(
                "kptr/lists_fail.bpf.o", program: "remove_unadded",
                refused: Rejection(.EINVAL, "rbtree_remove node input must be non-owning ref"))
        } else {
            let programs = try Programs("kptr/lists_fail.bpf.o", ["remove_unadded"])
            test.expect(try programs.run("remove_unadded"), equals: 1, "1: NULL")
        }
    }
    Case("P-057", "a tree does not give what is in another tree", since: "6.12", needs: localNeeds) { test in
        let objects = try Objects(test, ["tree_insert", "tree_remove_from_other", "tree_remove_first"])
        for key in [UInt64(3), 1, 2] { try objects.put("tree_insert", key) }
        for _ in 0..<3 {
            test.expect(try objects.run("tree_remove_from_other"), equals: 1, "1: NULL from the other tree")
        }
        try objects.references.expect(3, "one for each object in the tree")
        var keys: [UInt64] = []
        while let key = try objects.take("tree_remove_first") { keys.append(key) }
        test.expect(keys, equals: [1, 2, 3], "keys of the tree that they are in")
        try objects.references.expect(0, "after all were removed")
    }
    Case("P-058", "an object lives as long as its last share", since: "6.12", needs: localNeeds) { test in
        let objects = try Objects(
            test,
            [
                "share_and_drop", "share_of_first", "tree_insert", "into_list_and_tree", "list_pop_front",
                "tree_remove_first", "stash_node", "share_of_stashed", "share_of_dropped", "unstash_node",
            ], object: "stash")
        test.expect(try objects.run("share_and_drop", key: 21), equals: 1, "1: shared, and the first share dropped")
        test.expect(try objects.users, equals: 1, "references while the second share lives")
        test.expect(try objects.key, equals: 21, "key read through the second share")
        try objects.references.expect(0, "after the second share was dropped")

        try objects.put("tree_insert", 22)
        test.expect(try objects.run("share_of_first"), equals: 1, "1: a share of what the tree owns")
        test.expect(try objects.users, equals: 1, "references after the tree's share is gone")
        test.expect(try objects.key, equals: 22, "key read through the share")
        try objects.references.expect(0, "after that share was dropped")

        try objects.both("into_list_and_tree", 23)
        test.expect(try objects.take("list_pop_front"), equals: 23, "key of the object in the list")
        try objects.references.expect(1, "after the list's share is gone: the tree has another")
        test.expect(try objects.take("tree_remove_first"), equals: 23, "key of the object in the tree")
        try objects.references.expect(0, "after the tree's share is gone")
        try objects.both("into_list_and_tree", 24)
        test.expect(try objects.take("tree_remove_first"), equals: 24, "key of the object in the tree")
        try objects.references.expect(1, "after the tree's share is gone: the list has another")
        test.expect(try objects.take("list_pop_front"), equals: 24, "key of the object in the list")
        try objects.references.expect(0, "after the list's share is gone")

        test.expect(try objects.run("stash_node", key: 25), equals: 1, "1: an object in a field")
        test.expect(try objects.run("share_of_stashed"), equals: 1, "1: a share of what is read from the field")
        test.expect(try objects.users, equals: 1, "references after the field's share is gone")
        test.expect(try objects.key, equals: 25, "key read through the share")
        try objects.references.expect(0, "after that share was dropped")
        test.expect(try objects.run("stash_node", key: 26), equals: 1, "1: an object in a field")
        test.expect(try objects.run("share_of_dropped"), equals: 1, "1: no share of what has been dropped meanwhile")
        try objects.references.expect(0, "at the end")
    }
    Case("P-060", "an object in a field is taken out by another program", since: "6.12", needs: localNeeds) { test in
        let objects = try Objects(test, ["stash_node", "unstash_node"], object: "stash")
        test.expect(try objects.run("unstash_node"), equals: 0, "0: the field is empty at first")
        test.expect(try objects.run("stash_node", key: 31), equals: 1, "1: into an empty field")
        test.expect(try objects.run("stash_node", key: 32), equals: 2, "2: in the place of another, which is dropped")
        try objects.references.expect(1, "the object in the field")
        test.expect(try objects.take("unstash_node"), equals: 32, "key of the object taken out")
        test.expect(try objects.users, equals: 1, "references while the program has it")
        try objects.references.expect(0, "after it was dropped")
        test.expect(try objects.run("unstash_node"), equals: 0, "0: nothing comes out twice")
        test.expect(try objects.run("stash_node", key: 33), equals: 1, "1: one is left behind")
        objects.programs.close()
        try objects.references.expectAtLast(0, "after the map is gone")
    }
    Case("P-062", "dropping an object drops the object that it holds", since: "6.12", needs: localNeeds) { test in
        let objects = try Objects(test, ["nest_and_drop", "nest_and_stash", "unstash_nested"], object: "stash")
        test.expect(try objects.run("nest_and_drop", key: 41), equals: 1, "1: one in the other, and dropped")
        test.expect(try objects.users, equals: 1, "references while there is one in the other")
        try objects.references.expect(0, "after the outer one was dropped")
        test.expect(try objects.run("nest_and_stash", key: 42), equals: 1, "1: both into a field")
        try objects.references.expect(1, "the inner object's")
        test.expect(try objects.run("unstash_nested"), equals: 1, "1: the outer one is dropped, the inner one is not")
        test.expect(try objects.users, equals: 1, "references with the inner one out")
        test.expect(try objects.key, equals: 42, "key of the inner one")
        try objects.references.expect(0, "after the inner one was dropped")
        test.expect(try objects.run("nest_and_stash", key: 43), equals: 1, "1: both are left behind")
        test.expect(try objects.programs.value("dirty"), equals: 0, "fields of new objects that were not empty")
        objects.programs.close()
        try objects.references.expectAtLast(0, "after the map is gone")
    }
    Case(
        "P-051.free", "lists and trees are drained when their map is freed", spec: ["P-051", "P-053"], since: "6.12",
        needs: localNeeds
    ) { test in
        let objects = try Objects(
            test, ["list_push_back", "tree_insert", "into_list_and_tree", "stash_node"], object: "stash")
        for home in Int32(0)..<2 {
            try objects.programs.set("home_wanted", to: home)
            for key in UInt64(0)..<50 {
                try objects.put("list_push_back", key)
                try objects.put("tree_insert", key * 7 % 50)
                try objects.both("into_list_and_tree", 100 + key)
            }
            test.expect(try objects.run("stash_node", key: 1), equals: 1, "1: an object in a field")
        }
        try objects.references.expect(302, "one for each object, also of those in a list and in a tree")
        objects.programs.close()
        try objects.references.expectAtLast(0, "after the map is gone")
    }
    Case(
        "P-030.list", "an array element that is overwritten drops its list and tree (up to 6.18), or keeps them (7.2)",
        spec: ["P-029"], since: "6.12", needs: localNeeds
    ) { test in
        let objects = try Objects(
            test, ["list_push_back", "tree_insert", "list_pop_front", "tree_remove_first"])
        for key in UInt64(0)..<5 {
            try objects.put("list_push_back", key)
            try objects.put("tree_insert", key)
        }
        let info = try objects.programs.map("homes").info().get()
        let value = [UInt8](repeating: 0x41, count: Int(info.valueSize))
        test.expect(
            try objects.programs.map("homes").update(Int32(0).bytes, to: value), nil, "the element is overwritten")
        switch Era.leaving {
        case .released: try objects.references.expect(0, "after the update")
        case .kept: try objects.references.expect(10, "after the update: they stay in place")
        case .unknown: break
        }
        let isEmpty = try objects.references.kept == 0
        var keys: [UInt64] = []
        while let key = try objects.take("list_pop_front") { keys.append(key) }
        test.expect(keys, equals: isEmpty ? [] : [0, 1, 2, 3, 4], "keys that are in the list")
        test.expect(try objects.take("tree_remove_first"), equals: isEmpty ? nil : 0, "the first key in the tree")
        try objects.put("list_push_back", 77)
        test.expect(try objects.take("list_pop_front"), equals: 77, "the list is a list")
        objects.programs.close()
        try objects.references.expectAtLast(0, "after the map is gone")
    }
    refusedLocalPrograms
}

// MARK: Objects

/// Programs that make objects and keep them, driven one step at a time.
struct Objects {
    let test: Test
    let programs: Programs
    let references: References

    /// - Parameter object: the one with fields in map values too is `stash`, which takes longer to load.
    init(_ test: Test, _ names: [String], object: String = "lists") throws {
        self.test = test
        references = try References(test)
        programs = try Programs("kptr/\(object).bpf.o", names)
    }

    /// References besides those in the beginning, as the program saw them.
    var users: Int32 {
        get throws { try programs.value("users") - references.before }
    }

    var key: UInt64 {
        get throws { try programs.long("found_key") }
    }

    func run(_ program: String, key: UInt64? = nil) throws -> UInt32 {
        if let key { try programs.set("key_wanted", to: key) }
        return try programs.run(program)
    }

    /// An object with this key into a list or a tree.
    func put(_ program: String, _ key: UInt64) throws {
        test.expect(try run(program, key: key), equals: 1, "1: \(program)")
        test.expect(try programs.value("result"), equals: 0, "0: what the function answered to \(program)")
    }

    /// One object with this key into two places.
    func both(_ program: String, _ key: UInt64) throws {
        try put(program, key)
        test.expect(try programs.value("shared"), equals: 0, "0: what the first function answered to \(program)")
    }

    /// The key of what comes out; nil when nothing does.
    func take(_ program: String) throws -> UInt64? {
        let answer = try run(program)
        if answer == 0 { return nil }
        try test.require(answer == 1, "\(answer): \(program)")
        return try key
    }

    /// The program puts an object into a place and tries a second one.
    func refuseSecond(_ program: String, _ take: () throws -> UInt64?) throws {
        for key in UInt64(51)..<54 {
            test.expect(try run(program, key: key), equals: 1, "1: an object and a share of it")
            test.expect(try programs.value("shared"), equals: 0, "0: the first place takes it")
            test.expect(try programs.value("result"), equals: -Errno.EINVAL.rawValue, "the second does not: -EINVAL")
        }
        try references.expect(3, "one for each object: they live in the first place")
        for _ in 0..<3 { test.expect(try take() ?? 0 > 50, "each comes out of the first place") }
        test.expect(try take(), equals: nil, "nothing more comes out")
        try references.expect(0, "with the first place's share the object is gone: the second place's was dropped")
    }
}

/// The same numbers in every run.
private struct Sequence {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
}
