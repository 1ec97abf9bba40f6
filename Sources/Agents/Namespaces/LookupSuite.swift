// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let lookupObject = "namespaces/lookup.bpf.o"
private let iterObject = "namespaces/iter.bpf.o"
private let conntrackObject = "namespaces/conntrack.bpf.o"

/// N-043 to N-050 of docs/semantics/namespaces.md.
let lookupSuite = Suite(
    "namespaces.lookup", "programs on network namespaces, sockets by namespace, and iterators",
    objects: [lookupObject, iterObject, conntrackObject]
) {
    Case("N-043", "flow dissectors of the initial network namespace and of others exclude each other: EEXIST") { test in
        let object = try BPFObject(lookupObject, programs: ["dissect"])
        let program = try object.program("dissect")
        let initial = try Namespaces.open(.network)
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        let b = try Namespaces.open(.network)
        try Netlink.setUp("lo")
        let attach = { BPFCall.attach(program, to: 0, .flowDissector) }
        let link = { (namespace: FileHandle) in BPFCall.link(program, to: namespace.raw, .flowDissector) }
        func send(_ what: String, runs: UInt32) throws {
            try object.set("runs", to: UInt32(0))
            test.expect(Sockets.sendPacket(ipv4, protocol: 0x0800, device: 1), nil, "a packet is sent: \(what)")
            test.expect(try object.value(of: "runs"), equals: runs, "runs of the dissector: \(what)")
        }
        try send("no dissector", runs: 0)
        test.expect(attach(), nil, "attached in B")
        try send("B has one", runs: 1)
        test.expect(attach(), .EINVAL, "the same program once more in B")
        test.expect(link(b).errno, .EEXIST, "a link in B beside it")
        test.expect(link(initial).errno, .EEXIST, "a link in the initial namespace")
        try test.require(success: Namespaces.enter(initial.raw), "the initial namespace is entered")
        test.expect(attach(), .EEXIST, "attached in the initial namespace")
        try test.require(success: Namespaces.enter(b.raw), "B is entered")
        test.expect(BPFCall.detach(program, from: 0, .flowDissector), nil, "detached in B")
        try send("B has none any more", runs: 0)
        let held = try link(initial).get()
        try send("the initial namespace has one", runs: 1)
        test.expect(attach(), .EEXIST, "attached in B while the initial namespace has one")
        test.expect(link(b).errno, .EEXIST, "a link in B while the initial namespace has one")
        held.close()
        try send("nobody has one", runs: 0)
        let own = try link(b).get()
        test.expect(link(b).errno, Errno(rawValue: 7), "a second link in B: E2BIG")
        test.expect(attach(), .EEXIST, "attached in B beside a link")
        try send("B has a link", runs: 1)
        own.close()
        test.expect(attach(), nil, "attached in B when the link is gone")
    }
    Case("N-044", "a sk_lookup program chooses sockets in its network namespace and in no other") { test in
        let object = try BPFObject(lookupObject, programs: ["choose"])
        try test.require(success: Namespaces.unshare(.network), "namespace A is made")
        let a = try Namespaces.open(.network)
        try Netlink.setUp("lo")
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        let b = try Namespaces.open(.network)
        try Netlink.setUp("lo")
        let listener = try Sockets.listener(.tcp)
        try object.set("port", to: UInt32(7007))
        try test.require(
            success: BPFMap(borrowing: try object.map("sockets")).update(
                UInt32(0).bytes, to: UInt64(listener.raw).bytes),
            "the listening socket goes into the map")
        test.expect(Sockets.connect(try Sockets.make(.tcp), port: 7007), .connectionRefused, "B without a program")
        let link = try BPFCall.link(try object.program("choose"), to: b.raw, .skLookup).get()
        let client = try Sockets.make(.tcp)
        test.expect(Sockets.connect(client, port: 7007), nil, "B with the program")
        test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program for one connection")
        test.expect(try object.value(of: "assigned"), equals: Int64(0), "bpf_sk_assign")
        let accepted = try Sockets.accept(listener)
        test.expect(Sockets.send(client), nil, "a byte is sent")
        // Where softirqs are left to ksoftirqd it comes after the sender's return.
        try test.eventually("it comes to the socket that the program chose") { Sockets.take(accepted) == nil }
        try test.require(success: Namespaces.enter(a.raw), "A is entered")
        test.expect(Sockets.connect(try Sockets.make(.tcp), port: 7007), .connectionRefused, "A")
        test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs after a connection in A")
        try test.require(success: Namespaces.enter(b.raw), "B is entered")
        link.close()
        test.expect(Sockets.connect(try Sockets.make(.tcp), port: 7007), .connectionRefused, "B without the link")
        test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs without the link")
    }
    Case(
        "N-044.drop", "a sk_lookup program that drops hides a listening socket of its namespace", spec: ["N-044"]
    ) { test in
        let object = try BPFObject(lookupObject, programs: ["drop"])
        try test.require(success: Namespaces.unshare(.network), "namespace A is made")
        let a = try Namespaces.open(.network)
        try Netlink.setUp("lo")
        let there = try Sockets.listener(.tcp, port: 7007)
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        let b = try Namespaces.open(.network)
        try Netlink.setUp("lo")
        let here = try Sockets.listener(.tcp, port: 7007)
        try object.set("port", to: UInt32(7007))
        try test.require(success: Namespaces.enter(a.raw), "A is entered")
        // Where the caller is says nothing: the descriptor does.
        let link = try BPFCall.link(try object.program("drop"), to: b.raw, .skLookup).get()
        test.expect(Sockets.connect(try Sockets.make(.tcp), port: 7007), nil, "A, which has no program")
        try test.require(success: Namespaces.enter(b.raw), "B is entered")
        test.expect(Sockets.connect(try Sockets.make(.tcp), port: 7007), .connectionRefused, "B with the program")
        test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program")
        try test.require(success: Namespaces.enter(a.raw), "A is entered again")
        test.expect(Sockets.connect(try Sockets.make(.tcp), port: 7007), nil, "A, which still has none")
        try test.require(success: Namespaces.enter(b.raw), "B is entered")
        test.expect(link.detach(), nil, "the link is detached")
        test.expect(Sockets.connect(try Sockets.make(.tcp), port: 7007), nil, "B with the link detached")
        test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program at the end")
        withExtendedLifetime((there, here)) {}
    }
    Case(
        "N-044.order", "sk_lookup programs run in the order of attachment, which updates and detaching keep",
        spec: ["N-044"]
    ) { test in
        let object = try BPFObject(lookupObject, programs: ["first", "second", "third"])
        try test.require(success: Namespaces.unshare(.network), "a network namespace is made")
        let own = try Namespaces.open(.network)
        try Netlink.setUp("lo")
        try object.set("port", to: UInt32(7007))
        let programs = try ["first", "second", "third"].map { try object.program($0) }
        func link(_ number: Int) throws -> BPFLink {
            try BPFCall.link(programs[number - 1], to: own.raw, .skLookup).get()
        }
        func expectOrder(_ order: [UInt32], _ what: String) throws {
            try object.set("length", to: UInt32(0))
            let sender = try Sockets.make(.udp)
            test.expect(Sockets.connect(sender, port: 7007), nil, "a UDP socket connects")
            test.expect(Sockets.send(sender), nil, "a datagram is sent")
            let length = Int(try object.value(of: "length", as: UInt32.self))
            test.expect(try object.trace(length), equals: order, "programs that ran: \(what)")
        }
        var links = [try link(2), try link(1), try link(3)]
        try expectOrder([2, 1, 3], "attached as 2, 1, 3")
        links[1].close()
        links.remove(at: 1)
        try expectOrder([2, 3], "without the middle one")
        links.append(try link(1))
        try expectOrder([2, 3, 1], "1 attached again")
        test.expect(links[0].update(to: programs[0]), nil, "the first link gets program 1")
        try expectOrder([1, 3, 1], "after the update")
        test.expect(links[0].detach(), nil, "the first link is detached")
        try expectOrder([3, 1], "after the detach")
        for link in links { link.close() }
        try expectOrder([], "after all links are closed")
    }
    Case(
        "N-044.most", "a network namespace takes 64 sk_lookup links and then says E2BIG", spec: ["N-044"]
    ) { test in
        let object = try BPFObject(lookupObject, programs: ["first"])
        try test.require(success: Namespaces.unshare(.network), "a network namespace is made")
        let own = try Namespaces.open(.network)
        try Netlink.setUp("lo")
        let program = try object.program("first")
        var links: [BPFLink] = []
        for number in 1...64 {
            guard case .success(let link) = BPFCall.link(program, to: own.raw, .skLookup) else {
                test.fail("link \(number)", expected: "0", observed: Errno.last.name)
                return
            }
            links.append(link)
        }
        test.expect(BPFCall.link(program, to: own.raw, .skLookup).errno, Errno(rawValue: 7), "link 65: E2BIG")
        test.expect(try BPFCall.count(at: own.raw, .skLookup).get(), equals: 64, "programs that a query counts")
        try object.set("port", to: UInt32(7007))
        let sender = try Sockets.make(.udp)
        test.expect(Sockets.connect(sender, port: 7007), nil, "a UDP socket connects")
        test.expect(Sockets.send(sender), nil, "a datagram is sent")
        test.expect(try object.value(of: "length"), equals: UInt32(64), "programs that ran for a datagram")
        links.removeLast().close()
        test.expect(BPFCall.link(program, to: own.raw, .skLookup).errno, nil, "one is closed, there is room for one")
    }
    Case("N-045", "a link outlives its network namespace: no inode any more, and updates say ENOLINK") { test in
        let object = try BPFObject(lookupObject, programs: ["first", "second", "dissect"])
        let programs = try ["first", "second", "dissect"].map { try object.program($0) }
        let initial = try Namespaces.open(.network)
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        let b = try Namespaces.open(.network)
        let inode = UInt32(truncatingIfNeeded: try Namespaces.identity(.network).inode)
        let links = [
            (try BPFCall.link(programs[0], to: b.raw, .skLookup).get(), AttachType.skLookup, programs[1]),
            (try BPFCall.link(programs[2], to: b.raw, .flowDissector).get(), AttachType.flowDissector, programs[2]),
        ]
        for (link, type, other) in links {
            let info = try NetnsLinkInfo(link)
            test.expect(info.type, equals: 5, "the link's type: BPF_LINK_TYPE_NETNS")
            test.expect(info.inode, equals: inode, "the inode of B, \(type)")
            test.expect(info.attachType, equals: type.rawValue, "the attach type")
            test.expect(link.update(to: other), nil, "an update while B is there, \(type)")
        }
        try test.require(success: Namespaces.enter(initial.raw), "the initial namespace is entered")
        b.close()
        // The kernel takes the namespace down behind our back; a grace period is a part of that.
        for _ in 0..<200 where try NetnsLinkInfo(links[0].0).inode != 0 { GracePeriods.pass() }
        for (link, type, other) in links {
            let info = try NetnsLinkInfo(link)
            test.expect(info.inode, equals: 0, "the inode of a namespace that is gone, \(type)")
            test.expect(info.attachType, equals: type.rawValue, "the attach type")
            test.expect(link.update(to: other), Errno(rawValue: 67), "an update: ENOLINK, \(type)")
            test.expect(link.detach(), nil, "a detach, \(type)")
        }
    }
    Case("N-046", "links to network namespaces take no flags: EINVAL") { test in
        let object = try BPFObject(lookupObject, programs: ["first", "dissect"])
        try test.require(success: Namespaces.unshare(.network), "a network namespace is made")
        let own = try Namespaces.open(.network)
        for (program, type) in [("first", AttachType.skLookup), ("dissect", .flowDissector)] {
            let program = try object.program(program)
            for flags: UInt32 in [1, 2, 1 << 31] {
                test.expect(BPFCall.link(program, to: own.raw, type, flags: flags).errno, .EINVAL, "flags \(flags)")
            }
            test.expect(BPFCall.link(program, to: own.raw, type).errno, nil, "flags 0")
            test.expect(BPFCall.link(program, to: -1, type).errno, .EBADF, "no descriptor")
            let other = try Namespaces.open(.process)
            test.expect(BPFCall.link(program, to: other.raw, type).errno, .EINVAL, "a pid namespace")
        }
    }
    for (name, kind) in [("tcp", Sockets.Kind.tcp), ("udp", .udp)] {
        Case(
            "N-047.\(name)", "a \(name) iterator shows the sockets of the network namespace that it is opened in",
            spec: ["N-047"]
        ) { test in
            let object = try BPFObject(iterObject, programs: [name])
            let link = try BPFCall.iterator(try object.program(name)).get()
            var sockets: [FileHandle] = []
            var spaces: [FileHandle] = []
            var ports: [UInt16] = []
            for name in ["A", "B"] {
                try test.require(success: Namespaces.unshare(.network), "namespace \(name) is made")
                try Netlink.setUp("lo")
                spaces.append(try Namespaces.open(.network))
                sockets.append(try Sockets.listener(kind))
                ports.append(try Sockets.port(of: sockets[sockets.count - 1]))
            }
            sockets.append(try Sockets.listener(kind))
            let second = try Sockets.port(of: sockets[2])
            let shown = try BPFCall.read(iterator: link).split(separator: "\n").map(String.init).sorted()
            test.expect(shown, equals: [ports[1], second].map(String.init).sorted(), "ports shown in B")
            try test.require(success: Namespaces.enter(spaces[0].raw), "A is entered")
            test.expect(
                try BPFCall.read(iterator: link).split(separator: "\n").map(String.init), equals: ["\(ports[0])"],
                "ports shown in A")
            sockets[0].close()
            test.expect(try BPFCall.read(iterator: link), equals: "", "what is shown in A without a socket")
        }
    }
    Case("N-048", "a task iterator shows the tasks of the pid namespace that it is opened in") { test in
        let object = try BPFObject(iterObject, programs: ["task"])
        let link = try BPFCall.iterator(try object.program("task")).get()
        let findings = try aside(in: [.process]) { findings, _ in
            let child = try Worker { stop in
                try stop.wait()
                return ""
            }
            findings.note("own", try initialNumber())
            findings.note("shown", try BPFCall.read(iterator: link).split(separator: "\n").joined(separator: " "))
            _ = try child.finish()
            findings.note("alone", try BPFCall.read(iterator: link).split(separator: "\n").joined(separator: " "))
        }
        test.expect(
            findings["shown"].split(separator: " ").count, equals: 2, "tasks of the namespace: \(findings["shown"])")
        test.expect(findings["alone"], equals: findings["own"], "the namespace's init alone")
        let all = try BPFCall.read(iterator: link).split(separator: "\n").map(String.init)
        test.expect(all.contains("1") && all.contains("\(getpid())"), "in the initial namespace: init and the caller")
        test.expect(!all.contains(findings["own"]), "the namespace's init is gone")
    }
    Case("N-049", "bpf_sk_lookup_tcp looks in the namespace that the number names, and finds none for others") {
        test in
        let object = try BPFObject(lookupObject, programs: ["ask"])
        try object.set("port", to: UInt32(7007))
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        try Netlink.setUp("lo")
        let b = try Namespaces.open(.network)
        let there = try Sockets.listener(.tcp, port: 7007)
        try test.require(success: Namespaces.unshare(.network), "namespace A is made")
        try Netlink.setUp("lo")
        try Netlink.assign(id: 5, to: b.raw)
        let frame = [UInt8](repeating: 0, count: 64)
        func ask(_ netns: UInt64, _ found: UInt32, _ what: String) throws {
            try object.set("netns", to: netns)
            test.expect(try object.run("ask", data: frame).get(), equals: found, what)
        }
        try ask(UInt64.max, 0, "-1, the own namespace, which has no socket")
        try ask(5, 1, "5, B")
        test.expect(try object.value(of: "found_port"), equals: UInt32(7007), "the port of the socket found")
        try ask(6, 0, "6, nobody's number")
        try ask(1 << 32 | 5, 0, "5 with bit 32 set, more than 32 bits hold")
        try ask(1 << 31 | 5, 0, "negative in 32 bits: the own namespace")
        there.close()
        try ask(5, 0, "5, when B's socket is closed")
        let here = try Sockets.listener(.tcp, port: 7007)
        try ask(UInt64.max, 1, "-1, the own namespace")
        try ask(UInt64(UInt32.max), 1, "-1 in 32 bits, the own namespace")
        try ask(5, 0, "5, B, where no socket is")
        here.close()
        try ask(UInt64.max, 0, "-1, when the socket is closed")
    }
    Case(
        "N-050", "a connection is looked up in the conntrack table of the namespace that netns_id names",
        since: "6.12", needs: [LookupFeatures.conntrack]
    ) { test in
        let object = try BPFObject(conntrackObject, programs: ["add", "look"])
        let frame = [UInt8](repeating: 0, count: 64)
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        try Netlink.setUp("lo")
        let b = try Namespaces.open(.network)
        try object.set("netns", to: Int32(-1))
        test.expect(try object.run("add", data: frame).get(), equals: 1, "a connection is added in B")
        func look(_ netns: Int32, _ answer: Errno?, _ what: String) throws {
            try object.set("netns", to: netns)
            _ = try object.run("look", data: frame).get()
            let error: Int32 = try object.value(of: "error")
            test.expect(error == 0 ? nil : Errno(rawValue: -error), answer, what)
        }
        try look(-1, nil, "in B")
        try test.require(success: Namespaces.unshare(.network), "namespace A is made")
        try Netlink.setUp("lo")
        try Netlink.assign(id: 5, to: b.raw)
        try look(-1, .ENOENT, "in A")
        try look(5, nil, "in A, with B's number")
        try look(6, Errno(rawValue: 64), "in A, with nobody's number: ENONET")
        try look(-2, .EINVAL, "in A, with a negative number other than -1")
    }
}

enum LookupFeatures {
    static let conntrack = Feature.kfunc(
        "bpf_skb_ct_lookup", since: "5.18", config: ["CONFIG_NF_CONNTRACK", "CONFIG_NF_CONNTRACK_BPF"])
}

/// An IPv4 header without options, and nothing behind it: to 127.0.0.1, of a protocol that nobody uses.
private let ipv4: [UInt8] =
    [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 253, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)

/// `struct bpf_link_info` of a link to a network namespace.
private struct NetnsLinkInfo {
    let type: UInt32
    let inode: UInt32
    let attachType: UInt32

    init(_ link: BPFLink) throws {
        let info = try BPFInfo.info(link.raw, size: 32).get()
        func word(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(info[offset + $1]) << (8 * UInt32($1)) } }
        type = word(0)
        inode = word(16)
        attachType = word(20)
    }
}

extension BPFObject {
    /// The first entries of the array `trace`.
    fileprivate func trace(_ count: Int) throws -> [UInt32] {
        let bytes = try bytes(of: "trace")
        return (0..<count).map { index in
            (0..<4).reduce(0) { $0 | UInt32(bytes[4 * index + $1]) << (8 * UInt32($1)) }
        }
    }
}

/// The caller's number in the initial pid namespace, to which its /proc belongs.
private func initialNumber() throws -> String {
    let status = String(decoding: try readFile("/proc/self/status"), as: UTF8.self)
    for line in status.split(separator: "\n") where line.hasPrefix("NSpid:") {
        return String(line.split(whereSeparator: \.isWhitespace)[1])
    }
    throw Errno.ENOENT
}
