// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    /// M-150 to M-155: devices that go, and that move.
    static let devices: [Row] = [
        Row("M-150", "links whose device has gone are left without device", on: Flavour.tcx) { list in
            try Netlink.addVeth("gone0", peer: "gone1")
            let target = MprogTarget(ifindex: try Netlink.index("gone0"), type: list.flavour.type)
            let links = [
                try target.createLink(list.programs.fd(1)).get(), try target.createLink(list.programs.fd(2)).get(),
            ]
            var infos: [DeviceLinkInfo] = []
            for link in links {
                infos.append(try link.deviceInfo().get())
                list.test.expect(infos.last?.ifindex, equals: target.ifindex, "ifindex before")
                list.test.expect(
                    try link.fdinfo("attach_type"), equals: "\(target.type.rawValue) (\(list.flavour.rawValue))",
                    "attach_type of its fdinfo")
            }
            try Netlink.delete("gone0")
            for (index, link) in links.enumerated() {
                infos[index].ifindex = 0
                list.test.expect(try link.deviceInfo().get(), equals: infos[index], "what link \(index) says of itself")
                list.test.expect(try link.fdinfo("ifindex"), equals: "0", "ifindex of link \(index)'s fdinfo")
                list.test.expect(link.update(to: list.programs.fd(3)), .noLink, "update of link \(index)")
                list.test.expect(
                    link.update(to: list.programs.fd(3), flags: .replace, old: list.programs.fd(index + 1)), .noLink,
                    "update of link \(index) by the right program")
                list.test.expect(link.detach(), nil, "detach of link \(index)")
                list.test.expect(link.detach(), nil, "detach of link \(index) again")
                list.programs.close(index + 1)
                list.test.expect(
                    try BPFInfo.exists(.program, infos[index].program), equals: true,
                    "program \(index), held by its link")
                link.close()
                list.test.expect(
                    try BPFInfo.stillThere(.program, [infos[index].program]), equals: [], "programs without their link")
                list.test.expect(
                    try BPFInfo.exists(.link, infos[index].id), equals: false, "link \(index) after its end")
            }
            list.test.expect(target.query().errno, .ENODEV, "query of a device that has gone")
        },
        Row("M-151", "a device that goes lets its programs go", on: Flavour.tcx) { list in
            for hasClsact in [false, true] {
                try Netlink.addVeth("gone0", peer: "gone1")
                if hasClsact { try Netlink.addClsact("gone0") }
                let number = hasClsact ? 2 : 1
                let id = list.programs.id(number)
                let target = MprogTarget(ifindex: try Netlink.index("gone0"), type: list.flavour.type)
                try list.test.require(success: target.attach(list.programs.fd(number)), "attach P\(number)")
                list.programs.close(number)
                list.test.expect(try BPFInfo.exists(.program, id), equals: true, "P\(number) while its device is there")
                // The other end takes it along.
                try Netlink.delete(hasClsact ? "gone1" : "gone0")
                list.test.expect(
                    try BPFInfo.stillThere(.program, [id]), equals: [], "programs of a device that has gone")
            }
        },
        Row("M-152", "a device goes with programs, links and filters of both directions", on: Flavour.tcx) { list in
            try Netlink.addVeth("gone0", peer: "gone1")
            let targets = [AttachType.tcxIngress, .tcxEgress].map { type in
                Result { () throws(Errno) in MprogTarget(ifindex: try Netlink.index("gone0"), type: type) }
            }
            var links: [BPFLink] = []
            for (index, target) in targets.enumerated() {
                let target = try target.get()
                links.append(try target.createLink(list.programs.fd(1)).get())
                try list.test.require(success: target.attach(list.programs.fd(2)), "attach P2")
                let direction: TrafficControl.Direction = index == 0 ? .ingress : .egress
                try list.test.require(
                    success: TrafficControl.attach(list.programs.fd(3 + index), to: "gone0", direction), "a filter")
            }
            let ids = [2, 3, 4].map { list.programs.id($0) }
            for number in [2, 3, 4] { list.programs.close(number) }
            try Netlink.delete("gone0")
            for link in links {
                list.test.expect(try link.deviceInfo().get().ifindex, equals: 0, "ifindex of a link")
                list.test.expect(link.update(to: list.programs.fd(5)), .noLink, "update of a link")
                link.close()
            }
            list.test.expect(try BPFInfo.stillThere(.program, ids), equals: [], "programs of a device that has gone")
        },
        Row(
            "M-153", "a device that moves to another network namespace keeps its list and loses clsact", on: Flavour.tcx
        ) {
            list in
            let moved = try MovedDevice(list)
            try moved.there.inside {
                let contents = try moved.target.query().get()
                list.test.expect(
                    contents.programs, equals: [list.programs.id(1), list.programs.id(2)], "programs, from there")
                list.test.expect(contents.links, equals: [0, moved.link], "links, from there")
                list.test.expect(contents.revision, equals: moved.revision, "revision, from there")
            }
            list.test.expect(
                try BPFInfo.stillThere(.program, [moved.filter]), equals: [], "the filter, which went with clsact")
            try moved.expect(ran: [1, 2])
            try moved.there.inside {
                // Where there were one, it would be refused.
                try Netlink.addClsact("moved0")
                list.test.expect(moved.target.detach(list.programs.fd(1)), nil, "detach P1, from there")
            }
            try moved.expect(ran: [2])
            moved.end()
        },
        Row("M-154", "a device that has moved is not found where it was", on: Flavour.tcx) { list in
            let moved = try MovedDevice(list)
            list.test.expect(moved.old.query().errno, .ENODEV, "query")
            list.test.expect(moved.old.attach(list.programs.fd(3)), .ENODEV, "attach P3")
            list.test.expect(moved.old.detach(list.programs.fd(1)), .ENODEV, "detach P1")
            list.test.expect(
                moved.old.createLink(list.programs.fd(3)).errno, .ENODEV, "a link of P3")
            try moved.expect(ran: [1, 2])
            moved.end()
        },
        Row("M-155", "a link works from anywhere, and tells where its device is", on: Flavour.tcx) { list in
            let moved = try MovedDevice(list)
            list.test.expect(
                try moved.held.deviceInfo().get().ifindex, equals: moved.target.ifindex, "ifindex of the link")
            list.test.expect(moved.held.update(to: list.programs.fd(3)), nil, "update of L2 to P3")
            try moved.expect(ran: [1, 3])
            list.test.expect(moved.held.detach(), nil, "detach of L2")
            try moved.expect(ran: [1])
            list.test.expect(try moved.held.deviceInfo().get().ifindex, equals: 0, "ifindex of the link, detached")
            try moved.there.inside {
                let contents = try moved.target.query().get()
                list.test.expect(contents.programs, equals: [list.programs.id(1)], "programs, from there")
                list.test.expect(contents.revision, equals: moved.revision + 2, "revision, from there")
            }
            moved.end()
        },
    ]
}

/// One end of a veth with [P1,L2] and clsact, moved to another network namespace; the other end stays.
private final class MovedDevice {
    let list: ListTest
    let there: NetworkNamespace
    /// Where it was.
    let old: MprogTarget
    /// Where it is: for who is there.
    let target: MprogTarget
    let held: BPFLink
    /// The link's id.
    let link: UInt32
    /// The id of the program that was clsact's filter.
    let filter: UInt32
    let revision: UInt64
    private let path: FramePath

    init(_ list: ListTest) throws {
        self.list = list
        let type = list.flavour.type
        let there = try NetworkNamespace()
        self.there = there
        // What the kernel sends of itself would run the programs as well.
        try Netkit.silenceNewDevices()
        try there.inside { try Netkit.silenceNewDevices() }
        try Netlink.addVeth("moved0", peer: "stays0")
        old = MprogTarget(ifindex: try Netlink.index("moved0"), type: type)
        try list.test.require(success: old.attach(list.programs.fd(1)), "attach P1")
        held = try old.createLink(list.programs.fd(2)).get()
        link = try BPFInfo.linkID(held.raw).get()
        revision = try old.query().get().revision
        list.test.expect(revision, equals: 3, "revision before")
        let direction: TrafficControl.Direction = list.flavour == .ingress ? .ingress : .egress
        filter = list.programs.id(9)
        try list.test.require(
            success: TrafficControl.attach(list.programs.fd(9), to: "moved0", direction), "P9 becomes a filter")
        list.programs.close(9)
        list.test.expect(try BPFInfo.exists(.program, filter), equals: true, "the filter before")
        try Netlink.move("moved0", to: there.raw)
        let (index, inner) = try there.inside {
            try Netlink.setUp("moved0")
            return (try Netlink.index("moved0"), try FrameSocket("moved0"))
        }
        target = MprogTarget(ifindex: index, type: type)
        let outer = try FrameSocket("stays0")
        try Netlink.setUp("stays0")
        try Netkit.awaitRunning("stays0")
        try there.inside { try Netkit.awaitRunning("moved0") }
        path = list.flavour == .ingress ? FramePath(from: outer, to: inner) : FramePath(from: inner, to: outer)
    }

    /// States which programs run for a frame between the namespaces.
    func expect(ran expected: [Int], file: String = #fileID, line: Int = #line) throws {
        list.programs.forget()
        let arrived = try path.exchange()
        list.expect(trace: expected, file: file, line: line)
        list.test.expect(arrived, "a frame arrives", file: file, line: line)
    }

    /// Lets go of the device, and of what is attached to it with it.
    func end() {
        held.close()
        do {
            try Netlink.delete("stays0")
        } catch {
            list.test.expect(error, nil, "the devices are deleted")
        }
    }
}
