// SPDX-License-Identifier: Apache-2.0

/// What tells the kinds of devices with lists from each other.
public protocol MprogFlavour: Sendable {
    static var target: String { get }
    static var hooks: [MprogHook] { get }
    /// Devices that a place can be said on.
    static var devices: [MprogDevice] { get }
    /// Whether a list that becomes empty goes, and starts again from revision 1.
    static var listsGo: Bool { get }
    /// Why there is no list at such a device.
    static func refusal(_ device: MprogDevice) -> ErrorNumber?
}

/// tcx: docs/semantics/mprog.md, sections 4, 7.
public enum TcxFlavour: MprogFlavour {
    public static let target = "tcx"
    public static let hooks: [MprogHook] = [.ingress, .egress]
    public static let devices: [MprogDevice] = [.a, .b, .absent]
    public static let listsGo = true

    public static func refusal(_ device: MprogDevice) -> ErrorNumber? {
        switch device {
        case .a, .b: nil
        case .absent, .peer, .foreign: .noDevice
        }
    }
}

/// netkit: docs/semantics/mprog.md, sections 4, 6, 7.
public enum NetkitFlavour: MprogFlavour {
    public static let target = "netkit"
    public static let hooks: [MprogHook] = [.primary, .peer]
    public static let devices: [MprogDevice] = [.a, .b, .absent, .peer, .foreign]
    public static let listsGo = false

    public static func refusal(_ device: MprogDevice) -> ErrorNumber? {
        switch device {
        case .a, .b: nil
        case .absent: .noDevice
        case .peer: .access
        case .foreign: .noSuchDevice
        }
    }
}

public typealias TcxModel = MprogModel<TcxFlavour>
public typealias NetkitModel = MprogModel<NetkitFlavour>

/// Two devices with two lists each, and the links on them.
public struct MprogModel<Flavour: MprogFlavour>: Model, Equatable {
    public typealias Step = MprogStep
    public typealias View = MprogView

    struct Device: Equatable {
        var lists = [MprogList(), MprogList()]
        /// The qdisc clsact, which keeps lists that are empty.
        var hasClsact = false
    }

    struct Link: Equatable {
        var program: Int
        /// nil: detached, or its device is gone.
        var home: MprogPlace?
        /// Where it was made.
        var origin: MprogPlace
    }

    var devices = [Device(), Device()]
    /// Indexed by number; 0 is not used.
    var links = [Link?](repeating: nil, count: MprogStep.links + 1)
    /// Where each number was last used: the list that is looked at after a call on it.
    private var origins = [MprogPlace?](repeating: nil, count: MprogStep.links + 1)

    public init() {}

    func list(_ place: MprogPlace) -> MprogList? {
        guard let (device, hook) = index(place) else { return nil }
        return devices[device].lists[hook]
    }

    private func index(_ place: MprogPlace) -> (device: Int, hook: Int)? {
        guard Flavour.refusal(place.device) == nil, let hook = Flavour.hooks.firstIndex(of: place.hook) else {
            return nil
        }
        return (place.device == .a ? 0 : 1, hook)
    }

    /// Whether the kernel has an object for the list.
    private func isThere(_ device: Int, _ hook: Int) -> Bool {
        !devices[device].lists[hook].slots.isEmpty || devices[device].hasClsact
    }

    /// After something has left a list.
    private mutating func settle(_ device: Int, _ hook: Int) {
        if Flavour.listsGo, !isThere(device, hook) { devices[device].lists[hook] = MprogList() }
    }

    // MARK: Steps

    public func concrete(_ step: MprogStep) -> MprogStep {
        switch step {
        case .attach(let place, let request): .attach(place, concrete(request, place))
        case .link(let number, let place, let request): .link(number, place, concrete(request, place))
        case .detach(let place, let request): .detach(place, concrete(request, place))
        default: step
        }
    }

    private func concrete(_ request: MprogRequest, _ place: MprogPlace) -> MprogRequest {
        guard case .right(let offset) = request.revision else { return request }
        var request = request
        request.revision = .exactly((list(place)?.revision ?? 1) &+ UInt64(bitPattern: offset))
        return request
    }

    public func isDrastic(_ step: MprogStep) -> Bool {
        switch step {
        case .remake, .clsact: true
        default: false
        }
    }

    public mutating func apply(_ step: MprogStep) -> Answer {
        switch step {
        case .attach(let place, let request): return Answer(attach(place, request))
        case .link(let number, let place, let request): return Answer(makeLink(number, place, request))
        case .detach(let place, let request): return Answer(detach(place, request))
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
        case .query(let place, let room, let flags): return query(place, room, flags)
        case .remake(let device): return Answer(remake(device))
        case .clsact(let device, let isThere): return Answer(setClsact(device, isThere))
        }
    }

    private mutating func attach(_ place: MprogPlace, _ request: MprogRequest) -> ErrorNumber {
        if !request.flags.isSubset(of: .ofDevices) { return .invalid }
        guard case .program(let program) = request.program else { return notAProgram(request.program) }
        if let refusal = Flavour.refusal(place.device) { return refusal }
        guard let (device, hook) = index(place) else { return .invalid }
        var old = MprogSlot(0)
        if request.flags.contains(.replace) {
            guard case .program(let number) = request.replace else { return notAProgram(request.replace) }
            old = MprogSlot(number)
        }
        let anchor = anchor(request, ofType: true)
        return devices[device].lists[hook].attach(
            MprogSlot(program), over: old, request.flags, anchor, revision: request.revision.number)
    }

    private mutating func makeLink(
        _ number: Int, _ place: MprogPlace, _ request: MprogRequest
    ) -> ErrorNumber {
        if links[number] != nil { return .skipped }
        origins[number] = place
        guard case .program(let program) = request.program else { return notAProgram(request.program) }
        if let refusal = Flavour.refusal(place.device) { return refusal }
        guard let (device, hook) = index(place) else { return .invalid }
        // No flag is refused as such; nothing can be replaced by a link.
        let errno = devices[device].lists[hook].attach(
            MprogSlot(program, link: number), over: MprogSlot(0), request.flags, anchor(request, ofType: true),
            revision: request.revision.number)
        if errno == .none { links[number] = Link(program: program, home: place, origin: place) }
        return errno
    }

    private mutating func detach(_ place: MprogPlace, _ request: MprogRequest) -> ErrorNumber {
        if !request.flags.isSubset(of: .ofDevices) { return .invalid }
        var program = 0
        switch request.program {
        case .none: break
        case .program(let number): program = number
        default: return notAProgram(request.program)
        }
        if let refusal = Flavour.refusal(place.device) { return refusal }
        guard let (device, hook) = index(place) else { return .invalid }
        guard isThere(device, hook) else { return .noEntry }
        let anchor = anchor(request, ofType: program != 0)
        let errno = devices[device].lists[hook].detach(
            program: program, request.flags, anchor, revision: request.revision.number)
        if errno == .none { settle(device, hook) }
        return errno
    }

    private mutating func update(_ number: Int, _ to: Thing, _ flags: MprogFlags, _ old: Thing) -> ErrorNumber {
        if !flags.isSubset(of: .replace) { return .invalid }
        guard let link = links[number] else { return .badDescriptor }
        var program = MprogAnchor.otherType
        if case .program(let number) = to {
            program = number
        } else if to != .otherType {
            return notAProgram(to)
        }
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
        guard let home = link.home, let (device, hook) = index(home) else { return .noLink }
        if wrongOld { return .perm }
        if program == link.program { return .none }
        if to == .otherType { return .invalid }
        let errno = devices[device].lists[hook].attach(
            MprogSlot(program, link: number), over: MprogSlot(link.program, link: number), [.replace, .id],
            .success(MprogAnchor(program: link.program)), revision: 0)
        if errno == .none { links[number]?.program = program }
        return errno
    }

    /// A link lets go of its list, if it is in one.
    private mutating func release(_ number: Int) {
        guard let home = links[number]?.home, let (device, hook) = index(home) else { return }
        devices[device].lists[hook].release(link: number)
        settle(device, hook)
        links[number]?.home = nil
    }

    private func query(_ place: MprogPlace, _ room: Int, _ flags: UInt32) -> Answer {
        // BPF_F_QUERY_EFFECTIVE is known to the system call, and to no list of a device.
        if flags & ~1 != 0 { return Answer(.invalid) }
        if let refusal = Flavour.refusal(place.device) { return Answer(refusal) }
        guard let (device, hook) = index(place) else { return Answer(.invalid) }
        if flags != 0 { return Answer(.invalid) }
        let list = devices[device].lists[hook]
        var values = [UInt64(list.slots.count), shownRevision(device, hook)]
        for slot in list.slots.prefix(room) { values += [UInt64(slot.program), UInt64(slot.link)] }
        let isShort = room > 0 && room < list.slots.count
        return Answer(isShort ? .noSpace : .none, values: values)
    }

    /// A list that the kernel has no object for shows the first revision.
    private func shownRevision(_ device: Int, _ hook: Int) -> UInt64 {
        isThere(device, hook) ? devices[device].lists[hook].revision : 1
    }

    private mutating func remake(_ device: MprogDevice) -> ErrorNumber {
        guard Flavour.refusal(device) == nil else { return .skipped }
        for number in links.indices where links[number]?.home?.device == device { links[number]?.home = nil }
        devices[device == .a ? 0 : 1] = Device()
        return .none
    }

    private mutating func setClsact(_ device: MprogDevice, _ isThere: Bool) -> ErrorNumber {
        guard Flavour.listsGo, Flavour.refusal(device) == nil else { return .skipped }
        let index = device == .a ? 0 : 1
        if devices[index].hasClsact == isThere { return .skipped }
        devices[index].hasClsact = isThere
        for hook in 0..<2 { settle(index, hook) }
        return .none
    }

    // MARK: Looking up

    /// What a descriptor is answered with where a program of the list's type is wanted.
    private func notAProgram(_ thing: Thing) -> ErrorNumber {
        switch thing {
        case .closed: .badDescriptor
        case .link(let number) where links[number] == nil: .badDescriptor
        // Descriptor 0 is open, and no program.
        case .none, .program, .link, .map, .otherType: .invalid
        }
    }

    /// Step 6 of an attach.
    ///
    /// - Parameter ofType: an anchor of another type is refused.
    private func anchor(_ request: MprogRequest, ofType: Bool) -> Result<MprogAnchor, MprogRefusal> {
        let byID = request.flags.contains(.id)
        if request.flags.contains(.link) {
            if case .link(let number) = request.anchor, let link = links[number] {
                return .success(MprogAnchor(program: link.program, link: number))
            }
            if byID { return .failure(MprogRefusal(.noEntry)) }
            if case .link = request.anchor { return .failure(MprogRefusal(.badDescriptor)) }
            return .failure(MprogRefusal(request.anchor == .closed ? .badDescriptor : .invalid))
        }
        switch request.anchor {
        case .none: return byID ? .failure(MprogRefusal(.noEntry)) : .success(MprogAnchor())
        case .program(let number): return .success(MprogAnchor(program: number))
        case .otherType:
            return ofType ? .failure(MprogRefusal(.invalid)) : .success(MprogAnchor(program: MprogAnchor.otherType))
        case .link, .map, .closed:
            return .failure(MprogRefusal(byID ? .noEntry : notAProgram(request.anchor)))
        }
    }

    // MARK: Looking

    public func view(after step: MprogStep, _ depth: Depth) -> MprogView {
        var places: [MprogPlace] = []
        if depth == .near {
            if let place = step.place(origins), index(place) != nil { places = [place] }
        } else {
            places = MprogView.places(Flavour.self)
        }
        var view = MprogView()
        for place in places {
            guard let (device, hook) = index(place) else { continue }
            let slots = devices[device].lists[hook].slots
            view.lists.append(
                MprogView.List(place: place, revision: shownRevision(device, hook), slots: slots))
            if depth == .deep { view.ran.append(slots.map(\.program)) }
        }
        if depth == .deep {
            for (number, link) in links.enumerated() {
                guard let link else { continue }
                view.links.append(
                    MprogView.Link(number: number, program: UInt8(link.program), device: link.home?.device))
            }
        }
        return view
    }
}

extension MprogStep {
    /// The list that is looked at after the step.
    ///
    /// - Parameter origins: where each link was last said to be made.
    public func place(_ origins: [MprogPlace?]) -> MprogPlace? {
        switch self {
        case .attach(let place, _), .link(_, let place, _), .detach(let place, _), .query(let place, _, _): place
        case .update(let number, _, _, _), .unlink(let number), .close(let number): origins[number]
        case .remake, .clsact: nil
        }
    }
}

extension MprogRevision {
    /// The number for the kernel: 0 where none is said, or where it has not been made concrete.
    public var number: UInt64 {
        if case .exactly(let number) = self { number } else { 0 }
    }
}

/// What can be seen of lists and links.
public struct MprogView: Equatable, Sendable, CustomStringConvertible {
    public struct List: Equatable, Sendable {
        public var place: MprogPlace
        public var revision: UInt64
        public var slots: [MprogSlot]

        public init(place: MprogPlace, revision: UInt64, slots: [MprogSlot]) {
            self.place = place
            self.revision = revision
            self.slots = slots
        }
    }

    public struct Link: Equatable, Sendable {
        public var number: Int
        public var program: UInt8
        /// nil: it hangs on none.
        public var device: MprogDevice?

        public init(number: Int, program: UInt8, device: MprogDevice?) {
            self.number = number
            self.program = program
            self.device = device
        }
    }

    public var lists: [List] = []
    /// The programs that ran on a packet, for each list.
    public var ran: [[UInt8]] = []
    /// Those that are open.
    public var links: [Link] = []
    /// What else there is to say, such as a query that failed.
    public var remark = ""

    public init() {}

    /// All lists, in the order in which they are shown.
    public static func places<Flavour: MprogFlavour>(_ flavour: Flavour.Type) -> [MprogPlace] {
        [MprogDevice.a, .b].flatMap { device in Flavour.hooks.map { MprogPlace(device, $0) } }
    }

    static func text(_ list: List) -> String {
        let slots = list.slots.map { $0.link == 0 ? "P\($0.program)" : "L\($0.link):P\($0.program)" }
        return "r\(list.revision) [\(slots.joined(separator: " "))]"
    }

    public var description: String {
        var parts = lists.map { "\($0.place) \(Self.text($0))" }
        for (list, trace) in zip(lists, ran) where trace != list.slots.map(\.program) {
            parts.append("a packet on \(list.place) ran [\(trace.map { "P\($0)" }.joined(separator: " "))]")
        }
        parts += links.map { "L\($0.number) P\($0.program) on \($0.device?.rawValue ?? "nothing")" }
        if !remark.isEmpty { parts.append(remark) }
        return parts.joined(separator: ", ")
    }
}
