// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let cgroupObject = "namespaces/cgroup.bpf.o"

/// N-026 to N-032 and N-054 of docs/semantics/namespaces.md.
let userSuite = Suite(
    "namespaces.user", "what the root of a user namespace may do with BPF", objects: [netObject, cgroupObject]
) {
    for value in [2, 0] {
        Case(
            "N-026.\(value)",
            "the root of a user namespace loads no privileged program, with unprivileged_bpf_disabled at \(value)",
            spec: ["N-026"]
        ) { test in
            try test.set(unprivileged: value)
            let findings = try aside(in: [.user]) { findings, _ in
                for (name, program) in privileged { findings.note(name, program.load().errno) }
            }
            for (name, program) in privileged {
                test.expect(findings[name], equals: "EPERM", "\(name) in the user namespace")
                test.expect(program.load().errno, nil, "\(name) by the machine's root")
            }
        }
    }
    Case("N-027", "unprivileged users load socket filters, and use them, where the sysctl lets them") { test in
        try test.set(unprivileged: 0)
        let findings = try aside(in: [.user, .network]) { findings, _ in
            try Netlink.setUp("lo")
            for (verdict, name) in [(Int32(0), "dropping"), (-1, "passing")] {
                let answer = RawProgram.returning(verdict & 0xffff, .socketFilter).load()
                findings.note("\(name): load", answer.errno)
                guard let program = try? answer.program.get() else { continue }  // noted above
                let receiver = try Sockets.listener(.udp)
                findings.note("\(name): attach", Filters.attach(program.raw, to: receiver.raw))
                let sender = try Sockets.make(.udp)
                findings.note("\(name): connect", Sockets.connect(sender, port: try Sockets.port(of: receiver)))
                findings.note("\(name): send", Sockets.send(sender))
                findings.note("\(name): receive", Sockets.take(receiver))
            }
            findings.note(
                "cgroup_skb: load", RawProgram.returning(1, .cgroupSkb, expectedAttachType: 1).load().errno)
            // Pointers are not for them.
            findings.note(
                "a pointer leaks",
                RawProgram(.socketFilter, [.copy(0, from: 10), .exit]).load().errno)
        }
        test.expect(
            findings,
            [
                "dropping: load": "0", "dropping: attach": "0", "dropping: connect": "0", "dropping: send": "0",
                "dropping: receive": "EAGAIN",
                "passing: load": "0", "passing: attach": "0", "passing: connect": "0", "passing: send": "0",
                "passing: receive": "0",
                "cgroup_skb: load": "0", "a pointer leaks": "EACCES",
            ])
        for value in [2] {
            try test.set(unprivileged: value)
            let refused = try aside(in: [.user]) { findings, _ in
                findings.note("load", RawProgram.returning(0, .socketFilter).load().errno)
                findings.note(
                    "load cgroup_skb", RawProgram.returning(1, .cgroupSkb, expectedAttachType: 1).load().errno)
            }
            test.expect(refused, ["load": "EPERM", "load cgroup_skb": "EPERM"])
        }
    }
    Case("N-028", "unprivileged users make maps only where the sysctl lets them, and only plain ones") { test in
        let kinds: [(String, BPFMap.Kind, Int, Int)] = [
            ("hash", .hash, 4, 8), ("array", .array, 4, 8), ("lru_hash", .lruHash, 4, 8), ("devmap", .devmap, 4, 4),
            ("cpumap", .cpumap, 4, 4), ("queue", .queue, 0, 8),
        ]
        func make() throws -> Findings {
            try aside(in: [.user]) { findings, _ in
                for (name, kind, key, value) in kinds {
                    findings.note(name, BPFMap.create(kind, key: key, value: value).errno)
                }
            }
        }
        try test.set(unprivileged: 2)
        test.expect(
            try make(),
            [
                "hash": "EPERM", "array": "EPERM", "lru_hash": "EPERM", "devmap": "EPERM", "cpumap": "EPERM",
                "queue": "EPERM",
            ])
        try test.set(unprivileged: 0)
        test.expect(
            try make(),
            [
                "hash": "0", "array": "0", "lru_hash": "EPERM", "devmap": "EPERM", "cpumap": "EPERM",
                "queue": "EPERM",
            ])
        for (name, kind, key, value) in kinds {
            test.expect(
                BPFMap.create(kind, key: key, value: value).errno, nil, "\(name) by the machine's root")
        }
    }
    Case("N-029", "unprivileged_bpf_disabled goes from 0 to 2 and back, and takes no other number") { test in
        try test.set(unprivileged: 0)
        for value in [2, 0, 2, 2, 0] {
            test.expect(Unprivileged.write("\(value)"), nil, "\(value) is written")
            test.expect(try Unprivileged.read(), equals: "\(value)", "what is read after \(value)")
        }
        for text in ["3", "-1", "x"] {
            test.expect(Unprivileged.write(text), .EINVAL, "\(text) is written")
            test.expect(try Unprivileged.read(), equals: "0", "what is read after \(text)")
        }
        let findings = try aside(in: [.user]) { findings, _ in
            findings.note("write in a user namespace", Unprivileged.write("2"))
        }
        test.expect(findings, ["write in a user namespace": "EPERM"])
        test.expect(try Unprivileged.read(), equals: "0", "what is read at the end")
    }
    Case(
        "N-029.lock", "unprivileged_bpf_disabled stays at 1 once it is there: EPERM", spec: ["N-029"], alone: true
    ) { test in
        test.expect(Unprivileged.write("1"), nil, "1 is written")
        test.expect(try Unprivileged.read(), equals: "1", "what is read")
        for value in ["0", "2"] {
            test.expect(Unprivileged.write(value), .EPERM, "\(value) is written after 1")
            test.expect(try Unprivileged.read(), equals: "1", "what is read after \(value)")
        }
        test.expect(Unprivileged.write("1"), nil, "1 is written once more")
        let findings = try aside(in: [.user]) { findings, _ in
            findings.note("load", RawProgram.returning(0, .socketFilter).load().errno)
            findings.note("hash", BPFMap.create(.hash).errno)
        }
        test.expect(findings, ["load": "EPERM", "hash": "EPERM"])
        test.expect(RawProgram.returning(0, .socketFilter).load().errno, nil, "the machine's root loads a program")
    }
    Case(
        "N-030", "a received sched_cls program is attached to tcx in the receiver's own network namespace",
        needs: [.tcx]
    ) { test in
        let object = try BPFObject(netObject, programs: ["count_marked"])
        let program = try object.program("count_marked")
        let findings = try aside(in: [.user, .network]) { findings, channel in
            try Netlink.setUp("lo")
            let received = try channel.receiveDescriptor()
            let lo = try Netlink.index("lo")
            let target = MprogTarget(ifindex: lo, type: .tcxEgress)
            findings.note("load", RawProgram.returning(0, .schedCls).load().errno)
            findings.note("attach", target.attach(received.raw))
            findings.note("link", target.createLink(received.raw, [], relative: 0).errno)
            let packet = [UInt8](repeating: 0, count: 64)
            findings.note("send", Sockets.sendPacket(packet, protocol: 0x88b5, device: lo))
            findings.note("detach", target.detach(received.raw))
            findings.note("send", Sockets.sendPacket(packet, protocol: 0x88b5, device: lo))
        } meanwhile: { channel, _ in
            try channel.send(passing: [program])
        }
        test.expect(findings["load"], equals: "EPERM", "the receiver cannot load such a program itself")
        test.expect(findings["attach"], equals: "0", "it attaches the one it got")
        test.expect(findings["link"], equals: "EEXIST", "and not twice")
        test.expect(findings["send"], equals: "0", "a packet is sent")
        test.expect(findings["detach"], equals: "0", "it detaches it")
        test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program: once, not after the detach")
    }
    Case(
        "N-031", "a received cgroup_skb program is not attached by the root of a user namespace", needs: [.cgroup2]
    ) { test in
        // Up to 5.18 the sysctl closes all of bpf(2) to users without CAP_BPF (commit c8644cd0efe7).
        try test.set(unprivileged: 0)
        let object = try BPFObject(cgroupObject, programs: ["on_packet"])
        let program = try object.program("on_packet")
        let cgroup = try Cgroup(test)
        let findings = try aside(in: [.user]) { findings, channel in
            let received = try channel.receiveDescriptor()
            let directory = try cgroup.open()
            findings.note("attach", BPFCall.attach(received.raw, to: directory.raw, .cgroupInetEgress))
            findings.note("link", BPFCall.link(received.raw, to: directory.raw, .cgroupInetEgress).errno)
        } meanwhile: { channel, _ in
            try channel.send(passing: [program])
        }
        test.expect(findings, ["attach": "EINVAL", "link": "EPERM"])
        let directory = try cgroup.open()
        test.expect(
            try BPFCall.count(at: directory.raw, .cgroupInetEgress).get(), equals: 0, "programs on the cgroup")
        test.expect(
            BPFCall.attach(program, to: directory.raw, .cgroupInetEgress), nil, "the machine's root attaches it")
        test.expect(
            try BPFCall.count(at: directory.raw, .cgroupInetEgress).get(), equals: 1, "programs on the cgroup")
    }
    Case(
        "N-032", "a received cgroup_sock program is attached by the root of a user namespace, and decides",
        needs: [.cgroup2]
    ) { test in
        try test.set(unprivileged: 0)
        let object = try BPFObject(cgroupObject, programs: ["refuse_sockets"])
        let program = try object.program("refuse_sockets")
        let cgroup = try Cgroup(test)
        let findings = try aside(in: [.user]) { findings, channel in
            let received = try channel.receiveDescriptor()
            let directory = try cgroup.open()
            findings.note("attach", BPFCall.attach(received.raw, to: directory.raw, .cgroupSockCreate))
        } meanwhile: { channel, _ in
            try channel.send(passing: [program])
        }
        test.expect(findings, ["attach": "0"])
        let directory = try cgroup.open()
        test.expect(
            try BPFCall.count(at: directory.raw, .cgroupSockCreate).get(), equals: 1, "programs on the cgroup")
        try cgroup.join()
        do {
            _ = try Sockets.make(.udp)
            test.fail("a socket in the cgroup", expected: "EPERM", observed: "0")
        } catch let errno {
            test.expect(errno as? Errno, .EPERM, "a socket in the cgroup")
        }
        test.expect(try object.value(of: "creations"), equals: UInt32(1), "runs of the program")
    }
    Case("N-054", "the root of a user namespace neither queries nor finds BPF objects by their ids") { test in
        try test.set(unprivileged: 0)
        let program = try RawProgram.returning(0, .socketFilter).load().program.get()
        let id = try BPFInfo.programID(program.raw).get()
        let root = Cgroup.root
        try test.require(success: Cgroup.mount(), "cgroup2 is there")
        let calls: [(String, Attr.Command, UInt32)] = [
            ("PROG_GET_NEXT_ID", .progGetNextID, 0), ("MAP_GET_NEXT_ID", .mapGetNextID, 0),
            ("BTF_GET_NEXT_ID", .btfGetNextID, 0), ("LINK_GET_NEXT_ID", .linkGetNextID, 0),
            ("PROG_GET_FD_BY_ID", .progGetFDByID, id), ("MAP_GET_FD_BY_ID", .mapGetFDByID, 1),
            ("BTF_GET_FD_BY_ID", .btfGetFDByID, 1), ("LINK_GET_FD_BY_ID", .linkGetFDByID, 1),
        ]
        let findings = try aside(in: [.user, .network]) { findings, _ in
            for (name, command, number) in calls { findings.note(name, BPFCall.byID(command, number).errno) }
            let directory = try root.open()
            findings.note("PROG_QUERY", BPFCall.count(at: directory.raw, .cgroupInetEgress).errno)
        }
        for (name, _, _) in calls { test.expect(findings[name], equals: "EPERM", name) }
        test.expect(findings["PROG_QUERY"], equals: "EPERM", "PROG_QUERY of a cgroup")
        switch BPFCall.byID(.progGetFDByID, id) {
        case .success(let raw):
            let again = FileHandle(adopting: raw)
            test.expect(try BPFInfo.programID(again.raw).get(), equals: id, "the machine's root finds the program")
        case .failure(let errno): test.expect(errno, nil, "the machine's root finds the program")
        }
    }
}

/// Programs that unprivileged users may not load whatever the sysctl says.
private let privileged: [(String, RawProgram)] = [
    ("sched_cls", .returning(0, .schedCls)),
    ("cgroup_sock", .returning(1, .cgroupSock, expectedAttachType: AttachType.cgroupSockCreate.rawValue)),
    ("xdp", .returning(2, .xdp)),
    ("kprobe", .returning(0, .kprobe)),
    ("raw_tracepoint", .returning(0, .rawTracepoint)),
]

/// kernel.unprivileged_bpf_disabled.
enum Unprivileged {
    private static let path = "/proc/sys/kernel/unprivileged_bpf_disabled"

    static func read() throws(Errno) -> String {
        String(decoding: try readFile(path), as: UTF8.self).filter { !$0.isWhitespace }
    }

    /// nil on success.
    static func write(_ text: String) -> Errno? {
        do {
            try Descriptors.open(path, O_WRONLY).writeAll(Array(text.utf8))
            return nil
        } catch {
            return error
        }
    }
}

extension Test {
    /// Sets the sysctl to 0 or 2 until the end of the case.
    func set(unprivileged value: Int) throws {
        let before = try Unprivileged.read()
        try require(before != "1", "unprivileged_bpf_disabled can be set: it is not 1")
        try require(success: Unprivileged.write("\(value)"), "unprivileged_bpf_disabled is set to \(value)")
        atEnd { _ = Unprivileged.write(before) }
    }
}
