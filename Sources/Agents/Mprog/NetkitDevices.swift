// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// M-102 to M-115: what only netkit's lists promise.
let netkitDeviceSuite = Suite(
    "mprog.netkit_device", "netkit devices: whose the lists are, what verdicts and policies do, and the lists' end",
    isolation: .network, prepare: { try Programs.load() }
) {
    for flavour in Flavour.netkit {
        Case(
            "M-102.\(flavour.rawValue)", "\(flavour.name): the revision goes on when the list has been empty",
            spec: ["M-102"], needs: [.netkit]
        ) { test in
            let list = try ListTest(test, flavour)
            try list.set(up: [.p(1)])
            test.expect(try list.detach(1), nil, "detach P1")
            for revision: UInt64 in [1, 2, 4] {
                test.expect(try list.attach(1, revision: revision), .ESTALE, "attach P1, revision \(revision)")
            }
            try list.expect(list: [], revision: 1)
            test.expect(try list.attach(1, revision: 3), nil, "attach P1, revision 3")
            try list.expect(list: [.p(1)], revision: 4)
            try list.expectNothingLeft()
        }
        Case(
            "M-103.\(flavour.rawValue)", "\(flavour.name): a query of an empty list says 1, whatever was before",
            spec: ["M-103"], needs: [.netkit]
        ) { test in
            let list = try ListTest(test, flavour)
            try list.set(up: [.p(1), .l(2)])
            try list.expect(list: [.p(1), .l(2)], revision: 3)
            try list.madeLink(2).close()
            test.expect(try list.detach(1), nil, "detach P1")
            try list.expect(list: [], revision: 1)
            test.expect(try list.attach(3), nil, "attach P3")
            try list.expect(list: [.p(3)], revision: 6)
            try list.expectNothingLeft()
        }
    }
    Case("M-104", "a device of another kind has no netkit lists", needs: [.netkit]) { test in
        let pair = try NetkitTest(test)
        try Netlink.addVeth("veth0", peer: "veth1")
        try pair.expect(everyCallOn: try Netlink.index("veth0"), refused: .noSuchAddressOrDevice, "veth")
        try pair.expect(everyCallOn: try Netlink.index("lo"), refused: .noSuchAddressOrDevice, "lo")
        try pair.expectNothingLeft()
    }
    Case("M-105", "lists are not reached by the peer", needs: [.netkit]) { test in
        let pair = try NetkitTest(test)
        try pair.attach(1, to: .primary)
        try pair.attach(2, to: .peer)
        try pair.expect(everyCallOn: pair.peer, refused: .EACCES, "the peer")
        for flavour in Flavour.netkit {
            let peer = MprogTarget(ifindex: pair.peer, type: flavour.type)
            test.expect(peer.detach(pair.programs.fd(flavour == .peer ? 2 : 1)), .EACCES, "detach by the peer")
        }
        try pair.expect(.primary, holds: [1], revision: 2, "afterwards")
        try pair.expect(.peer, holds: [2], revision: 2, "afterwards")
        try pair.expectNothingLeft()
    }
    Case("M-106", "the peer's list runs in the peer's network namespace", needs: [.netkit]) { test in
        let pair = try NetkitTest(test, away: true)
        try pair.attach(1, to: .peer)
        _ = try pair.link(2, to: .peer)
        try pair.expect(.peer, passes: true, ran: [1, 2], "sent by the peer, in its namespace")
        try pair.expect(.primary, passes: true, ran: [], "sent by the primary")
        try pair.attach(3, to: .primary)
        try pair.expect(.peer, passes: true, ran: [1, 2], "sent by the peer")
        try pair.expect(.primary, passes: true, ran: [3], "sent by the primary, which has a list now")
        try pair.expect(.peer, holds: [1, 2], revision: 3, "afterwards")
        try pair.expect(.primary, holds: [3], revision: 2, "afterwards")
        try pair.away?.inside { try pair.expect(everyCallOn: pair.peer, refused: .EACCES, "in the peer's namespace") }
        try pair.expectNothingLeft()
    }
    Case("M-107", "a link tells the device whose packets its program sees", needs: [.netkit]) { test in
        let pair = try NetkitTest(test)
        for (number, flavour) in [(1, Flavour.primary), (2, .peer)] {
            let link = try pair.link(number, to: flavour)
            let info = try link.deviceInfo().get()
            let ifindex = flavour == .peer ? pair.peer : pair.primary
            let expected = DeviceLinkInfo(
                type: 13, id: info.id, program: pair.programs.id(number), ifindex: ifindex,
                attachType: flavour == .peer ? 55 : 54)
            test.expect(info, equals: expected, "\(flavour.rawValue): link info")
            test.expect(try link.fdinfo("ifindex"), equals: "\(ifindex)", "\(flavour.rawValue): ifindex in fdinfo")
            test.expect(
                try link.fdinfo("attach_type"), equals: "\(expected.attachType) (\(flavour.rawValue))",
                "\(flavour.rawValue): attach_type in fdinfo")
        }
        try pair.expectNothingLeft()
    }
    netkitVerdicts
    netkitEnds
}

/// M-108 to M-111: packets.
private let netkitVerdicts: [Case] = [
    Case("M-108", "the policy of a device decides while its list is empty", needs: [.netkit]) { test in
        let pair = try NetkitTest(test, policy: .blackhole)
        try pair.expect(.primary, passes: false, ran: [], "the primary's policy is to drop")
        try pair.expect(.peer, passes: true, ran: [], "the peer's is to forward")
        try Netkit.change("nk0", policy: .forward, peerPolicy: .blackhole)
        try pair.expect(.primary, passes: true, ran: [], "changed, the primary")
        try pair.expect(.peer, passes: false, ran: [], "changed, the peer")
        try pair.expectNothingLeft()
    },
    Case("M-109", "after NEXT from the last program the packet passes, whatever the policy", needs: [.netkit]) { test in
        let pair = try NetkitTest(test, policy: .blackhole, peerPolicy: .blackhole)
        for flavour in Flavour.netkit {
            try pair.attach(1, to: flavour)
            try pair.expect(flavour, passes: true, ran: [1], "\(flavour.rawValue), a program that returns NEXT")
            test.expect(pair.list(flavour).detach(pair.programs.fd(1)), nil, "detach P1")
            try pair.expect(flavour, passes: false, ran: [], "\(flavour.rawValue), the list is empty again")
        }
        try pair.expectNothingLeft()
    },
    Case("M-110", "a verdict that is none drops the packet and ends the list", needs: [.netkit]) { test in
        let pair = try NetkitTest(test)
        for flavour in Flavour.netkit {
            for number in 1...3 { try pair.attach(number, to: flavour) }
            for verdict: Int32 in [42, 1, 3, 4, 5, 6, 8, -2] {
                pair.programs.setVerdict(verdict, of: 2)
                try pair.expect(flavour, passes: false, ran: [1, 2], "\(flavour.rawValue), verdict \(verdict)")
            }
            pair.programs.setVerdict(-1, of: 2)
            try pair.expect(flavour, passes: true, ran: [1, 2, 3], "\(flavour.rawValue), all return NEXT")
            for number in 1...3 { test.expect(pair.list(flavour).detach(pair.programs.fd(number)), nil, "detach") }
        }
        try pair.expectNothingLeft()
    },
    Case(
        "M-110.redirect", "REDIRECT takes the packet away from the peer", spec: ["M-110"], needs: [.netkit]
    ) { test in
        let pair = try NetkitTest(test)
        let path = try pair.path(.primary)
        for number in 1...2 { try pair.attach(number, to: .primary) }
        // Nobody has said where to: nowhere.
        pair.programs.setVerdict(7, of: 1)
        test.expect(path.send(), nil, "a frame with verdict REDIRECT is sent")
        test.expect(pair.programs.trace, equals: [1], "programs that ran on it")
        pair.programs.setVerdict(-1, of: 1)
        test.expect(path.send(), nil, "a frame with verdict NEXT is sent")
        test.expect(try path.next(), equals: path.last, "the frame that arrives is the second")
        try pair.expectNothingLeft()
    },
    Case("M-111", "PASS and DROP end the list", needs: [.netkit]) { test in
        let pair = try NetkitTest(test, policy: .blackhole)
        for flavour in Flavour.netkit {
            for number in 1...3 { try pair.attach(number, to: flavour) }
            pair.programs.setVerdict(0, of: 1)
            try pair.expect(flavour, passes: true, ran: [1], "\(flavour.rawValue), the first says PASS")
            pair.programs.setVerdict(-1, of: 1)
            pair.programs.setVerdict(2, of: 2)
            try pair.expect(flavour, passes: false, ran: [1, 2], "\(flavour.rawValue), the second says DROP")
            pair.programs.setVerdict(-1, of: 2)
            for number in 1...3 { test.expect(pair.list(flavour).detach(pair.programs.fd(number)), nil, "detach") }
        }
        try pair.expectNothingLeft()
    },
]

/// M-112 to M-115: devices that go, that are alone, that have other lists, that move.
private let netkitEnds: [Case] = [
    Case("M-112", "both lists go with the primary", needs: [.netkit]) { test in
        try expectListsGone(try NetkitTest(test)) { _ in try Netlink.delete("nk0") }
    },
    Case("M-112.peer", "both lists go with the peer", spec: ["M-112"], needs: [.netkit]) { test in
        try expectListsGone(try NetkitTest(test)) { _ in try Netlink.delete("nk1") }
    },
    Case("M-112.away", "both lists go with the peer's network namespace", spec: ["M-112"], needs: [.netkit]) { test in
        try expectListsGone(try NetkitTest(test, away: true)) { pair in
            pair.forgetPaths()
            pair.away?.leave()
        }
    },
    Case("M-113", "a netkit device without a peer has no lists", needs: [.netkit, .netkitSingle]) { test in
        let pair = try NetkitTest(test)
        try Netkit.addSingle("nk9")
        try pair.expect(everyCallOn: try Netlink.index("nk9"), refused: .EOPNOTSUPP, "a single device")
        try pair.expectNothingLeft()
    },
    Case("M-114", "netkit devices have tcx lists beside their own", needs: [.netkit, .tcx]) { test in
        let pair = try NetkitTest(test)
        let lists = [
            MprogTarget(ifindex: pair.primary, type: .tcxEgress), pair.list(.primary),
            MprogTarget(ifindex: pair.peer, type: .tcxIngress), MprogTarget(ifindex: pair.peer, type: .tcxEgress),
            pair.list(.peer), MprogTarget(ifindex: pair.primary, type: .tcxIngress),
        ]
        for (number, list) in zip(1..., lists) {
            test.expect(list.attach(pair.programs.fd(number)), nil, "attach P\(number)")
        }
        try pair.expect(.primary, passes: true, ran: [1, 2, 3], "sent by the primary")
        try pair.expect(.peer, passes: true, ran: [4, 5, 6], "sent by the peer")
        for (number, list) in zip(1..., lists) {
            let contents = try list.query().get()
            test.expect(contents.programs, equals: [pair.programs.id(number)], "list \(number)")
            test.expect(contents.revision, equals: 2, "revision of list \(number)")
            test.expect(list.detach(pair.programs.fd(number)), nil, "detach P\(number)")
        }
        try pair.expectNothingLeft()
    },
    Case("M-115", "lists move with their primary to another network namespace", needs: [.netkit]) { test in
        let pair = try NetkitTest(test)
        try pair.attach(1, to: .primary)
        let link = try pair.link(2, to: .peer)
        let namespace = try NetworkNamespace()
        try namespace.inside { try Netkit.silenceNewDevices() }
        try Netlink.move("nk0", to: namespace.raw)
        try pair.expect(everyCallOn: pair.primary, refused: .ENODEV, "where the primary was")
        try namespace.inside {
            try Netlink.setUp("nk0")
            let index = try Netlink.index("nk0")
            let lists = [Flavour.primary, .peer].map { MprogTarget(ifindex: index, type: $0.type) }
            for (number, list) in zip([1, 2], lists) {
                let contents = try list.query().get()
                test.expect(contents.programs, equals: [pair.programs.id(number)], "where the primary is: the list")
                test.expect(contents.revision, equals: 2, "where the primary is: revision")
                test.expect(list.attach(pair.programs.fd(number + 2)), nil, "attach P\(number + 2)")
            }
            try Netkit.awaitRunning("nk0")
            // The sockets went down with the device.
            let ends = try FrameSocket("nk0")
            pair.programs.forget()
            test.expect(ends.send(1), nil, "a frame is sent by the primary")
            test.expect(pair.programs.trace, equals: [1, 3], "programs that ran on it")
            for (number, list) in zip([1, 2], lists) {
                test.expect(list.detach(pair.programs.fd(number + 2)), nil, "detach P\(number + 2)")
            }
            test.expect(lists[0].detach(pair.programs.fd(1)), nil, "detach P1")
            link.close()
            test.expect(try lists[1].query().get().count, equals: 0, "the peer's list, its link closed")
        }
        try pair.expectNothingLeft()
    },
]

/// States that lists of both ends, with programs and links, are gone when something has happened.
private func expectListsGone(_ pair: NetkitTest, when happens: (NetkitTest) throws -> Void) throws {
    let test = pair.test
    try pair.attach(1, to: .primary)
    let primary = try pair.link(2, to: .primary)
    try pair.attach(3, to: .peer)
    let peer = try pair.link(4, to: .peer)
    let held = [pair.programs.id(1), pair.programs.id(3)]
    for number in [1, 3] { pair.programs.close(number) }
    for id in held { test.expect(try BPFInfo.exists(.program, id), "a program lives as long as its list") }
    try happens(pair)
    test.expect(
        try BPFInfo.stillThere(.program, held, after: .seconds(20)), equals: [], "ids of programs that were attached")
    for (name, link) in [("primary", primary), ("peer", peer)] {
        test.expect(try link.deviceInfo().get().ifindex, equals: 0, "\(name): ifindex of the link")
        test.expect(try link.fdinfo("ifindex"), equals: "0", "\(name): ifindex in fdinfo")
        test.expect(link.update(to: pair.programs.fd(5)), .noLink, "\(name): update of the link")
        test.expect(link.detach(), nil, "\(name): detach of the link")
        test.expect(link.detach(), nil, "\(name): detach of the link once more")
    }
    try pair.expect(everyCallOn: pair.primary, refused: .ENODEV, "without the device")
    try pair.expectNothingLeft()
}
