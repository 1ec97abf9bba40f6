// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Exploration
internal import LinuxIO
internal import SystemPackage

/// The kernel's programs of three cgroups, through bpf(2) as it is.
final class CgroupSystem: System {
    typealias Subject = CgroupModel

    private struct Group {
        let cgroup: Cgroup
        let id: UInt64
        let descriptor: FileHandle
        /// A socket that belongs to the cgroup: what it sends passes the programs in effect there.
        let socket: Loopback
    }

    private let programs: TracePrograms
    private var groups: [CgroupName: Group] = [:]
    private var links = [BPFLink?](repeating: nil, count: MprogStep.links + 1)
    private var linkIDs = [UInt32](repeating: 0, count: MprogStep.links + 1)
    private var origins = [CgroupName?](repeating: nil, count: MprogStep.links + 1)
    private var programIDs = [UInt32](repeating: 0, count: 256)

    private static let closedFD: CInt = 9_999
    private static let unknownID: UInt32 = 0x7fff_fff0

    /// - Parameter test: what is left when the case is over goes with it.
    init(_ programs: TracePrograms, _ test: Test) throws {
        self.programs = programs
        if let errno = Cgroup.mount() { throw errno }
        test.atEnd { [self] in
            do {
                if let what = try leftOver() { test.fail(what) }
            } catch {
                test.fail("the cgroups could not be removed: \(error)")
            }
        }
    }

    // MARK: Fresh states

    func reset() throws {
        _ = try leftOver()
        try programs.renew()
        for name in CgroupName.all { try make(name) }
    }

    func leftOver() throws -> String? {
        for number in links.indices {
            links[number] = nil
            origins[number] = nil
        }
        for name in CgroupName.all.reversed() { try remove(name) }
        let kept = programs.giveUp()
        return kept.isEmpty
            ? nil
            : "after links, cgroups and descriptors are gone, the kernel keeps "
                + kept.map { "P\($0)" }.joined(separator: " ")
    }

    private func make(_ name: CgroupName) throws {
        let parent: Cgroup
        switch name {
        case .b: parent = try found(.a).cgroup
        case .c: parent = try found(.b).cgroup
        default: parent = .root
        }
        let cgroup = try Cgroup(under: parent, "explore\(name.rawValue)")
        try cgroup.join()
        let socket = try Loopback()
        try Cgroup.root.join()
        groups[name] = Group(cgroup: cgroup, id: try cgroup.id, descriptor: try cgroup.open(), socket: socket)
    }

    private func found(_ name: CgroupName) throws(Errno) -> Group {
        guard let group = groups[name] else { throw .noSuchFileOrDirectory }
        return group
    }

    private func remove(_ name: CgroupName) throws {
        // The socket goes at once: as long as it is there the cgroup's programs and links stay.
        guard let (cgroup, id) = groups.removeValue(forKey: name).map({ ($0.cgroup, $0.id) }) else { return }
        if let errno = cgroup.remove() { throw errno }
        // Its links are told by a worker.
        for (number, link) in links.enumerated() {
            guard let link, origins[number] == name else { continue }
            try Wait.until(.seconds(20)) { try home(link) != id }
        }
    }

    private func home(_ link: BPFLink) throws(Errno) -> UInt64 {
        let info = try BPFInfo.info(link.raw, size: 32).get()
        return UInt64(UInt32(info, at: 16)) | UInt64(UInt32(info, at: 20)) << 32
    }

    // MARK: Steps

    func apply(_ step: CgroupStep) throws -> Answer {
        switch step {
        case .attach(let name, let request):
            return answer(
                target(name).attach(
                    fd(request.program), flags(request), relative: relative(request), replace: fd(request.replace),
                    revision: request.revision.number))
        case .link(let number, let name, let request):
            guard links[number] == nil else { return Answer(.skipped) }
            origins[number] = name
            switch target(name).createLink(
                fd(request.program), flags(request), relative: relative(request), revision: request.revision.number)
            {
            case .success(let link):
                links[number] = link
                linkIDs[number] = try BPFInfo.linkID(link.raw).get()
                return .success
            case .failure(let errno): return answer(errno)
            }
        case .detach(let name, let request):
            return answer(
                target(name).detach(
                    fd(request.program), flags(request), relative: relative(request),
                    revision: request.revision.number))
        case .update(let number, let to, let flags, let old):
            var attr = Attr(size: 16)
            attr.set(links[number]?.raw ?? -1, at: 0)
            attr.set(fd(to), at: 4)
            attr.set(flags.rawValue, at: 8)
            attr.set(fd(old), at: 12)
            return answer(attr.call(.linkUpdate).errno)
        case .unlink(let number):
            var attr = Attr(size: 4)
            attr.set(links[number]?.raw ?? -1, at: 0)
            return answer(attr.call(.linkDetach).errno)
        case .close(let number):
            guard links[number] != nil else { return Answer(.skipped) }
            links[number] = nil
            return .success
        case .query(let name, let room, let flags):
            let room = min(room, programIDs.count)
            let (errno, count, revision, kind) = ask(name, room: room, flags: flags)
            guard errno == nil || errno == .noSpace else { return answer(errno) }
            return Answer(
                ErrorNumber(rawValue: errno?.rawValue ?? 0),
                values: [UInt64(count), revision, UInt64(kind)] + numbers(min(room, count)).map { UInt64($0) })
        case .remake:
            try remove(.c)
            try make(.c)
            return .success
        }
    }

    private func answer(_ errno: Errno?) -> Answer {
        Answer(ErrorNumber(rawValue: errno?.rawValue ?? 0))
    }

    private func flags(_ request: MprogRequest) -> AttachFlags { AttachFlags(rawValue: request.flags.rawValue) }

    private func target(_ name: CgroupName) -> MprogTarget {
        MprogTarget(ifindex: UInt32(bitPattern: descriptor(name)), type: .cgroupInetEgress)
    }

    private func descriptor(_ name: CgroupName) -> CInt {
        switch name {
        case .a, .b, .c: groups[name]?.descriptor.raw ?? Self.closedFD
        case .absent: Self.closedFD
        case .foreign: programs.mapFD
        }
    }

    private func fd(_ thing: Thing) -> CInt {
        switch thing {
        case .none: 0
        case .program(let number): programs.fd(number)
        case .link(let number): links[number]?.raw ?? Self.closedFD
        case .map: programs.mapFD
        case .otherType: programs.otherTypeFD
        case .closed: Self.closedFD
        }
    }

    /// As of `MprogSystem`.
    private func relative(_ request: MprogRequest) -> UInt32 {
        guard request.flags.contains(.id) else { return UInt32(bitPattern: fd(request.anchor)) }
        let wantsLink = request.flags.contains(.link)
        switch request.anchor {
        case .none: return 0
        case .program(let number): return wantsLink ? Self.unknownID : programs.id(number)
        case .otherType: return wantsLink ? Self.unknownID : programs.otherTypeID
        case .link(let number): return wantsLink && linkIDs[number] != 0 ? linkIDs[number] : Self.unknownID
        case .map, .closed: return Self.unknownID
        }
    }

    // MARK: Looking

    private func ask(
        _ name: CgroupName, room: Int, flags: UInt32
    ) -> (Errno?, count: Int, revision: UInt64, kind: UInt32) {
        var attr = Attr(size: 64)
        attr.set(descriptor(name), at: 0)
        attr.set(AttachType.cgroupInetEgress.rawValue, at: 4)
        attr.set(flags, at: 8)
        attr.set(UInt32(room), at: 24)
        let errno = unsafe programIDs.withUnsafeMutableBytes { programs in
            attr.set(UInt64(UInt(bitPattern: programs.baseAddress)), at: 16)
            return attr.call(.progQuery).errno
        }
        let count: UInt32 = attr.get(at: 24)
        return (errno, Int(count), attr.get(at: 56), attr.get(at: 12))
    }

    private func numbers(_ count: Int) -> [UInt8] {
        programIDs[..<count].map { programs.number(id: $0) }
    }

    func view(after step: CgroupStep, _ depth: Depth) throws -> CgroupView {
        var names = CgroupName.all
        if depth == .near { names = [step.name(origins)].compactMap { $0 }.filter { $0.level != nil } }
        var view = CgroupView()
        for name in names {
            let (errno, count, revision, kind) = ask(name, room: 256, flags: 0)
            if let errno { view.remark += "\(name) cannot be queried: \(errno.name). " }
            view.groups.append(
                CgroupView.Group(
                    name: name, revision: revision, flags: MprogFlags(rawValue: kind),
                    programs: numbers(min(count, 256))))
            if depth == .near { continue }
            let effective = ask(name, room: 256, flags: 1)
            if let errno = effective.0 { view.remark += "\(name): no effective query: \(errno.name). " }
            view.effective.append(numbers(min(effective.count, 256)))
            if depth == .deep { view.ran.append(try packet(name)) }
        }
        if depth == .deep {
            for (number, link) in links.enumerated() {
                guard let link else { continue }
                let home = try home(link)
                let program = try BPFInfo.info(link.raw, size: 12).get()
                view.links.append(
                    CgroupView.Link(
                        number: number, program: programs.number(id: UInt32(program, at: 8)),
                        home: home == 0 ? nil : groups.first { $0.value.id == home }?.key ?? .foreign))
            }
        }
        return view
    }

    /// Sends a packet from a socket in the cgroup.
    private func packet(_ name: CgroupName) throws -> [UInt8] {
        try programs.clearTrace()
        guard try found(name).socket.exchange() else { throw Errno.timedOut }
        return try programs.readTrace()
    }
}
