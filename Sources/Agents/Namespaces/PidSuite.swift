// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let pidObject = "namespaces/pid.bpf.o"
private let everywhere = "namespaces/pid_everywhere.bpf.o"
private let taskObject = "namespaces/task.bpf.o"

/// N-001 to N-012 of docs/semantics/namespaces.md.
let pidSuite = Suite(
    "namespaces.pid", "process numbers in pid namespaces", objects: [pidObject, everywhere, taskObject]
) {
    for (name, program) in [("raw_tp", "in_raw_tp"), ("tracepoint", "in_tracepoint"), ("kprobe", "in_kprobe")] {
        Case(
            "N-001.\(name)", "a \(name) program sees the caller's own numbers in its own pid namespace",
            spec: ["N-001"]
        ) { test in
            let object = try BPFObject(pidObject, programs: [program])
            try ask(object, about: try Namespaces.identity(.process))
            try test.expectRun(of: object, program) {}
            try test.expectNumbers(object, pid: UInt32(Tasks.thread), tgid: UInt32(getpid()))
        }
    }
    Case("N-002", "in a child pid namespace the first process is 1 and its child is 2") { test in
        let object = try BPFObject(pidObject, programs: ["in_raw_tp"])
        let findings = try aside(in: [.process]) { findings, _ in
            try ask(object, about: try Namespaces.identity(.process))
            try look(object, &findings, "init")
            let child = try Worker { _ in
                var findings = Findings()
                try look(object, &findings, "child")
                findings.note("getpid of the child", getpid())
                return findings.text
            }
            for line in try Findings(text: try child.finish()).lines { findings.note(line.name, line.text) }
        }
        test.expect(
            findings,
            [
                "init: result": "0", "init: pid": "1", "init: tgid": "1",
                "child: result": "0", "child: pid": "2", "child: tgid": "2", "getpid of the child": "2",
            ])
    }
    Case("N-003", "a task is not asked for in the namespace above its own: EINVAL, and zeros") { test in
        let object = try BPFObject(pidObject, programs: ["in_raw_tp"])
        let parent = try Namespaces.identity(.process)
        let findings = try aside(in: [.process]) { findings, _ in
            try ask(object, about: parent)
            try look(object, &findings, "parent's")
            let own = try Namespaces.identity(.process)
            findings.note("the namespaces differ", own != parent)
            try ask(object, about: own)
            try look(object, &findings, "own")
        }
        test.expect(
            findings,
            [
                "parent's: result": "EINVAL", "parent's: pid": "0", "parent's: tgid": "0",
                "the namespaces differ": "true", "own: result": "0", "own: pid": "1", "own: tgid": "1",
            ])
    }
    Case("N-004", "a task is not asked for in a namespace below its own: EINVAL, and zeros") { test in
        let object = try BPFObject(pidObject, programs: ["in_raw_tp"])
        _ = try aside(in: [.process]) { findings, channel in
            let own = try Namespaces.identity(.process)
            try channel.send("\(own.device) \(own.inode)")
            _ = try channel.receive()
        } meanwhile: { channel, _ in
            let words = try channel.receive().text.split(separator: " ").compactMap { UInt64($0) }
            try test.require(words.count == 2, "the child tells its namespace's device and inode")
            try ask(object, about: Namespaces.Identity(device: words[0], inode: words[1]))
            try test.expectRefusal(object, "in_raw_tp", "the child's namespace, which exists")
            try channel.send()
        }
    }
    for (size, program) in [(4, "size_4"), (16, "size_16")] {
        Case(
            "N-005.\(size)", "room for \(size) bytes is refused with EINVAL, and cleared", spec: ["N-005"]
        ) { test in
            let object = try BPFObject(pidObject, programs: [program])
            try ask(object, about: try Namespaces.identity(.process))
            if size == 4 {
                // Only what the program says it has room for is the kernel's to clear.
                try object.set("pid", to: UInt32(1))
                test.expect(try object.run(program).get(), equals: 0, "the program's own result")
                test.expect(try object.value(of: "result"), equals: -Int64(Errno.EINVAL.rawValue), "the helper's")
                test.expect(try object.value(of: "pid"), equals: UInt32(0), "the four bytes")
                test.expect(try object.value(of: "tgid"), equals: UInt32.max, "the four bytes behind them")
            } else {
                try test.expectRefusal(object, program, "the caller's namespace, twice the room")
            }
        }
    }
    Case("N-006", "a device number wider than 32 bits is refused with EINVAL") { test in
        let object = try BPFObject(pidObject, programs: ["in_raw_tp"])
        var identity = try Namespaces.identity(.process)
        identity.device |= 1 << 32
        try ask(object, about: identity)
        try test.expectRefusal(object, "in_raw_tp", "bit 32 of the device is set")
        identity.device = try Namespaces.identity(.process).device | 1 << 63
        try ask(object, about: identity)
        try test.expectRefusal(object, "in_raw_tp", "bit 63 of the device is set")
        identity.device = try Namespaces.identity(.process).device + 1
        try ask(object, about: identity)
        try test.expectRefusal(object, "in_raw_tp", "another device")
    }
    Case("N-007", "an inode that is no pid namespace of the caller's is refused with EINVAL") { test in
        let object = try BPFObject(pidObject, programs: ["in_raw_tp"])
        let own = try Namespaces.identity(.process)
        for (inode, what) in [
            (own.inode + 1, "inode + 1"), (0, "inode 0"), (own.inode | 1 << 32, "inode with bit 32 set"),
            (try Namespaces.identity(.user).inode, "the user namespace's inode"),
        ] {
            try ask(object, about: Namespaces.Identity(device: own.device, inode: inode))
            try test.expectRefusal(object, "in_raw_tp", what)
        }
        try ask(object, about: own)
        test.expect(try object.run("in_raw_tp").get(), equals: 0, "the program runs")
        try test.expectNumbers(object, pid: UInt32(Tasks.thread), tgid: UInt32(getpid()))
    }
    for (name, program) in [
        ("connect4", "in_connect4"), ("tc", "in_tc"), ("xdp", "in_xdp"), ("socket", "in_socket"),
    ] {
        Case(
            "N-008.\(name)", "\(name) programs ask for the caller's numbers from 6.10 on and not before",
            spec: ["N-008"], needs: name == "connect4" ? [.cgroup2] : []
        ) { test in
            guard
                let object = try test.object(
                    everywhere, program, since: KernelRelease(6, 10),
                    helper: "bpf_get_ns_current_pid_tgid#120")
            else { return }
            try ask(object, about: try Namespaces.identity(.process))
            if name == "connect4" {
                let cgroup = try Cgroup(test)
                try cgroup.join()
                let directory = try cgroup.open()
                try test.require(
                    success: BPFCall.attach(try object.program(program), to: directory.raw, .cgroupInet4Connect),
                    "the program is attached to the cgroup")
                try test.require(success: Namespaces.unshare(.network), "a network namespace is made")
                try Netlink.setUp("lo")
                try Sockets.connectUDP()
            } else {
                _ = try object.run(program, data: [UInt8](repeating: 0, count: 64)).get()
            }
            test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program")
            try test.expectNumbers(object, pid: UInt32(Tasks.thread), tgid: UInt32(getpid()))
            let own = try Namespaces.identity(.process)
            try ask(object, about: Namespaces.Identity(device: own.device, inode: own.inode + 1))
            if name == "connect4" {
                try Sockets.connectUDP()
            } else {
                _ = try object.run(program, data: [UInt8](repeating: 0, count: 64)).get()
            }
            try test.expectZeros(object, "inode + 1")
        }
    }
    Case("N-009", "bpf_get_current_pid_tgid counts in the initial pid namespace, wherever the caller is") { test in
        let object = try BPFObject(pidObject, programs: ["in_raw_tp"])
        let findings = try aside({ findings, channel in
            // The number in the initial namespace is what fork(2) tells there.
            try test.require(success: Namespaces.unshare(.process), "a pid namespace is made for the children")
            let inner = try Worker { stop in
                try stop.wait()
                let answer = try object.run("in_raw_tp").get()
                return "\(answer) \(getpid()) \(try object.value(of: "initial", as: UInt64.self))"
            }
            findings.note("fork's", UInt64(inner.pid) << 32 | UInt64(inner.pid))
            let words = try inner.finish().split(separator: " ")
            guard words.count == 3 else { throw Errno.badMessage }
            findings.note("run", words[0])
            findings.note("getpid", words[1])
            findings.note("helper's", words[2])
        })
        test.expect(findings["run"], equals: "0", "the program runs")
        test.expect(findings["getpid"], equals: "1", "the caller's number in its namespace")
        test.expect(findings["helper's"], equals: findings["fork's"], "tgid << 32 | pid")
    }
    Case(
        "N-010", "bpf_task_from_pid does not find the caller by its number in a child namespace", since: "6.12",
        needs: [PidFeatures.taskFromPID]
    ) { test in
        let object = try BPFObject(taskObject, programs: ["from_pid"])
        let findings = try aside(in: [.process]) { findings, _ in
            try find(object, "from_pid", getpid(), &findings, "own number")
        }
        test.expect(
            findings,
            ["own number: found": "1", "own number: pid": "1", "own number: is the caller": "0"])
        // The same program, asked for a number of the initial namespace, finds the caller.
        var own = Findings()
        try find(object, "from_pid", getpid(), &own, "here")
        test.expect(own["here: is the caller"], equals: "1", "in the initial namespace the number is the caller's")
    }
    Case(
        "N-011", "bpf_task_from_vpid counts in the caller's pid namespace", needs: [PidFeatures.taskFromVPID]
    ) { test in
        let object = try BPFObject(taskObject, programs: ["from_vpid"])
        let findings = try aside({ findings, _ in
            try test.require(success: Namespaces.unshare(.process), "a pid namespace is made for the children")
            let inner = try Worker { stop in
                try stop.wait()
                var findings = Findings()
                let child = try Worker { _ in
                    var findings = Findings()
                    try find(object, "from_vpid", 1, &findings, "1")
                    try find(object, "from_vpid", 2, &findings, "2")
                    for number in [0, -1, 3, Int32.max] {
                        try object.set("wanted", to: number)
                        findings.note("\(number)", try object.run("from_vpid").get())
                    }
                    return findings.text
                }
                findings = try Findings(text: try child.finish())
                return findings.text
            }
            findings.note("init's number outside", inner.pid)
            for line in try Findings(text: try inner.finish()).lines { findings.note(line.name, line.text) }
        })
        test.expect(findings["1: found"], equals: "1", "number 1 is found")
        test.expect(findings["1: pid"], equals: findings["init's number outside"], "1 is the namespace's init")
        test.expect(findings["1: is the caller"], equals: "0", "init is not the caller")
        test.expect(findings["2: is the caller"], equals: "1", "2 is the caller")
        for number in [0, -1, 3, Int32.max] {
            test.expect(findings["\(number)"], equals: "0", "number \(number) is nobody's")
        }
    }
    Case("N-012", "a thread that is not the leader has its own pid and the leader's tgid") { test in
        let object = try BPFObject(pidObject, programs: ["in_raw_tp"])
        try ask(object, about: try Namespaces.identity(.process))
        var thread: Int32 = 0
        var answer: UInt32?
        try Tasks.inThread {
            thread = Tasks.thread
            answer = try? object.run("in_raw_tp").get()  // nil fails below
        }
        test.expect(answer, equals: 0, "the program runs")
        test.expect(thread != getpid(), "the thread is not the leader")
        try test.expectNumbers(object, pid: UInt32(thread), tgid: UInt32(getpid()))
        test.expect(
            try object.value(of: "initial"), equals: UInt64(getpid()) << 32 | UInt64(thread),
            "bpf_get_current_pid_tgid: tgid << 32 | pid")
    }
}

enum PidFeatures {
    static let taskFromPID = Feature.kfunc("bpf_task_from_pid", since: "6.2")
    static let taskFromVPID = Feature.kfunc("bpf_task_from_vpid", since: "6.14")
}

private func ask(_ object: BPFObject, about identity: Namespaces.Identity) throws {
    try object.set("device", to: identity.device)
    try object.set("inode", to: identity.inode)
}

/// Has the program look, and notes what it saw.
private func look(_ object: BPFObject, _ findings: inout Findings, _ what: String) throws {
    _ = try object.run("in_raw_tp").get()
    let result = try object.value(of: "result", as: Int64.self)
    findings.note("\(what): result", result == 0 ? nil : Errno(rawValue: CInt(-result)))
    findings.note("\(what): pid", try object.value(of: "pid", as: UInt32.self))
    findings.note("\(what): tgid", try object.value(of: "tgid", as: UInt32.self))
}

private func find(
    _ object: BPFObject, _ program: String, _ number: Int32, _ findings: inout Findings, _ what: String
) throws {
    try object.set("wanted", to: number)
    findings.note("\(what): found", try object.run(program).get())
    findings.note("\(what): pid", try object.value(of: "found_pid", as: Int32.self))
    findings.note("\(what): is the caller", try object.value(of: "is_caller", as: Int32.self))
}

extension Test {
    /// Has the program run once, on this process's account.
    fileprivate func expectRun(of object: BPFObject, _ program: String, _ body: () throws -> Void) throws {
        if program == "in_raw_tp" {
            expect(try object.run(program).get(), equals: 0, "the program runs")
        } else {
            try object.set("wanted", to: UInt64(getpid()))
            let attached = try object.attach(program)
            Tasks.callSystem()
            attached.detach()
        }
        expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program")
    }

    fileprivate func expectNumbers(_ object: BPFObject, pid: UInt32, tgid: UInt32) throws {
        expect(try object.value(of: "result"), equals: Int64(0), "the helper's result")
        expect(try object.value(of: "pid"), equals: pid, "pid")
        expect(try object.value(of: "tgid"), equals: tgid, "tgid")
    }

    fileprivate func expectRefusal(_ object: BPFObject, _ program: String, _ what: String) throws {
        _ = try object.run(program).get()
        try expectZeros(object, what)
    }

    fileprivate func expectZeros(_ object: BPFObject, _ what: String) throws {
        let result = try object.value(of: "result", as: Int64.self)
        expect(result == 0 ? nil : Errno(rawValue: CInt(-result)), .EINVAL, "the helper's result: \(what)")
        expect(try object.value(of: "pid"), equals: UInt32(0), "pid after an error: \(what)")
        expect(try object.value(of: "tgid"), equals: UInt32(0), "tgid after an error: \(what)")
    }

    /// Loads a program that calls a helper which its type has from a release on.
    ///
    /// - Returns: nil where the verifier refuses it, rightly and for this reason.
    func object(
        _ object: String, _ program: String, since: KernelRelease, helper: String, file: String = #fileID,
        line: Int = #line
    ) throws -> BPFObject? {
        do {
            let loaded = try BPFObject(object, programs: [program])
            expect(
                KernelRelease.running >= since, "\(program) has \(helper) from \(since) on", file: file, line: line)
            return loaded
        } catch {
            let words = ["program of this type cannot use helper \(helper)", "unknown func \(helper)"]
            if KernelRelease.running < since, error.errno == .EINVAL, words.contains(where: error.log.contains) {
                return nil
            }
            throw error
        }
    }
}
