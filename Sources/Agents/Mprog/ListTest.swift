// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// A slot of a list, as the specification writes it: P1 (a program) or L1 (a link of P1).
enum Slot: Equatable, CustomStringConvertible {
    case p(Int)
    case l(Int)
    /// The link that was made for a program, after an update to another one: L1 that holds P2.
    case updated(Int, to: Int)

    /// The number of the program that runs.
    var number: Int {
        switch self {
        case .p(let number), .l(let number), .updated(_, to: let number): number
        }
    }

    /// The number that the slot's link was made with; nil for a program.
    var link: Int? {
        switch self {
        case .p: nil
        case .l(let number), .updated(let number, to: _): number
        }
    }

    var description: String { link == nil ? "P\(number)" : "L\(number)" }
}

/// What a position is relative to.
enum Anchor {
    case none
    /// The descriptor of Pn.
    case fd(Int)
    /// The id of Pn.
    case id(Int)
    /// The descriptor of the link of Pn.
    case linkFD(Int)
    /// The id of the link of Pn.
    case linkID(Int)
    /// A link of Pn on another device.
    case foreignLinkFD(Int)
    /// A descriptor or id as it is.
    case raw(UInt32)
    case otherTypeFD
    case otherTypeID
    /// A link of a program of another type.
    case otherTypeLinkFD
    case mapFD
}

/// One list under test, with everything that a row of the table needs to act on it and to look at it.
final class ListTest {
    let test: Test
    let flavour: Flavour
    /// P1 to P9 are the case's own.
    let programs: Programs
    let target: MprogTarget
    /// The device by which the list is reached.
    let device: String
    private var links: [Int: BPFLink] = [:]
    private var foreignLinks: [BPFLink] = []
    /// Whether a qdisc keeps an empty list alive.
    private var hasClsact = false
    private var emptied: [MprogTarget] = []
    private lazy var path = Result { () throws(Errno) in try makePath() }

    /// Makes the devices that the kind of list wants, all up, and loads the case's own programs.
    init(_ test: Test, _ flavour: Flavour) throws {
        self.test = test
        self.flavour = flavour
        programs = try Programs.loaded.own(for: test)
        if flavour.isNetkit {
            try Netkit.silenceNewDevices()
            try Netkit.add("nk0", peer: "nk1")
            try Netlink.setUp("nk0")
            try Netlink.setUp("nk1")
            try Netkit.awaitRunning("nk0")
        }
        device = flavour.isNetkit ? "nk0" : "lo"
        target = MprogTarget(ifindex: try Netlink.index(device), type: flavour.type)
        programs.reset()
    }

    convenience init(_ test: Test, _ type: AttachType) throws {
        guard let flavour = Flavour(type) else { throw Errno.invalidArgument }
        try self.init(test, flavour)
    }

    // MARK: Acting

    /// Fills the empty list, slot by slot.
    func set(up slots: [Slot]) throws {
        for slot in slots {
            if let number = slot.link {
                try test.require(success: link(number), "set-up: link of P\(number)")
            } else {
                try test.require(success: target.attach(programs.fd(slot.number)), "set-up: attach \(slot)")
            }
        }
    }

    func attach(
        _ number: Int, _ flags: AttachFlags = [], _ anchor: Anchor = .none, replace: CInt = 0, revision: UInt64 = 0
    ) throws -> Errno? {
        target.attach(
            programs.fd(number), flags, relative: try value(anchor), replace: replace, revision: revision)
    }

    /// Creates a link of Pn and keeps it. A link that is refused must leave none behind.
    func link(
        _ number: Int, _ flags: AttachFlags = [], _ anchor: Anchor = .none, revision: UInt64 = 0,
        file: String = #fileID, line: Int = #line
    ) throws -> Errno? {
        let relative = try value(anchor)
        let before = try BPFInfo.allLinkIDs().get()
        switch target.createLink(programs.fd(number), flags, relative: relative, revision: revision) {
        case .success(let link):
            links[number] = link
            return nil
        case .failure(let errno):
            let left = try BPFInfo.allLinkIDs().get().filter { !before.contains($0) }
            test.expect(left, equals: [], "ids of links that a refused one leaves behind", file: file, line: line)
            return errno
        }
    }

    func detach(
        _ number: Int?, _ flags: AttachFlags = [], _ anchor: Anchor = .none, revision: UInt64 = 0
    ) throws -> Errno? {
        target.detach(
            number.map { programs.fd($0) } ?? 0, flags, relative: try value(anchor), revision: revision)
    }

    /// The link that was made for Pn.
    func madeLink(_ number: Int) throws -> BPFLink {
        guard let link = links[number] else { throw test.abort("the case has made no link of P\(number)") }
        return link
    }

    func addClsact() throws {
        try Netlink.addClsact(device)
        hasClsact = true
    }

    func deleteClsact() throws {
        try Netlink.deleteClsact(device)
        hasClsact = false
    }

    /// The list of the same kind of another device, and what is attached to it, are the case's as well.
    func otherDevice() throws -> MprogTarget {
        let name = flavour.isNetkit ? "nk2" : "other0"
        do {
            return MprogTarget(ifindex: try Netlink.index(name), type: flavour.type)
        } catch {
            if flavour.isNetkit { try Netkit.add(name, peer: "nk3") } else { try Netlink.addDummy(name) }
        }
        let other = MprogTarget(ifindex: try Netlink.index(name), type: flavour.type)
        emptied.append(other)
        return other
    }

    /// The other list of the same device.
    func oppositeList() -> MprogTarget {
        let other = MprogTarget(ifindex: target.ifindex, type: flavour.opposite.type)
        emptied.append(other)
        return other
    }

    private func value(_ anchor: Anchor) throws -> UInt32 {
        switch anchor {
        case .none: return 0
        case .fd(let number): return UInt32(bitPattern: programs.fd(number))
        case .id(let number): return programs.id(number)
        case .linkFD(let number): return UInt32(bitPattern: try madeLink(number).raw)
        case .linkID(let number): return try BPFInfo.linkID(try madeLink(number).raw).get()
        case .foreignLinkFD(let number):
            let link = try otherDevice().createLink(programs.fd(number)).get()
            foreignLinks.append(link)
            return UInt32(bitPattern: link.raw)
        case .raw(let value): return value
        case .otherTypeFD: return UInt32(bitPattern: programs.otherType)
        case .otherTypeID: return try BPFInfo.programID(programs.otherType).get()
        case .otherTypeLinkFD:
            // XDP_FLAGS_SKB_MODE, which every device has.
            let xdp = MprogTarget(ifindex: try Netlink.index("lo"), type: .xdp)
            let link = try xdp.createLink(programs.otherType, AttachFlags(rawValue: 2)).get()
            foreignLinks.append(link)
            return UInt32(bitPattern: link.raw)
        case .mapFD: return UInt32(bitPattern: programs.someMap)
        }
    }

    // MARK: Looking

    func contents(file: String = #fileID, line: Int = #line) throws -> MprogTarget.Contents {
        switch target.query() {
        case .success(let contents): return contents
        case .failure(let errno):
            test.expect(errno, nil, "the list can be queried", file: file, line: line)
            throw errno
        }
    }

    /// States what the list holds, by query, by its links and by a packet that passes it.
    ///
    /// - Parameter revision: nil where the case says nothing of it.
    func expect(
        list expected: [Slot], revision: UInt64? = nil, file: String = #fileID, line: Int = #line
    ) throws {
        try expect(query: expected, revision: revision, file: file, line: line)
        try expect(ran: expected.map(\.number), file: file, line: line)
    }

    /// States what the list holds, by query and by its links.
    func expect(
        query expected: [Slot], revision: UInt64? = nil, file: String = #fileID, line: Int = #line
    ) throws {
        let contents = try contents(file: file, line: line)
        test.expect(Int(contents.count), equals: expected.count, "count of the list", file: file, line: line)
        test.expect(text(contents), equals: text(expected), "order of the list, by query", file: file, line: line)
        for (index, slot) in expected.enumerated() where index < contents.links.count {
            var id: UInt32 = 0
            if let number = slot.link {
                id = try expect(link: number, holds: slot.number, file: file, line: line)
            }
            test.expect(contents.links[index], equals: id, "link id in slot \(index)", file: file, line: line)
        }
        if let revision {
            test.expect(contents.revision, equals: revision, "revision", file: file, line: line)
        }
        if expected.isEmpty, !hasClsact {
            // Where there is a list, even an empty one, its revision is looked at first, and 7 is wrong.
            test.expect(
                target.detach(programs.fd(1), revision: 7), .ENOENT, "no empty list is kept", file: file, line: line)
        }
    }

    /// States what a link says of itself.
    ///
    /// - Returns: its id.
    private func expect(link number: Int, holds program: Int, file: String, line: Int) throws -> UInt32 {
        let info = try madeLink(number).deviceInfo().get()
        // A netkit peer's list is reached by the primary; its links say where it is.
        let ifindex = flavour == .peer ? try Netlink.index("nk1") : target.ifindex
        let expected = DeviceLinkInfo(
            type: flavour.linkType, id: info.id, program: programs.id(program), ifindex: ifindex,
            attachType: flavour.type.rawValue)
        test.expect(info, equals: expected, "what the link of P\(number) says of itself", file: file, line: line)
        return info.id
    }

    /// Sends one packet through the list.
    ///
    /// - Returns: whether it has arrived.
    func exchange() throws -> Bool { try path.get().exchange() }

    private func makePath() throws(Errno) -> any PacketPath {
        guard flavour.isNetkit else { return try Loopback() }
        let ends = try (FrameSocket("nk0"), FrameSocket("nk1"))
        return flavour == .primary ? FramePath(from: ends.0, to: ends.1) : FramePath(from: ends.1, to: ends.0)
    }

    /// States which programs a packet runs, in order.
    func expect(ran expected: [Int], file: String = #fileID, line: Int = #line) throws {
        programs.forget()
        let arrived = try exchange()
        expect(trace: expected, file: file, line: line)
        test.expect(arrived, "the packet arrives when every program returns TCX_NEXT", file: file, line: line)
    }

    /// States which programs have run, in order.
    func expect(trace expected: [Int], file: String = #fileID, line: Int = #line) {
        let names = { (numbers: [Int]) in "[" + numbers.map { "P\($0)" }.joined(separator: ",") + "]" }
        test.expect(
            names(programs.trace), equals: names(expected), "programs that ran on a packet, in order", file: file,
            line: line)
    }

    func text(_ contents: MprogTarget.Contents) -> String {
        let slots = zip(contents.programs, contents.links).map { program, link in
            let name = programs.number(id: program).map(String.init) ?? "?(id \(program))"
            return (link == 0 ? "P" : "L") + name
        }
        return "[" + slots.joined(separator: ",") + "]"
    }

    private func text(_ slots: [Slot]) -> String {
        "[" + slots.map(\.description).joined(separator: ",") + "]"
    }

    /// States that a call was refused with one errno and changed nothing.
    func expect(
        _ answer: Errno?, refused expected: Errno, _ call: String, leaving list: [Slot], file: String = #fileID,
        line: Int = #line
    ) throws {
        test.expect(answer, expected, call, file: file, line: line)
        let revision = list.isEmpty ? 1 : UInt64(list.count + 1)
        try expect(list: list, revision: revision, file: file, line: line)
    }

    // MARK: The end

    /// Takes apart what the case has put together and states that no program and no link of it is left: whatever was
    /// looked at as an anchor, replaced, detached or refused has been let go.
    func expectNothingLeft(file: String = #fileID, line: Int = #line) throws {
        // A case that has failed has said what is wrong, and may have left its list in any state.
        guard !test.failed else { return }
        let made = (Array(links.values) + foreignLinks).filter { $0.raw >= 0 }
        var ids: [UInt32] = []
        for link in made { ids.append(try BPFInfo.linkID(link.raw).get()) }
        for link in made { link.close() }
        for target in [target] + emptied {
            // The list is gone with its device where a case is about that.
            guard case .success(let contents) = target.query() else { continue }
            for (program, link) in zip(contents.programs, contents.links) where link == 0 {
                guard let number = programs.number(id: program), number <= Programs.highestOwn else { continue }
                test.expect(
                    target.detach(programs.fd(number)), nil, "P\(number) is detached at the end", file: file,
                    line: line)
            }
        }
        programs.close()
        let links = try BPFInfo.stillThere(.link, ids)
        test.expect(links, equals: [], "ids of the case's links that something still holds", file: file, line: line)
        let programs = try BPFInfo.stillThere(.program, self.programs.ownIDs)
        test.expect(
            programs, equals: [], "ids of the case's programs that something still holds", file: file, line: line)
    }
}
