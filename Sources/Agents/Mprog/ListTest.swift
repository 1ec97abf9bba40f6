// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// A slot of a list, as the specification writes it: P1 (a program) or L1 (a link of P1).
enum Slot: Equatable, CustomStringConvertible {
    case p(Int)
    case l(Int)

    var number: Int {
        switch self {
        case .p(let number), .l(let number): number
        }
    }

    var description: String {
        switch self {
        case .p(let number): "P\(number)"
        case .l(let number): "L\(number)"
        }
    }
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
    case mapFD
}

/// One list under test, with everything that a row of the table needs to act on it and to look at it.
final class ListTest {
    let test: Test
    let programs: Programs
    let target: MprogTarget
    let device: String
    private var links: [Int: BPFLink] = [:]
    private var foreignLinks: [BPFLink] = []
    private lazy var loopback = Result { () throws(Errno) in try Loopback() }

    init(_ test: Test, _ type: AttachType) throws {
        self.test = test
        programs = try Programs.loaded
        device = "lo"
        target = MprogTarget(ifindex: try Netlink.index(device), type: type)
        programs.reset()
    }

    // MARK: Acting

    /// Fills the empty list, slot by slot.
    func set(up slots: [Slot]) throws {
        for slot in slots {
            switch slot {
            case .p(let number):
                try test.require(success: target.attach(programs.fd(number)), "set-up: attach P\(number)")
            case .l(let number):
                try test.require(success: link(number), "set-up: link of P\(number)")
            }
        }
    }

    func attach(
        _ number: Int, _ flags: AttachFlags = [], _ anchor: Anchor = .none, replace: CInt = 0, revision: UInt64 = 0
    ) throws -> Errno? {
        target.attach(
            programs.fd(number), flags, relative: try value(anchor), replace: replace, revision: revision)
    }

    /// Creates a link of Pn and keeps it.
    func link(
        _ number: Int, _ flags: AttachFlags = [], _ anchor: Anchor = .none, revision: UInt64 = 0
    ) throws -> Errno? {
        let answer = target.createLink(
            programs.fd(number), flags, relative: try value(anchor), revision: revision)
        if case .success(let link) = answer { links[number] = link }
        return answer.errno
    }

    func detach(
        _ number: Int?, _ flags: AttachFlags = [], _ anchor: Anchor = .none, revision: UInt64 = 0
    ) throws -> Errno? {
        target.detach(
            number.map { programs.fd($0) } ?? 0, flags, relative: try value(anchor), revision: revision)
    }

    private func value(_ anchor: Anchor) throws -> UInt32 {
        switch anchor {
        case .none: return 0
        case .fd(let number): return UInt32(bitPattern: programs.fd(number))
        case .id(let number): return programs.id(number)
        case .linkFD(let number): return UInt32(bitPattern: links[number]?.raw ?? -1)
        case .linkID(let number): return try BPFInfo.linkID(links[number]?.raw ?? -1).get()
        case .foreignLinkFD(let number):
            try Netlink.addDummy("other0")
            let other = MprogTarget(ifindex: try Netlink.index("other0"), type: target.type)
            let link = try other.createLink(programs.fd(number)).get()
            foreignLinks.append(link)
            return UInt32(bitPattern: link.raw)
        case .raw(let value): return value
        case .otherTypeFD: return UInt32(bitPattern: programs.otherType)
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

    /// States what the list holds, by query and by a packet that passes it.
    ///
    /// - Parameter revision: nil where the case says nothing of it.
    func expect(
        list expected: [Slot], revision: UInt64? = nil, file: String = #fileID, line: Int = #line
    ) throws {
        let contents = try contents(file: file, line: line)
        test.expect(Int(contents.count), equals: expected.count, "count of the list", file: file, line: line)
        test.expect(text(contents), equals: text(expected), "order of the list, by query", file: file, line: line)
        for (index, slot) in expected.enumerated() where index < contents.links.count {
            var id: UInt32 = 0
            if case .l(let number) = slot, let link = links[number] { id = try BPFInfo.linkID(link.raw).get() }
            test.expect(contents.links[index], equals: id, "link id in slot \(index)", file: file, line: line)
        }
        if let revision {
            test.expect(contents.revision, equals: revision, "revision", file: file, line: line)
        }
        try expect(ran: expected.map(\.number), file: file, line: line)
    }

    /// States which programs a packet runs, in order.
    func expect(ran expected: [Int], file: String = #fileID, line: Int = #line) throws {
        programs.reset()
        let arrived = try loopback.get().exchange()
        let names = { (numbers: [Int]) in "[" + numbers.map { "P\($0)" }.joined(separator: ",") + "]" }
        test.expect(
            names(programs.trace), equals: names(expected), "programs that ran on a packet, in order", file: file,
            line: line)
        test.expect(arrived, "the packet arrives when every program returns TCX_NEXT", file: file, line: line)
    }

    private func text(_ contents: MprogTarget.Contents) -> String {
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
}
