// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Exploration
internal import LinuxIO
internal import SystemPackage

/// How devices of a flavour are made and reached.
protocol MprogDevices: MprogFlavour {
    static func attachType(_ hook: MprogHook) -> AttachType
    /// A pair of devices, both up.
    static func make(_ name: String, other: String) throws(Errno)
    /// Whether a packet for the hook is sent out of the first device of a pair.
    static func sendsFromFirst(_ hook: MprogHook) -> Bool
}

extension TcxFlavour: MprogDevices {
    static func attachType(_ hook: MprogHook) -> AttachType { hook == .ingress ? .tcxIngress : .tcxEgress }
    static func make(_ name: String, other: String) throws(Errno) { try Netlink.addVeth(name, peer: other) }
    static func sendsFromFirst(_ hook: MprogHook) -> Bool { hook == .egress }
}

extension NetkitFlavour: MprogDevices {
    static func attachType(_ hook: MprogHook) -> AttachType { hook == .primary ? .netkitPrimary : .netkitPeer }
    static func make(_ name: String, other: String) throws(Errno) {
        try Netkit.add(name, peer: other)
        try Netlink.setUp(name)
        try Netlink.setUp(other)
        // Programs run behind the queues.
        try Netkit.awaitRunning(name)
    }
    static func sendsFromFirst(_ hook: MprogHook) -> Bool { hook == .primary }
}

/// The kernel's lists on two pairs of devices, through bpf(2) as it is.
final class MprogSystem<Flavour: MprogDevices>: System {
    typealias Subject = MprogModel<Flavour>

    private let programs: TracePrograms
    private let sender: FrameSender
    private var devices: [MprogDevice: (first: UInt32, second: UInt32)] = [:]
    private var clsact: Set<MprogDevice> = []
    private var links = [BPFLink?](repeating: nil, count: MprogStep.links + 1)
    private var linkIDs = [UInt32](repeating: 0, count: MprogStep.links + 1)
    private var origins = [MprogPlace?](repeating: nil, count: MprogStep.links + 1)
    private let places = MprogView.places(Flavour.self)
    // What queries are answered into.
    private var programIDs = [UInt32](repeating: 0, count: 66)
    private var slotLinkIDs = [UInt32](repeating: 0, count: 66)

    /// A descriptor and an id that nothing has.
    private static var closedFD: UInt32 { 9_999 }
    private static var unknownID: UInt32 { 0x7fff_fff0 }
    private static var absentDevice: UInt32 { 99_999 }

    init(_ programs: TracePrograms) throws {
        self.programs = programs
        sender = try FrameSender()
    }

    // MARK: Fresh states

    func reset() throws {
        _ = try leftOver()
        try programs.renew()
        for device in [MprogDevice.a, .b] { try make(device) }
    }

    /// Lets go of everything.
    ///
    /// - Returns: what the kernel keeps all the same, in words.
    func leftOver() throws -> String? {
        for number in links.indices {
            links[number] = nil
            origins[number] = nil
        }
        for device in [MprogDevice.a, .b] where devices[device] != nil { try remove(device) }
        let kept = programs.giveUp()
        return kept.isEmpty
            ? nil
            : "after links, devices and descriptors are gone, the kernel keeps "
                + kept.map { "P\($0)" }.joined(separator: " ")
    }

    private func name(_ device: MprogDevice) -> (first: String, second: String) {
        ("ex\(device.rawValue)0", "ex\(device.rawValue)1")
    }

    private func make(_ device: MprogDevice) throws(Errno) {
        let names = name(device)
        try Flavour.make(names.first, other: names.second)
        devices[device] = (try Netlink.index(names.first), try Netlink.index(names.second))
    }

    private func remove(_ device: MprogDevice) throws(Errno) {
        try Netlink.delete(name(device).first)
        devices[device] = nil
        clsact.remove(device)
    }

    // MARK: Steps

    func apply(_ step: MprogStep) throws -> Answer {
        switch step {
        case .attach(let place, let request):
            return answer(
                target(place).attach(
                    fd(request.program), flags(request), relative: relative(request), replace: fd(request.replace),
                    revision: request.revision.number))
        case .link(let number, let place, let request):
            guard links[number] == nil else { return Answer(.skipped) }
            origins[number] = place
            switch target(place).createLink(
                fd(request.program), flags(request), relative: relative(request), revision: request.revision.number)
            {
            case .success(let link):
                links[number] = link
                linkIDs[number] = try BPFInfo.linkID(link.raw).get()
                return .success
            case .failure(let errno): return answer(errno)
            }
        case .detach(let place, let request):
            return answer(
                target(place).detach(
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
        case .query(let place, let room, let flags): return query(place, room: room, flags: flags)
        case .remake(let device):
            guard devices[device] != nil else { return Answer(.skipped) }
            try remove(device)
            try make(device)
            return .success
        case .clsact(let device, let isThere):
            guard Flavour.listsGo, devices[device] != nil, clsact.contains(device) != isThere else {
                return Answer(.skipped)
            }
            if isThere {
                try Netlink.addClsact(name(device).first)
                clsact.insert(device)
            } else {
                try Netlink.deleteClsact(name(device).first)
                clsact.remove(device)
            }
            return .success
        }
    }

    private func answer(_ errno: Errno?) -> Answer {
        Answer(ErrorNumber(rawValue: errno?.rawValue ?? 0))
    }

    private func flags(_ request: MprogRequest) -> AttachFlags {
        AttachFlags(rawValue: request.flags.rawValue)
    }

    private func target(_ place: MprogPlace) -> MprogTarget {
        MprogTarget(ifindex: index(place.device), type: Flavour.attachType(place.hook))
    }

    private func index(_ device: MprogDevice) -> UInt32 {
        switch device {
        case .a, .b: devices[device]?.first ?? Self.absentDevice
        case .peer: devices[.a]?.second ?? Self.absentDevice
        case .foreign: 1
        case .absent: Self.absentDevice
        }
    }

    private func fd(_ thing: Thing) -> CInt {
        switch thing {
        case .none: 0
        case .program(let number): programs.fd(number)
        case .link(let number): links[number]?.raw ?? CInt(Self.closedFD)
        case .map: programs.mapFD
        case .otherType: programs.otherTypeFD
        case .closed: CInt(Self.closedFD)
        }
    }

    /// The anchor's descriptor or id, as the flags have it.
    private func relative(_ request: MprogRequest) -> UInt32 {
        guard request.flags.contains(.id) else { return UInt32(bitPattern: fd(request.anchor)) }
        // The id of a link is the id of some program, too, and the other way round: what is of the wrong kind is given
        // an id that nothing has.
        let wantsLink = request.flags.contains(.link)
        switch request.anchor {
        case .none: return 0
        case .program(let number): return wantsLink ? Self.unknownID : programs.id(number)
        case .otherType: return wantsLink ? Self.unknownID : programs.otherTypeID
        // Also of a link that is closed: nothing has its id any more.
        case .link(let number): return wantsLink && linkIDs[number] != 0 ? linkIDs[number] : Self.unknownID
        case .map, .closed: return Self.unknownID
        }
    }

    // MARK: Looking

    private func ask(_ target: MprogTarget, room: Int, flags: UInt32) -> (Errno?, count: Int, revision: UInt64) {
        var attr = Attr(size: 64)
        attr.set(target.ifindex, at: 0)
        attr.set(target.type.rawValue, at: 4)
        attr.set(flags, at: 8)
        attr.set(UInt32(room), at: 24)
        let errno = unsafe programIDs.withUnsafeMutableBytes { programs in
            unsafe slotLinkIDs.withUnsafeMutableBytes { links in
                attr.set(UInt64(UInt(bitPattern: programs.baseAddress)), at: 16)
                attr.set(UInt64(UInt(bitPattern: links.baseAddress)), at: 40)
                return attr.call(.progQuery).errno
            }
        }
        let count: UInt32 = attr.get(at: 24)
        return (errno, Int(count), attr.get(at: 56))
    }

    private func slot(_ index: Int) -> MprogSlot {
        let id = slotLinkIDs[index]
        var link = 0
        if id != 0 {
            // 255: no link that is known here.
            link = linkIDs.indices.first { linkIDs[$0] == id && links[$0] != nil } ?? 255
        }
        return MprogSlot(Int(programs.number(id: programIDs[index])), link: link)
    }

    private func query(_ place: MprogPlace, room: Int, flags: UInt32) -> Answer {
        let room = min(room, programIDs.count)
        let (errno, count, revision) = ask(target(place), room: room, flags: flags)
        guard errno == nil || errno == .noSpace else { return answer(errno) }
        var values = [UInt64(count), revision]
        for index in 0..<min(room, count) {
            let slot = slot(index)
            values += [UInt64(slot.program), UInt64(slot.link)]
        }
        return Answer(ErrorNumber(rawValue: errno?.rawValue ?? 0), values: values)
    }

    func view(after step: MprogStep, _ depth: Depth) throws -> MprogView {
        var view = MprogView()
        if depth == .near {
            if let place = step.place(origins), devices[place.device] != nil { look(place, &view) }
            return view
        }
        for place in places {
            look(place, &view)
            if depth == .deep { view.ran.append(try packet(place, expected: view.lists.last?.slots.count ?? 0)) }
        }
        if depth == .deep {
            for (number, link) in links.enumerated() {
                guard let link else { continue }
                view.links.append(try look(number, link))
            }
        }
        return view
    }

    private func look(_ place: MprogPlace, _ view: inout MprogView) {
        let (errno, count, revision) = ask(target(place), room: 64, flags: 0)
        if let errno { view.remark += "\(place) cannot be queried: \(errno.name). " }
        let slots = (0..<min(count, 64)).map { slot($0) }
        view.lists.append(MprogView.List(place: place, revision: revision, slots: slots))
    }

    private func look(_ number: Int, _ link: BPFLink) throws -> MprogView.Link {
        // struct bpf_link_info: type, id, prog_id, and of both flavours ifindex, attach_type.
        let info = try BPFInfo.info(link.raw, size: 24).get()
        let index = UInt32(info, at: 16)
        var device: MprogDevice?
        if index != 0 {
            device = .foreign
            for (name, pair) in devices {
                let isPeer = origins[number]?.hook == .peer
                if index == (isPeer ? pair.second : pair.first) { device = name }
            }
        }
        return MprogView.Link(number: number, program: programs.number(id: UInt32(info, at: 8)), device: device)
    }

    /// Sends a packet through the list.
    private func packet(_ place: MprogPlace, expected: Int) throws -> [UInt8] {
        guard let pair = devices[place.device] else { return [] }
        try programs.clearTrace()
        if let errno = sender.send(Flavour.sendsFromFirst(place.hook) ? pair.first : pair.second) { throw errno }
        var trace = try programs.readTrace()
        // Where the receiving end was left to another thread after all: it runs when this one waits.
        for _ in 0..<20 where trace.count < expected {
            GracePeriods.pass()
            trace = try programs.readTrace()
        }
        return trace
    }
}
