// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

let netObject = "namespaces/net.bpf.o"
private let getCookie = "bpf_get_netns_cookie#122"

/// N-013 to N-018 and N-051 of docs/semantics/namespaces.md.
let netSuite = Suite("namespaces.net", "network namespaces and their cookies", objects: [netObject]) {
    Case(
        "N-013", "programs on the making of sockets see a cookie that each network namespace has for its own",
        needs: [.cgroup2]
    ) { test in
        let object = try BPFObject(netObject, programs: ["in_sock_create"])
        try test.attach(object, "in_sock_create", .cgroupSockCreate)
        let initial = try test.cookieOfNewSocket(object)
        try test.require(success: Namespaces.unshare(.network), "namespace A is made")
        let a = try Namespaces.open(.network)
        let cookieA = try test.cookieOfNewSocket(object)
        test.expect(try test.cookieOfNewSocket(object), equals: cookieA, "the cookie of A's second socket")
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        let cookieB = try test.cookieOfNewSocket(object)
        test.expect(Set([initial, cookieA, cookieB]).count, equals: 3, "cookies of three namespaces")
        test.expect(initial != 0 && cookieA != 0 && cookieB != 0, "no cookie is 0")
        try test.require(success: Namespaces.enter(a.raw), "A is entered again")
        test.expect(try test.cookieOfNewSocket(object), equals: cookieA, "A's cookie is still the same")
    }
    Case(
        "N-013.option", "the cookie that programs see is the one that SO_NETNS_COOKIE tells", spec: ["N-013"],
        needs: [.cgroup2, .networkCookie]
    ) { test in
        let object = try BPFObject(netObject, programs: ["in_sock_create"])
        try test.attach(object, "in_sock_create", .cgroupSockCreate)
        for name in ["the initial namespace", "A", "B"] {
            let socket = try Sockets.make(.udp)
            let seen = try object.value(of: "cookie", as: UInt64.self)
            test.expect(try Namespaces.networkCookie(), equals: seen, "SO_NETNS_COOKIE in \(name)")
            withExtendedLifetime(socket) {}
            if name != "B" { try test.require(success: Namespaces.unshare(.network), "the next namespace is made") }
        }
    }
    Case(
        "N-014", "programs on connect(2) see the same cookie as those on the socket's making", needs: [.cgroup2]
    ) { test in
        let object = try BPFObject(netObject, programs: ["in_sock_create", "in_connect4"])
        let cgroup = try test.attach(object, "in_sock_create", .cgroupSockCreate)
        let directory = try cgroup.open()
        try test.require(
            success: BPFCall.attach(try object.program("in_connect4"), to: directory.raw, .cgroupInet4Connect),
            "the second program is attached to the same cgroup")
        for name in ["A", "B"] {
            try test.require(success: Namespaces.unshare(.network), "namespace \(name) is made")
            try Netlink.setUp("lo")
            let socket = try Sockets.make(.udp)
            let made: UInt64 = try object.value(of: "cookie")
            try object.set("cookie", to: UInt64(0))
            test.expect(Sockets.connect(socket, port: 9), nil, "a UDP socket connects in \(name)")
            test.expect(try object.value(of: "runs"), equals: UInt32(2), "runs of both programs in \(name)")
            test.expect(try object.value(of: "cookie"), equals: made, "the cookie in \(name)")
            try object.set("runs", to: UInt32(0))
        }
    }
    Case(
        "N-015.sock_ops", "sockops programs see the namespace's cookie from 5.15 on and not before",
        spec: ["N-015"], needs: [.cgroup2]
    ) { test in
        guard
            let object = try test.object(
                netObject, "in_sock_ops", since: KernelRelease(5, 15), helper: getCookie)
        else { return }
        try test.attach(object, "in_sock_ops", .cgroupSockOps)
        try test.inNewNamespace { initial, own in
            let (client, server) = try Sockets.connected()
            test.expect(try object.value(of: "runs", as: UInt32.self) > 0, "the program runs for a connection")
            test.expect(try object.value(of: "cookie"), equals: own, "the cookie of the socket")
            test.expect(try object.value(of: "null_cookie"), equals: initial, "the cookie of NULL")
            withExtendedLifetime((client, server)) {}
        }
    }
    Case(
        "N-015.sk_msg", "sk_msg programs see the namespace's cookie from 5.15 on and not before", spec: ["N-015"]
    ) { test in
        guard
            let object = try test.object(netObject, "in_sk_msg", since: KernelRelease(5, 15), helper: getCookie)
        else { return }
        let map = try object.map("sockets")
        try test.require(
            success: BPFCall.attach(try object.program("in_sk_msg"), to: map, .skMsgVerdict),
            "the program is attached to a socket map")
        try test.inNewNamespace { initial, own in
            let (client, server) = try Sockets.connected()
            try test.require(
                success: BPFMap(borrowing: map).update(UInt32(0).bytes, to: UInt64(client.raw).bytes),
                "the connected socket goes into the map")
            test.expect(Sockets.send(client), nil, "a byte is sent")
            test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program")
            test.expect(try object.value(of: "cookie"), equals: own, "the cookie of the socket")
            test.expect(try object.value(of: "null_cookie"), equals: initial, "the cookie of NULL")
            withExtendedLifetime(server) {}
        }
    }
    Case(
        "N-016.tc", "tc programs see the cookie of a packet's socket from 6.15 on and not before", spec: ["N-016"]
    ) { test in
        guard let object = try test.object(netObject, "in_tc", since: KernelRelease(6, 15), helper: getCookie)
        else { return }
        try test.inNewNamespace { initial, own in
            // The packet of a test run belongs to a socket that the kernel makes in the caller's namespace.
            _ = try object.run("in_tc", data: [UInt8](repeating: 0, count: 64)).get()
            test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program")
            test.expect(try object.value(of: "cookie"), equals: own, "the cookie of the packet")
            test.expect(try object.value(of: "null_cookie"), equals: initial, "the cookie of NULL")
        }
    }
    Case(
        "N-016.tcx", "a sent packet has its socket's cookie, one without a socket the initial namespace's",
        spec: ["N-016"], needs: [.tcx]
    ) { test in
        guard
            let egress = try test.object(netObject, "in_egress", since: KernelRelease(6, 15), helper: getCookie),
            let ingress = try test.object(netObject, "in_ingress", since: KernelRelease(6, 15), helper: getCookie)
        else { return }
        try test.inNewNamespace { initial, own in
            let lo = try Netlink.index("lo")
            try test.require(
                success: MprogTarget(ifindex: lo, type: .tcxEgress).attach(try egress.program("in_egress")),
                "the program for sent packets is attached")
            try test.require(
                success: MprogTarget(ifindex: lo, type: .tcxIngress).attach(try ingress.program("in_ingress")),
                "the program for received packets is attached")
            test.expect(try Loopback().exchange(), "a datagram goes over lo")
            test.expect(try egress.value(of: "runs"), equals: UInt32(1), "packets sent")
            test.expect(try ingress.value(of: "ingress_runs"), equals: UInt32(1), "packets received")
            test.expect(try egress.value(of: "egress"), equals: own, "the cookie of the packet as it is sent")
            // lo takes the packet from its socket before it comes in again.
            test.expect(try ingress.value(of: "ingress"), equals: initial, "the cookie of the packet without a socket")
        }
    }
    Case(
        "N-016.cgroup_skb", "cgroup_skb programs see the cookie of a packet's socket from 6.15 on and not before",
        spec: ["N-016"], needs: [.cgroup2]
    ) { test in
        guard
            let object = try test.object(netObject, "in_cgroup_skb", since: KernelRelease(6, 15), helper: getCookie)
        else { return }
        try test.attach(object, "in_cgroup_skb", .cgroupInetEgress)
        try test.inNewNamespace { _, own in
            test.expect(try Loopback().exchange(), "a datagram goes over lo")
            test.expect(try object.value(of: "runs"), equals: UInt32(1), "runs of the program")
            test.expect(try object.value(of: "cookie"), equals: own, "the cookie of the packet's socket")
        }
    }
    Case("N-017", "the cookie of NULL is the initial network namespace's, whoever asks", needs: [.cgroup2]) { test in
        let object = try BPFObject(netObject, programs: ["in_sock_create"])
        try test.attach(object, "in_sock_create", .cgroupSockCreate)
        let initial = try test.cookieOfNewSocket(object)
        test.expect(try object.value(of: "null_cookie"), equals: initial, "asked in the initial namespace")
        try test.require(success: Namespaces.unshare(.network), "a namespace is made")
        let own = try test.cookieOfNewSocket(object)
        test.expect(own != initial, "the new namespace has another cookie")
        test.expect(try object.value(of: "null_cookie"), equals: initial, "asked in the new one")
    }
    Case(
        "N-018", "network namespaces made one after the other have a cookie each, higher than the last",
        needs: [.cgroup2]
    ) { test in
        let object = try BPFObject(netObject, programs: ["in_sock_create"])
        try test.attach(object, "in_sock_create", .cgroupSockCreate)
        // Each processor takes numbers from a stock of its own.
        try Tasks.stayOnProcessor()
        var last = try test.cookieOfNewSocket(object)
        // 50 ms each on an emulated machine. More than 256: a number of eight bits would come again.
        for number in 1...260 {
            try test.require(success: Namespaces.unshare(.network), "namespace \(number) is made")
            let cookie = try test.cookieOfNewSocket(object)
            guard cookie > last else {
                test.fail("the cookie of namespace \(number)", expected: "more than \(last)", observed: "\(cookie)")
                return
            }
            last = cookie
            // The kernel takes them down behind our back, many at a time; memory is what waits for it.
            if number % 25 == 0 { GracePeriods.pass() }
        }
    }
    Case(
        "N-051", "a tcx program goes with its device into another network namespace", needs: [.tcx]
    ) { test in
        let object = try BPFObject(netObject, programs: ["count_marked"])
        let program = try object.program("count_marked")
        try test.require(success: Namespaces.unshare(.network), "namespace B is made")
        let b = try Namespaces.open(.network)
        try test.require(success: Namespaces.unshare(.network), "namespace A is made")
        let a = try Namespaces.open(.network)
        try Netlink.addVeth("near", peer: "far")
        let far = MprogTarget(ifindex: try Netlink.index("far"), type: .tcxIngress)
        try test.require(success: far.attach(program), "the program is attached")
        let packet = [UInt8](repeating: 0, count: 64)
        let near = try Netlink.index("near")
        // Before its work on the carrier is done, the kernel drops what is sent.
        try NetworkDevice.waitForCarrier(of: ["near"], limit: .seconds(30))
        test.expect(Sockets.sendPacket(packet, protocol: 0x88b5, device: near), nil, "a packet is sent")
        try test.eventually("the program runs before the device is moved") { try object.value(of: "runs") == UInt32(1) }
        try Netlink.move("far", to: b.raw)
        test.expect(far.query().errno, .ENODEV, "a query in A")
        try test.require(success: Namespaces.enter(b.raw), "B is entered")
        try Netlink.setUp("far")
        let moved = MprogTarget(ifindex: try Netlink.index("far"), type: .tcxIngress)
        test.expect(
            try moved.query().get().programs, equals: [try BPFInfo.programID(program).get()], "what is attached in B")
        try test.require(success: Namespaces.enter(a.raw), "A is entered")
        try NetworkDevice.waitForCarrier(of: ["near"], limit: .seconds(30))
        test.expect(Sockets.sendPacket(packet, protocol: 0x88b5, device: near), nil, "a packet is sent")
        try test.eventually("the program runs after the device has been moved") {
            try object.value(of: "runs") == UInt32(2)
        }
        try test.require(success: Namespaces.enter(b.raw), "B is entered")
        test.expect(moved.detach(program), nil, "the program is detached in B")
        try test.require(success: Namespaces.enter(a.raw), "A is entered")
        test.expect(Sockets.sendPacket(packet, protocol: 0x88b5, device: near), nil, "a packet is sent")
        test.expect(try object.value(of: "runs"), equals: UInt32(2), "runs after the program was detached")
    }
}

extension Test {
    /// Attaches a program to a cgroup that this process joins; with the case's end it is gone.
    @discardableResult
    func attach(_ object: BPFObject, _ program: String, _ type: AttachType) throws -> Cgroup {
        let cgroup = try Cgroup(self, program)
        try cgroup.join()
        let directory = try cgroup.open()
        try require(
            success: BPFCall.attach(try object.program(program), to: directory.raw, type),
            "\(program) is attached to a cgroup")
        return cgroup
    }

    /// What the program on the making of sockets sees for a new one.
    fileprivate func cookieOfNewSocket(_ object: BPFObject) throws -> UInt64 {
        let before: UInt32 = try object.value(of: "runs")
        _ = try Sockets.make(.udp)
        expect(try object.value(of: "runs"), equals: before + 1, "runs of the program for one socket")
        return try object.value(of: "cookie")
    }

    /// Runs something in a new network namespace whose `lo` is up, with the initial one's cookie and its own.
    fileprivate func inNewNamespace(_ body: (_ initial: UInt64, _ own: UInt64) throws -> Void) throws {
        let initial = try Namespaces.networkCookie()
        try require(success: Namespaces.unshare(.network), "a network namespace is made")
        try Netlink.setUp("lo")
        let own = try Namespaces.networkCookie()
        expect(own != initial, "the new namespace has another cookie")
        try body(initial, own)
    }
}

extension Sockets {
    /// The two ends of a TCP connection.
    static func connected() throws(Errno) -> (client: FileHandle, server: FileHandle) {
        let listener = try listener(.tcp)
        let client = try make(.tcp)
        if let errno = connect(client, port: try port(of: listener)) { throw errno }
        return (client, try accept(listener))
    }
}
