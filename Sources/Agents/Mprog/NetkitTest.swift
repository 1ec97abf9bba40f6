// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// A netkit pair under test: both of its lists and the ways over both.
final class NetkitTest {
    let test: Test
    /// P1 to P9 are the case's own.
    let programs: Programs
    /// Where the peer is, when it is not beside the primary.
    let away: NetworkNamespace?
    let primary: UInt32
    let peer: UInt32
    private var paths: [Flavour: FramePath] = [:]
    private var links: [BPFLink] = []

    /// Makes the pair nk0 (the primary) and nk1, both up.
    init(
        _ test: Test, policy: Netkit.Policy = .forward, peerPolicy: Netkit.Policy = .forward, away: Bool = false
    ) throws {
        self.test = test
        programs = try Programs.loaded.own(for: test)
        programs.reset()
        try Netkit.silenceNewDevices()
        let namespace = away ? try NetworkNamespace() : nil
        self.away = namespace
        try namespace?.inside { try Netkit.silenceNewDevices() }
        try Netkit.add("nk0", peer: "nk1", policy: policy, peerPolicy: peerPolicy, namespace: namespace)
        try Netlink.setUp("nk0")
        primary = try Netlink.index("nk0")
        let ends = try FrameSocket("nk0")
        let reached = {
            try Netlink.setUp("nk1")
            return (try Netlink.index("nk1"), try FrameSocket("nk1"))
        }
        let (index, other) = try namespace?.inside(reached) ?? reached()
        peer = index
        try Netkit.awaitRunning("nk0")
        paths[.primary] = FramePath(from: ends, to: other)
        paths[.peer] = FramePath(from: other, to: ends)
    }

    /// One of the two lists, as it is reached where the primary is.
    func list(_ flavour: Flavour) -> MprogTarget {
        MprogTarget(ifindex: primary, type: flavour.type)
    }

    func attach(_ number: Int, to flavour: Flavour, file: String = #fileID, line: Int = #line) throws {
        try test.require(
            success: list(flavour).attach(programs.fd(number)), "attach P\(number) to \(flavour.rawValue)", file: file,
            line: line)
    }

    /// Creates a link and keeps it.
    func link(_ number: Int, to flavour: Flavour) throws -> BPFLink {
        let link = try list(flavour).createLink(programs.fd(number)).get()
        links.append(link)
        return link
    }

    /// The way of what the list runs on.
    func path(_ flavour: Flavour) throws -> FramePath {
        guard let path = paths[flavour] else { throw Errno.invalidArgument }
        return path
    }

    /// Closes the sockets: they hold the namespaces that they are in.
    func forgetPaths() {
        paths = [:]
    }

    /// Sends one frame the way that a list is on, and states what becomes of it.
    func expect(
        _ flavour: Flavour, passes: Bool, ran expected: [Int], _ what: String, file: String = #fileID,
        line: Int = #line
    ) throws {
        programs.forget()
        let arrived = try path(flavour).exchange()
        test.expect(programs.trace, equals: expected, "\(what): programs that ran", file: file, line: line)
        test.expect(arrived, equals: passes, "\(what): whether the frame arrives", file: file, line: line)
    }

    /// States what a list holds, by query.
    func expect(
        _ flavour: Flavour, holds numbers: [Int], revision: UInt64, _ what: String, file: String = #fileID,
        line: Int = #line
    ) throws {
        let contents = try list(flavour).query().get()
        test.expect(
            contents.programs, equals: numbers.map { programs.id($0) }, "\(what): the \(flavour.rawValue) list",
            file: file, line: line)
        test.expect(
            contents.revision, equals: revision, "\(what): revision of the \(flavour.rawValue) list", file: file,
            line: line)
    }

    /// States that every way to a list through a device is refused with one errno.
    func expect(
        everyCallOn ifindex: UInt32, refused errno: Errno, _ what: String, file: String = #fileID, line: Int = #line
    ) throws {
        for flavour in Flavour.netkit {
            let target = MprogTarget(ifindex: ifindex, type: flavour.type)
            let before = try BPFInfo.allLinkIDs().get()
            let calls: [(String, Errno?)] = [
                ("attach", target.attach(programs.fd(9))), ("detach P9", target.detach(programs.fd(9))),
                ("detach", target.detach(0)), ("query", target.query().errno),
                ("link", target.createLink(programs.fd(9)).errno),
            ]
            for (call, answer) in calls {
                test.expect(answer, errno, "\(what): \(call) as \(flavour.rawValue)", file: file, line: line)
            }
            let left = try BPFInfo.allLinkIDs().get().filter { !before.contains($0) }
            test.expect(left, equals: [], "\(what): links left behind", file: file, line: line)
        }
    }

    /// States that no program and no link of the case is left when all is closed: detaches what is attached, if the
    /// primary is still there.
    func expectNothingLeft(file: String = #fileID, line: Int = #line) throws {
        guard !test.failed else { return }
        var ids: [UInt32] = []
        for link in links where link.raw >= 0 { ids.append(try BPFInfo.linkID(link.raw).get()) }
        for link in links { link.close() }
        for flavour in Flavour.netkit {
            while list(flavour).detach(0) == nil {}
        }
        programs.close()
        test.expect(try BPFInfo.stillThere(.link, ids), equals: [], "ids of the case's links", file: file, line: line)
        test.expect(
            try BPFInfo.stillThere(.program, programs.ownIDs), equals: [], "ids of the case's programs", file: file,
            line: line)
    }
}
