// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// A slot of a cgroup's list.
enum CgroupSlot: Equatable, CustomStringConvertible {
    /// Cn by itself.
    case c(Int)
    /// Cn by a link.
    case l(Int)
    /// The same with PREORDER.
    case preC(Int)
    case preL(Int)

    var number: Int {
        switch self {
        case .c(let number), .l(let number), .preC(let number), .preL(let number): number
        }
    }

    var isPreorder: Bool {
        switch self {
        case .c, .l: false
        case .preC, .preL: true
        }
    }

    var description: String {
        switch self {
        case .c(let number): "C\(number)"
        case .l(let number): "L\(number)"
        case .preC(let number): "C\(number)(PRE)"
        case .preL(let number): "L\(number)(PRE)"
        }
    }
}

/// What a position is relative to.
enum CgroupAnchor {
    case none
    /// Cn.
    case fd(Int)
    case id(Int)
    /// The link of Cn.
    case linkFD(Int)
    case linkID(Int)
    /// A descriptor or an id as it is.
    case raw(UInt32)
}

/// The list of one cgroup for socket creation, with everything that a row of the table needs to act on it and to look at
/// it. Its process is in the cgroup.
final class CgroupList {
    let test: Test
    let programs: CgroupPrograms
    let cgroup: Cgroup
    let target: CgroupTarget
    private let directory: FileHandle
    private var links: [Int: BPFLink] = [:]
    /// Whether the kernel counts revisions, as those do that have positions.
    let countsRevisions: Bool
    private let seat: Seat

    /// Where the case's process is. To move it costs a grace period.
    private final class Seat {
        var path = ""

        func take(in cgroup: Cgroup) throws(Errno) {
            if path == cgroup.path { return }
            try cgroup.join()
            path = cgroup.path
        }
    }

    /// The list of a new cgroup below the root.
    convenience init(_ test: Test) throws {
        try self.init(test, try Cgroup(test), Seat())
    }

    private init(_ test: Test, _ cgroup: Cgroup, _ seat: Seat) throws {
        self.test = test
        self.cgroup = cgroup
        self.seat = seat
        programs = try CgroupPrograms.loaded
        directory = try cgroup.open()
        target = CgroupTarget(directory.raw, .cgroupSockCreate)
        countsRevisions = target.query().contents.revision != 0
        programs.reset()
    }

    /// The list of a new cgroup below this one; the process stays where it is.
    func child(_ name: String = "child") throws -> CgroupList {
        try CgroupList(test, try cgroup.child(name), seat)
    }

    /// Whether link updates are due to look at PREORDER and at cgroup storage: they do from 7.2 on, and where both came
    /// to 6.12 with the positions. Nothing but an update tells whether a kernel between does.
    var hasCarefulUpdates: Bool {
        KernelRelease.running >= .v7_2
            || KernelRelease.running >= .v6_12 && KernelRelease.running < KernelRelease(6, 13) && countsRevisions
    }

    /// Closes the cgroup's directory: nothing can be done with the list afterwards.
    func close() { directory.close() }

    // MARK: Acting

    /// Fills the empty list, slot by slot.
    func set(up slots: [CgroupSlot]) throws {
        for slot in slots {
            let flags: AttachFlags = slot.isPreorder ? .preorder : []
            switch slot {
            case .c(let number), .preC(let number):
                try test.require(success: attach(number, flags), "set-up: attach \(slot)")
            case .l(let number), .preL(let number):
                try test.require(success: link(number, flags), "set-up: link \(slot)")
            }
        }
    }

    /// BPF_PROG_ATTACH of Cn to a list of several (ALLOW_MULTI).
    func attach(
        _ number: Int, _ flags: AttachFlags = [], _ anchor: CgroupAnchor = .none, replace: Int? = nil,
        revision: UInt64 = 0
    ) throws -> Errno? {
        target.attach(
            programs.fd(number), flags.union(.allowMulti), relative: try value(anchor),
            replace: replace.map { programs.fd($0) } ?? 0, revision: revision)
    }

    /// BPF_PROG_ATTACH of Cn with these flags alone.
    func attachPlain(_ number: Int, _ flags: AttachFlags = [], _ anchor: CgroupAnchor = .none) throws -> Errno? {
        target.attach(programs.fd(number), flags, relative: try value(anchor))
    }

    /// Creates a link of Cn and keeps it.
    func link(
        _ number: Int, _ flags: AttachFlags = [], _ anchor: CgroupAnchor = .none, revision: UInt64 = 0
    ) throws -> Errno? {
        let answer = target.createLink(programs.fd(number), flags, relative: try value(anchor), revision: revision)
        if case .success(let link) = answer { links[number] = link }
        return answer.errno
    }

    func detach(_ number: Int, revision: UInt64 = 0) -> Errno? {
        target.detach(programs.fd(number), revision: revision)
    }

    /// The link that was made of Cn.
    func link(of number: Int) throws -> BPFLink {
        guard let link = links[number] else { throw test.abort("there is no link of C\(number)") }
        return link
    }

    /// Closes the link of Cn.
    func closeLink(of number: Int) throws {
        try link(of: number).close()
        links[number] = nil
    }

    private func value(_ anchor: CgroupAnchor) throws -> UInt32 {
        switch anchor {
        case .none: 0
        case .fd(let number): UInt32(bitPattern: programs.fd(number))
        case .id(let number): programs.id(number)
        case .linkFD(let number): UInt32(bitPattern: try link(of: number).raw)
        case .linkID(let number): try BPFInfo.linkID(try link(of: number).raw).get()
        case .raw(let value): value
        }
    }

    // MARK: Looking

    /// States what the list holds, by query and by what runs for a socket that is made in the cgroup.
    ///
    /// - Parameters:
    ///   - revision: nil where the case says nothing of it; looked at where the kernel counts.
    ///   - flags: of the list.
    ///   - running: what runs, where it is not the list itself with its PREORDER programs first.
    func expect(
        list expected: [CgroupSlot], revision: UInt64? = nil, flags: AttachFlags? = nil, running: [Int]? = nil,
        file: String = #fileID, line: Int = #line
    ) throws {
        let (contents, errno) = target.query()
        test.expect(errno, nil, "the list can be queried", file: file, line: line)
        test.expect(
            names(contents.programs), equals: names(expected.map(\.number)), "order of the list, by query",
            file: file, line: line)
        test.expect(Int(contents.count), equals: expected.count, "count of the list", file: file, line: line)
        test.expect(
            contents.flags, equals: flags ?? (expected.isEmpty ? [] : .allowMulti), "flags of the list",
            file: file, line: line)
        if let revision, countsRevisions {
            test.expect(contents.revision, equals: revision, "revision", file: file, line: line)
        }
        let inOrder = expected.filter(\.isPreorder) + expected.filter { !$0.isPreorder }
        try expect(running: running ?? inOrder.map(\.number), file: file, line: line)
        for slot in expected {
            guard let link = links[slot.number], slot == .l(slot.number) || slot == .preL(slot.number) else { continue }
            let info = try CgroupLinkInfo.of(link)
            test.expect(
                info.program, equals: programs.id(slot.number), "program of link \(slot)", file: file, line: line)
            test.expect(info.cgroup, equals: try cgroup.id, "cgroup of link \(slot)", file: file, line: line)
        }
    }

    /// States which programs run, in order, for a socket that is made in the cgroup, all of them returning 1; and that an
    /// effective query says the same.
    func expect(running expected: [Int], file: String = #fileID, line: Int = #line) throws {
        try seat.take(in: cgroup)
        let (ran, errno) = programs.makeSocket()
        test.expect(
            names(ran), equals: names(expected), "programs that ran for a socket, in order", file: file, line: line)
        test.expect(errno, nil, "a socket is made when every program returns 1", file: file, line: line)
        let effective = target.query(.effective)
        test.expect(effective.errno, nil, "effective query", file: file, line: line)
        test.expect(
            names(effective.contents.programs), equals: names(expected), "programs of the effective query", file: file,
            line: line)
    }

    /// States that a call was refused with one errno and changed nothing.
    ///
    /// - Parameter revision: that of a list that was filled slot by slot where left out.
    func expect(
        _ answer: Errno?, refused expected: Errno, _ call: String, leaving list: [CgroupSlot], revision: UInt64? = nil,
        flags: AttachFlags? = nil, file: String = #fileID, line: Int = #line
    ) throws {
        test.expect(answer, expected, call, file: file, line: line)
        try expect(
            list: list, revision: revision ?? UInt64(list.count + 1), flags: flags, file: file, line: line)
    }

    private func names(_ numbers: [Int]) -> String {
        "[" + numbers.map { "C\($0)" }.joined(separator: ",") + "]"
    }

    private func names(_ ids: [UInt32]) -> String {
        "[" + ids.map { id in programs.number(id: id).map { "C\($0)" } ?? "?(id \(id))" }.joined(separator: ",") + "]"
    }
}
