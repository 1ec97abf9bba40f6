// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let qdisc = Feature.kfunc("bpf_qdisc_skb_drop", since: "6.16", config: ["CONFIG_NET_SCH_BPF"])
}

private let needs = [Features.qdisc]
private let object = "kfuncs/qdisc.bpf.o"
private let refusing = "kfuncs/qdisc_fail.bpf.o"

/// K-113 of docs/semantics/kfuncs.md.
public let qdiscSuite = Suite(
    "kfuncs.qdisc", "struct_ops programs that are handed references, and hand them on", isolation: .network,
    objects: [object, refusing]
) {
    Case(
        "K-113.run", "a packet is the program's from enqueue to dequeue, and goes on from there", spec: ["K-113"],
        since: "6.16", needs: needs
    ) { test in
        let object = try BPFObject(object)
        let attached = try object.attachStructOps("one")
        try Netlink.addRootQdisc("lo", kind: "bpftest_one")
        let sockets = try Loopback()
        // A packet that is kept or lost each time would soon use up what the socket may send.
        for _ in 0..<1000 { test.expect(try sockets.exchange(), "a datagram arrives") }
        test.expect(try object.value(of: "enqueued", as: Int32.self), equals: 1000, "packets put into the queue")
        test.expect(try object.value(of: "dequeued", as: Int32.self), equals: 1000, "packets taken out of it")
        test.expect(try object.value(of: "dropped", as: Int32.self), equals: 0, "packets dropped")
        test.expect(try object.value(of: "bytes", as: Int32.self), equals: 14 + 20 + 8 + 1, "length of a packet")
        try object.set("drops_all", to: Int32(1))
        for _ in 0..<1000 { test.expect(try !sockets.exchange(), "a datagram that is dropped does not arrive") }
        test.expect(try object.value(of: "dropped", as: Int32.self), equals: 1000, "packets dropped")
        try object.set("drops_all", to: Int32(0))
        test.expect(try sockets.exchange(), "a datagram arrives again")
        try Netlink.deleteRootQdisc("lo")
        attached.detach()
        test.expect(try sockets.exchange(), "a datagram arrives without the program")
        test.expect(try object.value(of: "enqueued", as: Int32.self), equals: 1001, "packets put into the queue")
    }
    for one in [
        Refused("K-113", "a packet handed to a program is released or handed on", "leak", since: "6.16", .leak),
        Refused(
            "K-113.dequeue", "a packet taken out of a map is returned or released", "leak_in_dequeue", since: "6.16",
            .leak),
        Refused(
            "K-113.twice", "a packet handed to a program is released once", "drop_twice", since: "6.16",
            Rejection(.EINVAL, "arg#0 pointer type STRUCT sk_buff must point to scalar").then(
                .v7_2, .EINVAL, "release kfunc bpf_qdisc_skb_drop expects referenced PTR_TO_BTF_ID passed to R1")),
        Refused(
            "K-113.context", "what enqueue may call, dequeue may not", "drop_in_dequeue", since: "6.16",
            .notAllowed("bpf_qdisc_skb_drop")),
    ] {
        one.asCase(refusing, needs: needs)
    }
}
