// SPDX-License-Identifier: Apache-2.0

/// The programs of one attach type in three cgroups, each below the one before.
///
/// - Source: docs/semantics/mprog.md, section 8; kernel/bpf/cgroup.c.
public struct CgroupModel: Model, Equatable {
    public typealias Step = CgroupStep

    struct Slot: Equatable {
        var program: Int
        /// 0: none.
        var link: Int
        var isPreorder: Bool
    }

    struct Group: Equatable {
        var slots: [Slot] = []
        /// OVERRIDE or MULTI, as long as there is a program.
        var flags: MprogFlags = []
        var revision: UInt64 = 1
    }

    struct Link: Equatable {
        var program: Int
        /// nil: detached, or its cgroup is gone.
        var home: CgroupName?
    }

    /// From the top.
    var groups = [Group(), Group(), Group()]
    /// Indexed by number; 0 is not used.
    var links = [Link?](repeating: nil, count: MprogStep.links + 1)
    private var origins = [CgroupName?](repeating: nil, count: MprogStep.links + 1)

    public init() {}

    private static let attachMask: MprogFlags = [
        .allowOverride, .allowMulti, .replace, .preorder, .before, .after, .id, .link,
    ]
    private static let linkMask: MprogFlags = [.id, .before, .after, .preorder, .link]

    // MARK: Steps

    public func concrete(_ step: CgroupStep) -> CgroupStep {
        switch step {
        case .attach(let name, let request): .attach(name, concrete(request, name))
        case .link(let number, let name, let request): .link(number, name, concrete(request, name))
        case .detach(let name, let request): .detach(name, concrete(request, name))
        default: step
        }
    }

    private func concrete(_ request: MprogRequest, _ name: CgroupName) -> MprogRequest {
        guard case .right(let offset) = request.revision else { return request }
        var request = request
        let revision = name.level.map { groups[$0].revision } ?? 1
        request.revision = .exactly(revision &+ UInt64(bitPattern: offset))
        return request
    }

    public func isDrastic(_ step: CgroupStep) -> Bool { step == .remake }

    public mutating func apply(_ step: CgroupStep) -> Answer {
        switch step {
        case .attach(let name, let request): return Answer(attach(name, request))
        case .link(let number, let name, let request): return Answer(makeLink(number, name, request))
        case .detach(let name, let request): return Answer(detach(name, request))
        case .update(let number, let to, let flags, let old): return Answer(update(number, to, flags, old))
        case .unlink(let number):
            guard links[number] != nil else { return Answer(.badDescriptor) }
            release(number)
            return .success
        case .close(let number):
            guard links[number] != nil else { return Answer(.skipped) }
            release(number)
            links[number] = nil
            return .success
        case .query(let name, let room, let flags): return query(name, room, flags)
        case .remake:
            for number in links.indices where links[number]?.home == .c { links[number]?.home = nil }
            groups[2] = Group()
            return .success
        }
    }

    private mutating func attach(_ name: CgroupName, _ request: MprogRequest) -> ErrorNumber {
        if !request.flags.isSubset(of: Self.attachMask) { return .invalid }
        guard case .program(let program) = request.program else { return notAProgram(request.program) }
        guard let level = name.level else { return .badDescriptor }
        var replaced = 0
        if request.flags.isSuperset(of: [.allowMulti, .replace]) {
            guard case .program(let number) = request.replace else { return notAProgram(request.replace) }
            replaced = number
        }
        return put(Slot(program: program, link: 0, isPreorder: false), over: replaced, request, level)
    }

    private mutating func makeLink(_ number: Int, _ name: CgroupName, _ request: MprogRequest) -> ErrorNumber {
        if links[number] != nil { return .skipped }
        origins[number] = name
        guard case .program(let program) = request.program else { return notAProgram(request.program) }
        if !request.flags.isSubset(of: Self.linkMask) { return .invalid }
        guard let level = name.level else { return .badDescriptor }
        var request = request
        request.flags.insert(.allowMulti)
        let errno = put(Slot(program: program, link: number, isPreorder: false), over: 0, request, level)
        if errno == .none { links[number] = Link(program: program, home: name) }
        return errno
    }

    /// What an attach and a link creation have in common.
    private mutating func put(
        _ new: Slot, over replaced: Int, _ request: MprogRequest, _ level: Int
    ) -> ErrorNumber {
        let flags = request.flags
        var new = new
        new.isPreorder = flags.contains(.preorder)
        if flags.isSuperset(of: [.allowOverride, .allowMulti]) { return .invalid }
        if flags.contains(.replace), !flags.contains(.allowMulti) { return .invalid }
        if flags.contains(.replace), !flags.isDisjoint(with: [.before, .after]) { return .invalid }
        let group = groups[level]
        let expected = request.revision.number
        if expected != 0, expected != group.revision { return .stale }
        if !ancestorsAllow(level) { return .perm }
        let kind = flags.intersection([.allowOverride, .allowMulti])
        if !group.slots.isEmpty, group.flags != kind { return .perm }
        if group.slots.count >= CgroupStep.limit { return .tooBig }
        var index: Int?
        if !flags.contains(.allowMulti) {
            // One at most: it is replaced, and no anchor is looked at.
            if !group.slots.isEmpty { index = 0 }
        } else {
            if new.link == 0, replaced != new.program,
                group.slots.contains(where: { $0.link == 0 && $0.program == new.program })
            {
                return .invalid
            }
            if replaced != 0 {
                index = group.slots.firstIndex { $0.link == 0 && $0.program == replaced }
                if index == nil { return .noEntry }
            }
        }
        if let index {
            groups[level].slots[index] = new
        } else {
            switch place(new, request, group) {
            case .success(let place): groups[level].slots.insert(new, at: place)
            case .failure(let refusal): return refusal.errno
            }
        }
        groups[level].flags = kind
        groups[level].revision += 1
        return .none
    }

    /// Where a new program goes.
    private func place(
        _ new: Slot, _ request: MprogRequest, _ group: Group
    ) -> Result<Int, MprogRefusal> {
        let flags = request.flags
        let isBefore = flags.contains(.before)
        let isAfter = flags.contains(.after)
        let byLink = flags.contains(.link)
        let byID = flags.contains(.id)
        guard byLink || byID || request.anchor != .none else {
            if !group.slots.isEmpty, isBefore, isAfter { return .failure(MprogRefusal(.invalid)) }
            return .success(isBefore ? 0 : group.slots.count)
        }
        if isBefore == isAfter { return .failure(MprogRefusal(.invalid)) }
        // A program beside a program, a link beside a link.
        if byLink != (new.link != 0) { return .failure(MprogRefusal(.invalid)) }
        let found: Int?
        if byLink {
            guard case .link(let number) = request.anchor, links[number] != nil else {
                if byID { return .failure(MprogRefusal(.noEntry)) }
                if case .link = request.anchor { return .failure(MprogRefusal(.badDescriptor)) }
                return .failure(MprogRefusal(request.anchor == .closed ? .badDescriptor : .invalid))
            }
            found = group.slots.firstIndex { $0.link == number }
        } else {
            switch request.anchor {
            case .program(let number): found = group.slots.firstIndex { $0.link == 0 && $0.program == number }
            // Its type is not looked at; it is nowhere.
            case .otherType: found = nil
            default: return .failure(MprogRefusal(byID ? .noEntry : notAProgram(request.anchor)))
            }
        }
        guard let found else { return .failure(MprogRefusal(.noEntry)) }
        if group.slots[found].isPreorder != new.isPreorder { return .failure(MprogRefusal(.invalid)) }
        return .success(isBefore ? found : found + 1)
    }

    /// The nearest cgroup above that has programs decides.
    private func ancestorsAllow(_ level: Int) -> Bool {
        for above in groups[..<level].reversed() where !above.slots.isEmpty {
            return !above.flags.isEmpty
        }
        return true
    }

    private mutating func detach(_ name: CgroupName, _ request: MprogRequest) -> ErrorNumber {
        if !request.flags.isEmpty || request.anchor != .none { return .invalid }
        guard let level = name.level else { return .badDescriptor }
        let group = groups[level]
        let expected = request.revision.number
        if expected != 0, expected != group.revision { return .stale }
        if !group.flags.contains(.allowMulti) {
            // The only one, whatever was said.
            if group.slots.isEmpty { return .noEntry }
            remove(0, level)
            return .none
        }
        guard case .program(let program) = request.program else { return .invalid }
        guard let index = group.slots.firstIndex(where: { $0.link == 0 && $0.program == program }) else {
            return .noEntry
        }
        remove(index, level)
        return .none
    }

    private mutating func remove(_ index: Int, _ level: Int) {
        groups[level].slots.remove(at: index)
        groups[level].revision += 1
        if groups[level].slots.isEmpty { groups[level].flags = [] }
    }

    private mutating func release(_ number: Int) {
        guard let level = links[number]?.home?.level,
            let index = groups[level].slots.firstIndex(where: { $0.link == number })
        else { return }
        remove(index, level)
        links[number]?.home = nil
    }

    private mutating func update(_ number: Int, _ to: Thing, _ flags: MprogFlags, _ old: Thing) -> ErrorNumber {
        if !flags.isSubset(of: .replace) { return .invalid }
        guard let link = links[number] else { return .badDescriptor }
        if case .program = to {} else if to != .otherType { return notAProgram(to) }
        var wrongOld = false
        if flags.contains(.replace) {
            switch old {
            case .program(let said): wrongOld = said != link.program
            case .otherType: wrongOld = true
            default: return notAProgram(old)
            }
        } else if old != .none {
            return .invalid
        }
        guard let level = link.home?.level else { return .noLink }
        if wrongOld { return .perm }
        guard case .program(let program) = to else { return .invalid }
        if let index = groups[level].slots.firstIndex(where: { $0.link == number }) {
            groups[level].slots[index].program = program
        }
        links[number]?.program = program
        // Also where it is the program that it has.
        groups[level].revision += 1
        return .none
    }

    private func query(_ name: CgroupName, _ room: Int, _ flags: UInt32) -> Answer {
        if flags & ~1 != 0 { return Answer(.invalid) }
        guard let level = name.level else { return Answer(.badDescriptor) }
        let isEffective = flags == 1
        let programs = isEffective ? effective(level) : groups[level].slots.map { UInt8($0.program) }
        var values = [UInt64(programs.count), isEffective ? 0 : groups[level].revision]
        values.append(isEffective ? 0 : UInt64(groups[level].flags.rawValue))
        values += programs.prefix(room).map { UInt64($0) }
        return Answer(room > 0 && room < programs.count ? .noSpace : .none, values: values)
    }

    /// What runs in a cgroup, in order.
    func effective(_ level: Int) -> [UInt8] {
        var early: [UInt8] = []
        var late: [UInt8] = []
        for group in groups[...level].reversed() {
            if !early.isEmpty || !late.isEmpty, !group.flags.contains(.allowMulti) { continue }
            // The outermost cgroup's come first among those that are to run early.
            early = group.slots.filter(\.isPreorder).map { UInt8($0.program) } + early
            late += group.slots.filter { !$0.isPreorder }.map { UInt8($0.program) }
        }
        return early + late
    }

    private func notAProgram(_ thing: Thing) -> ErrorNumber {
        switch thing {
        case .closed: .badDescriptor
        case .link(let number) where links[number] == nil: .badDescriptor
        case .none, .program, .link, .map, .otherType: .invalid
        }
    }

    // MARK: Looking

    public func view(after step: CgroupStep, _ depth: Depth) -> CgroupView {
        var names = CgroupName.all
        if depth == .near { names = [step.name(origins)].compactMap { $0 }.filter { $0.level != nil } }
        var view = CgroupView()
        for name in names {
            guard let level = name.level else { continue }
            let group = groups[level]
            view.groups.append(
                CgroupView.Group(
                    name: name, revision: group.revision, flags: group.flags,
                    programs: group.slots.map { UInt8($0.program) }))
            if depth != .near { view.effective.append(effective(level)) }
            if depth == .deep { view.ran.append(effective(level)) }
        }
        if depth == .deep {
            for (number, link) in links.enumerated() {
                guard let link else { continue }
                view.links.append(CgroupView.Link(number: number, program: UInt8(link.program), home: link.home))
            }
        }
        return view
    }
}

/// What can be seen of cgroups and links.
public struct CgroupView: Equatable, Sendable, CustomStringConvertible {
    public struct Group: Equatable, Sendable {
        public var name: CgroupName
        public var revision: UInt64
        public var flags: MprogFlags
        /// Which of them a link holds is not told.
        public var programs: [UInt8]

        public init(name: CgroupName, revision: UInt64, flags: MprogFlags, programs: [UInt8]) {
            self.name = name
            self.revision = revision
            self.flags = flags
            self.programs = programs
        }
    }

    public struct Link: Equatable, Sendable {
        public var number: Int
        public var program: UInt8
        public var home: CgroupName?

        public init(number: Int, program: UInt8, home: CgroupName?) {
            self.number = number
            self.program = program
            self.home = home
        }
    }

    public var groups: [Group] = []
    /// What BPF_F_QUERY_EFFECTIVE shows, for each.
    public var effective: [[UInt8]] = []
    /// What ran on a packet of a socket in each.
    public var ran: [[UInt8]] = []
    public var links: [Link] = []
    public var remark = ""

    public init() {}

    private static func text(_ programs: [UInt8]) -> String {
        "[" + programs.map { "P\($0)" }.joined(separator: " ") + "]"
    }

    public var description: String {
        var parts = groups.map { "\($0.name.rawValue) r\($0.revision) \($0.flags) \(Self.text($0.programs))" }
        for (index, programs) in effective.enumerated() {
            var part = "\(groups[index].name.rawValue) in effect \(Self.text(programs))"
            if index < ran.count, ran[index] != programs { part += ", a packet ran \(Self.text(ran[index]))" }
            parts.append(part)
        }
        parts += links.map { "L\($0.number) P\($0.program) in \($0.home?.rawValue ?? "nothing")" }
        if !remark.isEmpty { parts.append(remark) }
        return parts.joined(separator: ", ")
    }
}
