// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let cgroupObject = "namespaces/cgroup.bpf.o"
private let taskObject = "namespaces/task.bpf.o"
private let iterObject = "namespaces/iter.bpf.o"

/// N-019 to N-025, N-052 and N-053 of docs/semantics/namespaces.md.
let cgroupSuite = Suite(
    "namespaces.cgroup", "cgroup ids, cgroup namespaces, and programs on the cgroups of containers",
    objects: [cgroupObject, taskObject, iterObject]
) {
    Case("N-019", "the current cgroup's id is the inode number of its directory", needs: [.cgroup2]) { test in
        let object = try BPFObject(cgroupObject, programs: ["current_id"])
        let tree = try Tree(test)
        for (cgroup, name) in [(tree.c, "c"), (tree.b, "b"), (tree.a, "a"), (Cgroup.root, "the root")] {
            try cgroup.join()
            test.expect(try object.run("current_id").get(), equals: 0, "the program runs")
            test.expect(try object.value(of: "current"), equals: try cgroup.id, "the id in \(name)")
        }
    }
    Case(
        "N-020", "ancestors' ids go from level 0, the root, to the task's own cgroup; deeper levels have 0",
        needs: [.cgroup2]
    ) { test in
        let object = try BPFObject(cgroupObject, programs: ["current_ids"])
        let tree = try Tree(test)
        try tree.attach(test, object)
        let (root, a, b, c) = (try Cgroup.root.id, try tree.a.id, try tree.b.id, try tree.c.id)
        for (cgroup, ids, name) in [
            (tree.c, [root, a, b, c, 0, 0, 0, 0], "c"), (tree.a, [root, a, 0, 0, 0, 0, 0, 0], "a"),
        ] {
            try cgroup.join()
            try object.set("runs", to: UInt32(0))
            _ = try Sockets.make(.udp)
            test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program for a socket")
            test.expect(try object.value(of: "current"), equals: try cgroup.id, "the id in \(name)")
            test.expect(try object.words(of: "ancestors"), equals: ids, "ids from \(name): \(Tree.said)")
        }
    }
    Case("N-021", "a cgroup namespace changes no id that programs see", needs: [.cgroup2]) { test in
        let object = try BPFObject(cgroupObject, programs: ["current_ids"])
        let tree = try Tree(test)
        try tree.attach(test, object)
        try tree.b.join()
        let findings = try aside(in: [.cgroup]) { findings, _ in
            // The namespace's root is b: what comes after it is seen from there.
            try tree.c.join()
            _ = try Sockets.make(.udp)
            let path = String(decoding: try readFile("/proc/self/cgroup"), as: UTF8.self)
            findings.note("path", path.split(separator: "\n").last { $0.hasPrefix("0::") } ?? "none")
        }
        test.expect(findings, ["path": "0::/c"])
        test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program for a socket")
        test.expect(try object.value(of: "current"), equals: try tree.c.id, "the id of c, in b's namespace")
        test.expect(
            try object.words(of: "ancestors"),
            equals: [try Cgroup.root.id, try tree.a.id, try tree.b.id, try tree.c.id, 0, 0, 0, 0],
            "ids from c, in b's namespace: \(Tree.said)")
    }
    Case(
        "N-022", "bpf_cgroup_from_id finds cgroups outside the caller's cgroup namespace", since: "6.12",
        needs: [.cgroup2, CgroupFeatures.fromID]
    ) { test in
        let object = try BPFObject(taskObject, programs: ["from_id"])
        let tree = try Tree(test)
        let sibling = try tree.a.child("sibling")
        try tree.b.join()
        let findings = try aside(in: [.cgroup]) { findings, _ in
            for (name, id) in [
                ("sibling", try sibling.id), ("own", try tree.b.id), ("above", try tree.a.id),
                ("root", try Cgroup.root.id), ("none", UInt64.max), ("zero", 0),
            ] {
                try object.set("cgroup_wanted", to: id)
                findings.note("\(name): found", try object.run("from_id").get())
                findings.note("\(name): id", try object.value(of: "found_id", as: UInt64.self) == id)
            }
        }
        test.expect(
            findings,
            [
                "sibling: found": "1", "sibling: id": "true", "own: found": "1", "own: id": "true",
                "above: found": "1", "above: id": "true", "root: found": "1", "root: id": "true",
                "none: found": "0", "none: id": "false", "zero: found": "0", "zero: id": "true",
            ])
        let id = try sibling.id
        try test.require(success: sibling.remove(), "the sibling is removed")
        try object.set("cgroup_wanted", to: id)
        test.expect(try object.run("from_id").get(), equals: 0, "a removed cgroup is not found")
    }
    Case(
        "N-023", "an iterator is not made for a cgroup outside the caller's cgroup namespace: ENOENT",
        needs: [.cgroup2, CgroupFeatures.iterator]
    ) { test in
        let object = try BPFObject(iterObject, programs: ["cgroup"])
        let program = try object.program("cgroup")
        let tree = try Tree(test)
        let sibling = try tree.a.child("sibling")
        try tree.b.join()
        let ids = [("sibling", try sibling.id), ("above", try tree.a.id), ("own", try tree.b.id)]
        for (name, id) in ids {
            test.expect(
                BPFCall.iterator(program, info: iteratorInfo(order: 1, id: id)).errno, nil, "outside: \(name)")
        }
        let shown = try aside(in: [.cgroup]) { findings, _ in
            for (name, id) in ids {
                findings.note(name, BPFCall.iterator(program, info: iteratorInfo(order: 1, id: id)).errno)
            }
            let link = try BPFCall.iterator(program, info: iteratorInfo(order: 2, id: try tree.b.id)).get()
            let lines = try BPFCall.read(iterator: link).split(separator: "\n").joined(separator: " ")
            findings.note("b and what is below", lines)
        }
        test.expect(
            shown,
            [
                "sibling": "ENOENT", "above": "ENOENT", "own": "0",
                "b and what is below": "\(try tree.b.id) \(try tree.c.id)",
            ])
    }
    for (name, program) in [("tc", "in_egress"), ("cgroup_skb", "in_cgroup_skb")] {
        Case(
            "N-024.\(name)",
            "a \(name) program sees the cgroup that the sending socket was made in, and those above it",
            spec: ["N-024"], needs: [.cgroup2]
        ) { test in
            let object = try BPFObject(cgroupObject, programs: [program, "in_ingress"])
            let tree = try Tree(test)
            try test.require(success: Namespaces.unshare(.network), "a network namespace is made")
            try Netlink.setUp("lo")
            try test.require(
                success: TrafficControl.attach(try object.program("in_ingress"), to: "lo", .ingress),
                "the program for received packets is attached")
            if program == "in_egress" {
                try test.require(
                    success: TrafficControl.attach(try object.program(program), to: "lo", .egress),
                    "the program for sent packets is attached")
            } else {
                let directory = try tree.a.open()
                try test.require(
                    success: BPFCall.attach(try object.program(program), to: directory.raw, .cgroupInetEgress),
                    "the program is attached to a")
            }
            try tree.c.join()
            let socket = try Loopback()
            // A socket stays with the cgroup that it was made in.
            try tree.b.join()
            test.expect(try socket.exchange(), "a datagram goes over lo")
            test.expect(try object.value(of: "runs"), equals: UInt32(1), "packets sent")
            test.expect(try object.value(of: "sender"), equals: try tree.c.id, "the sender's cgroup")
            test.expect(
                try object.words(of: "sender_ancestors"),
                equals: [try Cgroup.root.id, try tree.a.id, try tree.b.id, try tree.c.id, 0, 0, 0, 0],
                "ids from c: \(Tree.said)")
            test.expect(try object.value(of: "received"), equals: UInt32(1), "packets received")
            test.expect(
                try object.value(of: "receiver"), equals: UInt64(0),
                "the cgroup of a packet that has no socket any more")
        }
    }
    Case(
        "N-025", "bpf_task_under_cgroup follows a task that moves, with the cgroup kept in a map", since: "6.12",
        needs: [.cgroup2, CgroupFeatures.fromID, CgroupFeatures.underCgroup]
    ) { test in
        let object = try BPFObject(taskObject, programs: ["keep_cgroup", "under_kept"])
        let tree = try Tree(test)
        let under = { try object.run("under_kept").get() }
        test.expect(try under(), equals: 2, "2: nothing is kept at first")
        try object.set("cgroup_wanted", to: try tree.b.id)
        test.expect(try object.run("keep_cgroup").get(), equals: 1, "b goes into the map")
        for (cgroup, name, answer) in [
            (tree.b, "b", UInt32(1)), (tree.c, "c, below b", 1), (tree.a, "a, above b", 0), (.root, "the root", 0),
            (tree.c, "c again", 1), (tree.a, "a again", 0),
        ] {
            try cgroup.join()
            test.expect(try under(), equals: answer, "in \(name)")
        }
        // The map holds the cgroup, not its directory.
        try test.require(success: tree.c.remove(), "c is removed")
        try test.require(success: tree.b.remove(), "b is removed")
        test.expect(try under(), equals: 0, "b is gone, its kernel object is not")
        try object.set("cgroup_wanted", to: UInt64(0))
        test.expect(try object.run("keep_cgroup").get(), equals: 1, "b is given back")
        test.expect(try under(), equals: 2, "2: nothing is kept at the end")
    }
    for (name, type, program, counter) in CgroupPrograms.all {
        Case(
            "N-052.\(name)", "a container's traffic runs the \(name) program on its cgroup, loaded outside of it",
            spec: ["N-052"], needs: [.cgroup2]
        ) { test in
            let object = try BPFObject(cgroupObject, programs: [program])
            let cgroup = try test.attach(object, program, type)
            let inside = try cgroup.child("container")
            try inside.join()
            let findings = try aside(in: Namespaces.Kind.allCases) { findings, _ in
                try Netlink.setUp("lo")
                findings.note("number", getpid())
                findings.note("a datagram goes over lo", try CgroupPrograms.traffic())
            }
            test.expect(findings, ["number": "1", "a datagram goes over lo": "true"])
            test.expect(try object.value(of: counter), equals: UInt32(1), "runs of the program")
            if program == "on_connect" {
                test.expect(
                    try object.value(of: "connect_cgroup"), equals: try inside.id, "the cgroup that it ran for")
            }
        }
        Case(
            "N-053.\(name)", "processes outside the cgroup do not run the \(name) program on it", spec: ["N-053"],
            needs: [.cgroup2]
        ) { test in
            let object = try BPFObject(cgroupObject, programs: [program])
            let cgroup = try test.attach(object, program, type)
            let sibling = try Cgroup(test, "sibling")
            for (other, name) in [(sibling, "a sibling"), (.root, "the root")] {
                try other.join()
                let findings = try aside(in: Namespaces.Kind.allCases) { findings, _ in
                    try Netlink.setUp("lo")
                    findings.note("a datagram goes over lo", try CgroupPrograms.traffic())
                }
                test.expect(findings, ["a datagram goes over lo": "true"])
                test.expect(try object.value(of: counter), equals: UInt32(0), "runs for a process in \(name)")
            }
            // That it can run at all, and stops when it is detached.
            try cgroup.join()
            try test.require(success: Namespaces.unshare(.network), "a network namespace is made")
            try Netlink.setUp("lo")
            test.expect(try CgroupPrograms.traffic(), "a datagram goes over lo")
            test.expect(try object.value(of: counter), equals: UInt32(1), "runs for a process in the cgroup")
            let directory = try cgroup.open()
            test.expect(
                BPFCall.detach(try object.program(program), from: directory.raw, type), nil, "the program is detached")
            test.expect(try CgroupPrograms.traffic(), "a datagram goes over lo")
            test.expect(try object.value(of: counter), equals: UInt32(1), "runs after the program was detached")
        }
    }
    Case(
        "N-052.refusal", "a program outside says no to a container's sockets, which fail with EPERM", spec: ["N-052"],
        needs: [.cgroup2]
    ) { test in
        let object = try BPFObject(cgroupObject, programs: ["refuse_sockets"])
        try test.attach(object, "refuse_sockets", .cgroupSockCreate)
        let findings = try aside(in: Namespaces.Kind.allCases) { findings, _ in
            do {
                _ = try Sockets.make(.udp)
                findings.note("socket", nil)
            } catch let errno {
                findings.note("socket", errno as? Errno)
            }
        }
        test.expect(findings, ["socket": "EPERM"])
        test.expect(try object.value(of: "creations"), equals: UInt32(1), "runs of the program")
    }
}

private enum CgroupPrograms {
    static let all: [(String, AttachType, String, String)] = [
        ("connect4", .cgroupInet4Connect, "on_connect", "connects"),
        ("sock_create", .cgroupSockCreate, "on_create", "creations"),
        ("cgroup_skb", .cgroupInetEgress, "on_packet", "packets"),
    ]

    /// One socket is made and connected to itself, and sends one datagram.
    static func traffic() throws -> Bool {
        let socket = try Sockets.listener(.udp)
        if let errno = Sockets.connect(socket, port: try Sockets.port(of: socket)) { throw errno }
        if let errno = Sockets.send(socket) { throw errno }
        return Sockets.take(socket) == nil
    }
}

enum CgroupFeatures {
    static let fromID = Feature.kfunc("bpf_cgroup_from_id", since: "6.4", config: ["CONFIG_CGROUPS"])
    static let underCgroup = Feature.kfunc("bpf_task_under_cgroup", since: "6.5", config: ["CONFIG_CGROUPS"])
    /// The cgroup iterator (commit d4ccaf58a847, 6.1), seen by the kernel's own function that registers it.
    static let iterator = Feature.kfunc("bpf_iter_cgroup", since: "6.1", config: ["CONFIG_CGROUPS"])
}

/// `struct { u32 order; u32 cgroup_fd; u64 cgroup_id; }` of `union bpf_iter_link_info`.
private func iteratorInfo(order: UInt32, id: UInt64) -> [UInt8] {
    order.bytes + UInt32(0).bytes + id.bytes
}

/// Three cgroups, each in the one before.
private struct Tree {
    let a: Cgroup
    let b: Cgroup
    let c: Cgroup

    init(_ test: Test) throws {
        a = try Cgroup(test, "a")
        b = try a.child("b")
        c = try b.child("c")
    }

    /// Has the program run for sockets made in a and below.
    func attach(_ test: Test, _ object: BPFObject) throws {
        let directory = try a.open()
        try test.require(
            success: BPFCall.attach(
                try object.program("current_ids"), to: directory.raw, .cgroupSockCreate),
            "the program is attached to a")
    }

    static let said = "levels 0, 1, 2, 3, 4, 99, -1, the highest number"
}

extension BPFObject {
    /// A global array of 64-bit numbers.
    func words(of variable: String) throws -> [UInt64] {
        let bytes = try bytes(of: variable)
        return stride(from: 0, to: bytes.count, by: 8).map { start in
            (0..<8).reduce(0) { $0 | UInt64(bytes[start + $1]) << (8 * UInt64($1)) }
        }
    }
}
