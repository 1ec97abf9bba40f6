// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let object = "kfuncs/task_races.bpf.o"

/// K-117 and K-118 of docs/semantics/kfuncs.md: references that two processors pass to each other, and that are left.
public let taskRacesSuite = Suite(
    "kfuncs.races", "references that one program stores and another releases, at the same time", cpus: 2,
    objects: [object, "kfuncs/task.bpf.o"]
) {
    Case(
        "K-117.task", "tasks stored by one program and released by another are released as often as acquired",
        spec: ["K-117"], since: "6.12", needs: [Features.taskAcquire, Features.taskFromPID, Features.iterNum]
    ) { test in
        let object = try BPFObject(object, programs: ["store_task", "take_task", "count_users"])
        try object.set("pid_wanted", to: getpid())
        let users = {
            test.expect(try object.run("count_users").get(), equals: 1, "the count is read")
            return try object.value(of: "users", as: Int32.self)
        }
        let before = try users()
        try race(test, object, store: "store_task", take: "take_task")
        test.expect(try users(), equals: before, "rcu_users after as many releases")
    }
    Case(
        "K-117.cgroup", "cgroups stored by one program and released by another are released as often as acquired",
        spec: ["K-117"], since: "6.12", needs: [Features.cgroupFromID, Feature.cgroup2, Features.iterNum]
    ) { test in
        let parent = try Cgroup(test)
        let cgroup = try parent.child("raced")
        let object = try BPFObject(object, programs: ["store_cgroup", "take_cgroup"])
        try object.set("id_wanted", to: try cgroup.id)
        try race(test, object, store: "store_cgroup", take: "take_cgroup")
        test.expect(cgroup.remove(), nil, "rmdir of the cgroup")
        try test.eventually("the cgroup is gone: nothing holds it") { try parent.dying() == 0 }
    }
    Case(
        "K-117.cpumask", "cpumasks made by one program and released by another are each had by one at a time",
        spec: ["K-117"], since: "6.12", needs: [Features.cpumask, Features.iterNum]
    ) { test in
        let object = try BPFObject(object, programs: ["store_mask", "take_mask"])
        try race(test, object, store: "store_mask", take: "take_mask")
    }
    Case(
        "K-118", "a task kept in a map is released with the map, not with the program that stored it", since: "6.12",
        needs: [Features.taskAcquire, Features.taskFromPID]
    ) { test in
        let observing = try BPFObject("kfuncs/task.bpf.o", programs: ["count_users"])
        let users = {
            test.expect(try observing.run("count_users").get(), equals: 1, "the count is read")
            return try observing.value(of: "users", as: Int32.self)
        }
        let before = try users()
        var storing: BPFObject? = try BPFObject("kfuncs/task.bpf.o", programs: ["keep_current"])
        test.expect(try storing?.run("keep_current").get(), equals: 1, "a reference goes into a map")
        test.expect(try users(), equals: before + 1, "rcu_users with one reference kept")
        let program = try BPFInfo.programID(try storing?.program("keep_current") ?? -1).get()
        let map = try duplicate(try storing?.map("keep") ?? -1)
        storing = nil
        try test.eventually("the program is unloaded") { isGone(program) }
        test.expect(try users(), equals: before + 1, "rcu_users when only the map is left")
        map.close()
        try test.eventually("the reference is released with the map") { try users() == before }
    }
}

/// Runs two programs on two processors until each has had its rounds, and checks that what they did adds up.
private func race(_ test: Test, _ object: BPFObject, store: String, take: String) throws {
    let batches: Int32 = 200
    try object.set("repeat", to: Int32(100))
    let second = min(try Processors.possible - 1, 1)
    // The worker takes for as long as there is somebody who stores.
    let worker = try Worker { stop in
        if let errno = Processors.pin(to: second) { throw errno }
        var rounds = 0
        while !stop.isSet {
            guard try object.run(take).get() == 1 else { return "\(take) did not run" }
            rounds += 1
        }
        return rounds > 0 ? "taken" : "\(take) never ran"
    }
    try test.require(success: Processors.pin(to: 0), "the process is pinned to processor 0")
    // It has begun when something that was stored is gone.
    var batch: Int32 = 0
    var hasBegun = false
    while batch < batches || !hasBegun && batch < 100 * batches {
        test.expect(try object.run(store).get(), equals: 1, "\(store) runs")
        hasBegun = try object.value(of: "taken", as: Int64.self) > 0
        batch += 1
    }
    test.expect(try worker.finish(), equals: "taken", "what the other program did")
    let stored = try object.value(of: "stored", as: Int64.self)
    test.expect(stored, equals: Int64(batch) * 100, "references stored")
    test.expect(try object.value(of: "taken", as: Int64.self) > 0, "the other program took some")
    // What is left.
    test.expect(try object.run(take).get(), equals: 1, "\(take) runs")
    let taken = try object.value(of: "taken", as: Int64.self)
    let replaced = try object.value(of: "replaced", as: Int64.self)
    test.expect(taken + replaced, equals: stored, "references taken or replaced, of all that were stored")
    test.expect(try object.value(of: "wrong", as: Int64.self), equals: 0, "what was taken and is not what was stored")
}

/// Whether no program has an id any more.
private func isGone(_ program: UInt32) -> Bool {
    var attr = Attr(size: 16)
    attr.set(program, at: 0)
    guard case .success(let raw) = attr.call(.progGetFDByID) else { return true }
    FileHandle(adopting: raw).close()
    return false
}
