// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Features that the suites here are about.
enum Features {
    static let taskAcquire = Feature.kfunc("bpf_task_acquire", since: "6.2")
    static let taskFromPID = Feature.kfunc("bpf_task_from_pid", since: "6.2")
    static let taskFromVPID = Feature.kfunc("bpf_task_from_vpid", since: "6.13")
    static let iterNum = Feature.kfunc("bpf_iter_num_new", since: "6.4")
    static let exeFile = Feature.kfunc("bpf_get_task_exe_file", since: "6.12", config: ["CONFIG_BPF_LSM"])
    static let pathDPath = Feature.kfunc("bpf_path_d_path", since: "6.12", config: ["CONFIG_BPF_LSM"])
    static let fileXattr = Feature.kfunc("bpf_get_file_xattr", since: "6.8", config: ["CONFIG_BPF_LSM"])
}

private let object = "kfuncs/task.bpf.o"
private let refusing = "kfuncs/task_fail.bpf.o"
private let needs = [Features.taskAcquire, Features.taskFromPID]

/// K-040 to K-059 and the K-099 to K-119 that tasks show, of docs/semantics/kfuncs.md.
public let taskSuite = Suite(
    "kfuncs.task", "kfuncs that acquire and release tasks, and what the verifier enforces", objects: [object, refusing]
) {
    Case("K-040", "a new task is acquired and released in tp_btf/task_newtask", since: "6.12", needs: needs) { test in
        let object = try BPFObject(object, programs: ["newtask"])
        try object.set("pid_wanted", to: getpid())
        let attached = try object.attach("newtask")
        try withExtendedLifetime(attached) {
            let child = try Worker { _ in "" }
            _ = try child.finish()
        }
        test.expect(try object.value(of: "runs", as: Int32.self), equals: 1, "runs of the program for one fork")
        test.expect(try object.value(of: "found", as: Int32.self), equals: 1, "tasks acquired")
        let users = try object.value(of: "users", as: Int32.self)
        test.expect(users > 0, "a new task has users: \(users)")
        test.expect(try object.value(of: "users_held"), equals: users + 1, "rcu_users while it is acquired")
        test.expect(try object.value(of: "users_after"), equals: users, "rcu_users after the release")
    }
    for (section, program) in [
        ("syscall", "in_syscall"), ("tracepoint", "in_tracepoint"), ("perf_event", "in_perf_event"), ("tc", "in_tc"),
        ("xdp", "in_xdp"), ("cgroup_skb", "in_cgroup_skb"),
    ] {
        Case(
            "K-052.\(section)", "\(section) programs may acquire a task", spec: ["K-052"], since: "6.12", needs: needs
        ) { test in
            let object = try BPFObject(object, programs: [program])
            switch program {
            case "in_syscall": test.expect(try object.run(program).get(), equals: 1, "1 for acquired")
            case "in_tracepoint", "in_perf_event":
                try runOnSwitch(test, object, program)
                let runs = try object.value(of: "runs", as: Int32.self)
                test.expect(try object.value(of: "found"), equals: runs, "tasks acquired: one in each run")
            default:
                let packet = [UInt8](repeating: 0, count: 64)
                test.expect(try object.run(program, data: packet).get(), equals: 1, "1 for acquired")
            }
        }
    }
    Case("K-053", "bpf_task_from_pid finds the caller's own task", since: "6.12", needs: needs) { test in
        let object = try BPFObject(object, programs: ["from_pid"])
        try object.set("pid_wanted", to: getpid())
        test.expect(try object.run("from_pid").get(), equals: 1, "1 for found")
        test.expect(try object.value(of: "found_pid"), equals: getpid(), "pid of the task found")
        test.expect(try object.value(of: "found_tgid"), equals: getpid(), "tgid of the task found")
    }
    Case(
        "K-053.thread", "bpf_task_from_pid finds a thread that leads no process", spec: ["K-053"], since: "6.12",
        needs: needs
    ) {
        test in
        let object = try BPFObject(object, programs: ["from_pid"])
        let thread = try OtherThread(test)
        try object.set("pid_wanted", to: thread.tid)
        test.expect(try object.run("from_pid").get(), equals: 1, "1 for found")
        test.expect(try object.value(of: "found_pid"), equals: thread.tid, "pid of the thread found")
        test.expect(try object.value(of: "found_tgid"), equals: getpid(), "tgid of the thread found: its process")
        thread.finish()
    }
    Case("K-054", "bpf_task_from_pid finds nothing for -1, 0 and a number too high", since: "6.12", needs: needs) {
        test in
        let object = try BPFObject(object, programs: ["from_pid"])
        for pid in [-1, 0, Int32.max, Int32.min] {
            try object.set("pid_wanted", to: pid)
            test.expect(try object.run("from_pid").get(), equals: 0, "0 for pid \(pid): NULL")
        }
        try object.set("pid_wanted", to: Int32(1))
        test.expect(try object.run("from_pid").get(), equals: 1, "1 for pid 1: the program can find a task")
    }
    Case("K-055", "bpf_task_from_pid counts in the initial pid namespace", since: "6.12", needs: needs) { test in
        let object = try BPFObject(object, programs: ["from_pid"])
        try object.set("pid_wanted", to: Int32(1))
        try test.require(success: Namespaces.unshare(.process), "a pid namespace is made for the children")
        let worker = try Worker { _ in
            let answer = try object.run("from_pid").get()
            return "\(getpid()) \(answer)"
        }
        test.expect(try worker.finish(), equals: "1 1", "the caller's own pid in its namespace; 1 for found")
        test.expect(
            try object.value(of: "found_pid"), equals: Int32(1),
            "the task's pid in the initial namespace: not the caller")
    }
    Case(
        "K-055.inside", "bpf_task_from_pid finds a process of another pid namespace, under its initial number",
        spec: ["K-055"], since: "6.12", needs: needs
    ) { test in
        let object = try BPFObject(object, programs: ["from_pid"])
        try test.require(success: Namespaces.unshare(.process), "a pid namespace is made for the children")
        let worker = try Worker { stop in
            try stop.wait()
            return "\(getpid())"
        }
        try object.set("pid_wanted", to: worker.pid)
        test.expect(try object.run("from_pid").get(), equals: 1, "1 for found")
        test.expect(try object.value(of: "found_pid"), equals: worker.pid, "pid of the task found")
        test.expect(try worker.finish(), equals: "1", "its number inside")
    }
    Case(
        "K-056", "bpf_task_from_vpid counts in the caller's pid namespace", since: "6.13",
        needs: needs + [Features.taskFromVPID]
    ) {
        test in
        let object = try BPFObject(object, programs: ["from_vpid"])
        let find = { (pid: Int32) in
            try object.set("pid_wanted", to: pid)
            try object.set("found_pid", to: Int32(-1))
            return try object.run("from_vpid").get()
        }
        test.expect(try find(getpid()), equals: 1, "1: the caller's own number, in the initial namespace")
        test.expect(try object.value(of: "found_pid"), equals: getpid(), "pid of the task found")
        for pid in [-1, 0, Int32.max, Int32.min] { test.expect(try find(pid), equals: 0, "0 for \(pid): NULL") }
        try test.require(success: Namespaces.unshare(.process), "a pid namespace is made for the children")
        let outside = getpid()
        let worker = try Worker { _ in
            let own = try find(1)
            let found = try object.value(of: "found_pid", as: Int32.self)
            let other = try find(outside)
            return "\(own) \(found) \(other)"
        }
        test.expect(
            try worker.finish(), equals: "1 \(worker.pid) 0",
            "1 finds the caller, under its number in the initial namespace; its parent has no number inside")
    }
    Case(
        "K-058.zombie", "a process that has ended is found until it is waited for", spec: ["K-058"], since: "6.12",
        needs: needs
    ) { test in
        let object = try BPFObject(object, programs: ["from_pid"])
        let worker = try Worker { _ in "" }
        let process = FileHandle(try Descriptors.process(worker.pid))
        var poller = Poller()
        poller.add(process.raw, .read)
        test.expect(try poller.wait(.seconds(30)), "the child ends")
        try object.set("pid_wanted", to: worker.pid)
        test.expect(try object.run("from_pid").get(), equals: 1, "1: found, for nobody has waited for it")
        test.expect(try object.value(of: "found_pid"), equals: worker.pid, "pid of the task found")
        _ = try worker.finish()
        test.expect(try object.run("from_pid").get(), equals: 0, "0: it is gone")
    }
    Case(
        "K-058.freed", "a task that has no users left is not acquired", spec: ["K-058"], since: "6.12", needs: needs
    ) { test in
        let object = try BPFObject(object, programs: ["freed"])
        let worker = try Worker { stop in
            try stop.wait()
            return ""
        }
        try object.set("pid_wanted", to: worker.pid)
        let attached = try object.attach("freed")
        _ = try worker.finish()
        try test.awaitEvent(try object.map("events"), "the task is freed after a grace period")
        attached.detach()
        test.expect(try object.value(of: "runs", as: Int32.self), equals: 1, "runs of the program for one task")
        test.expect(try object.value(of: "users", as: Int32.self), equals: 0, "rcu_users of the task")
        test.expect(try object.value(of: "found", as: Int32.self), equals: 0, "0: bpf_task_acquire returns NULL")
    }
    Case(
        "K-058", "a task kept in a map can be read and acquired after its process is gone", since: "6.12", needs: needs
    ) {
        test in
        let object = try BPFObject(object, programs: ["keep_newtask", "read_kept", "drop_kept", "from_pid"])
        test.expect(try object.run("read_kept").get(), equals: 0, "0: the map is empty at first")
        try object.set("pid_wanted", to: getpid())
        let attached = try object.attach("keep_newtask")
        let pid = try withExtendedLifetime(attached) {
            let child = try Worker { _ in "\(getpid())" }
            return Int32(try child.finish())
        }
        test.expect(try object.value(of: "runs", as: Int32.self), equals: 1, "runs of the program for one fork")
        // It has been waited for: its number finds nothing any more.
        try object.set("pid_wanted", to: pid ?? -1)
        test.expect(try object.run("from_pid").get(), equals: 0, "0: bpf_task_from_pid finds no such process")
        test.expect(try object.run("read_kept").get(), equals: 1, "1: the map still has the task")
        test.expect(try object.value(of: "found_pid", as: Int32.self), equals: pid ?? -1, "pid read from the task")
        test.expect(try object.value(of: "users", as: Int32.self) >= 1, "rcu_users: the map's reference counts")
        test.expect(
            try object.value(of: "found", as: Int32.self), equals: 1, "1: acquired once more, for rcu_users is not 0")
        test.expect(try object.run("drop_kept").get(), equals: 1, "the reference is taken out and released")
        test.expect(try object.run("read_kept").get(), equals: 0, "0: the map is empty at the end")
    }
    Case(
        "K-059", "100000 acquires and releases leave the reference count as it was", since: "6.12",
        needs: needs + [Features.iterNum]
    ) { test in
        let object = try BPFObject(
            object, programs: ["count_users", "churn", "keep_current", "drop_kept"])
        let users = {
            test.expect(try object.run("count_users").get(), equals: 1, "the count is read")
            return try object.value(of: "users", as: Int32.self)
        }
        let before = try users()
        try test.require(before > 0, "a running task has users")
        try object.set("repeat", to: Int32(100_000))
        test.expect(try object.run("churn").get(), equals: 1, "the loop runs")
        test.expect(try object.value(of: "runs"), equals: Int32(100_000), "pairs of acquire and release")
        test.expect(try users(), equals: before, "rcu_users after the loop")
        // That the count shows a reference at all: one is kept in a map, then given back.
        test.expect(try object.run("keep_current").get(), equals: 1, "a reference goes into a map")
        test.expect(try users(), equals: before + 1, "rcu_users with one reference kept")
        test.expect(try object.run("drop_kept").get(), equals: 1, "the reference is taken out and released")
        test.expect(try users(), equals: before, "rcu_users at the end")
    }
    Case("K-114", "a task acquired in a subprogram is released by its caller", since: "6.12", needs: needs) { test in
        let object = try BPFObject(object, programs: ["release_in_caller"])
        let frame = [UInt8](repeating: 0, count: 64)
        test.expect(try object.run("release_in_caller", data: frame).get(), equals: 1, "1: acquired and released")
    }
    Case("K-119", "a weak kfunc that no kernel has is a branch not taken", since: "6.12", needs: needs) { test in
        let object = try BPFObject(object, programs: ["weak_absent"])
        test.expect(try object.run("weak_absent").get(), equals: 1, "1: the function is not there")
    }
    refusedTaskPrograms.map { $0.asCase(refusing, needs: needs) }
    rawTracepointCase("K-051", "tasks", refusing, "acquire_in_raw_tp", "bpf_task_acquire", needs)
    Case("K-100", "RCU sections: not nested in 6.12, counted from 7.2 on", since: "6.12", needs: needs) { test in
        let program = "rcu_lock_twice"
        let release = KernelRelease.running
        if release >= .v7_2 {
            let object = try BPFObject(refusing, programs: [program])
            test.expect(try object.run(program).get(), equals: 0, "0: the program runs")
        } else if release <= KernelRelease(6, 12) || (try? BPFObject(refusing, programs: [program])) == nil {
            // Which of 6.13 to 7.1 began to count is not known: those that do not, refuse in the old words.
            test.expect(
                refusing, program: program,
                refused: Rejection(.EINVAL, "nested rcu read lock (kernel function bpf_rcu_read_lock)"))
        }
    }
    Case("K-109", "a program that is not under the GPL calls no kernel function", since: "6.12", needs: needs) { test in
        test.expect(
            "kfuncs/license_fail.bpf.o", program: "not_gpl",
            refused: Rejection(.EINVAL, "cannot call kernel function from non-GPL compatible program"))
    }
}
