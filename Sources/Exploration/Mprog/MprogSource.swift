// SPDX-License-Identifier: Apache-2.0

/// Random calls: most of them could succeed, many nearly, some are nonsense.
public struct MprogSource<Flavour: MprogFlavour>: StepSource {
    /// What the next steps are about: without a mood lists would stay short.
    private enum Mood {
        case mixed
        case growing
        case shrinking
    }

    private var mood = Mood.mixed
    private var left = 60
    /// The list that a mood is about.
    private var favourite = MprogPlace(.a, Flavour.hooks[0])

    public init() {}

    public mutating func next(_ model: MprogModel<Flavour>, _ random: inout RandomSource) -> MprogStep {
        left -= 1
        if left <= 0 {
            mood = random.pick([.mixed, .mixed, .mixed, .growing, .growing, .shrinking])
            left = 30 + random.below(mood == .growing ? 120 : 60)
            favourite = random.pick(MprogView.places(Flavour.self))
        }
        let place = place(&random)
        let slots = model.list(place)?.slots ?? []
        var attaches = 34
        var detaches = 18
        switch mood {
        case .mixed: break
        case .growing: (attaches, detaches) = (60, 3)
        case .shrinking: (attaches, detaches) = (6, 45)
        }
        switch random.below(attaches + detaches + 48) {
        case ..<attaches: return .attach(place, request(model, slots, isNew: true, &random))
        case ..<(attaches + detaches): return .detach(place, request(model, slots, isNew: false, &random))
        case ..<(attaches + detaches + 16):
            let number = 1 + random.below(MprogStep.links)
            var request = request(model, slots, isNew: true, &random)
            // REPLACE is for programs.
            if random.chance(80) { request.flags.remove(.replace) }
            return .link(number, place, request)
        case ..<(attaches + detaches + 26): return update(model, &random)
        case ..<(attaches + detaches + 31): return .unlink(link(model, &random))
        case ..<(attaches + detaches + 41): return .close(link(model, &random))
        case ..<(attaches + detaches + 46):
            let flags: UInt32 = random.chance(80) ? 0 : 1 << UInt32(random.below(32))
            return .query(place, room: random.below(random.chance(70) ? 6 : 66), flags: flags)
        default:
            let device: MprogDevice = random.chance(50) ? .a : .b
            // Making a device takes longer than all other calls.
            if Flavour.listsGo, random.chance(90) { return .clsact(device, isThere: random.chance(50)) }
            if random.chance(80) { return .query(place, room: 64, flags: 0) }
            return .remake(device)
        }
    }

    private func place(_ random: inout RandomSource) -> MprogPlace {
        if random.chance(mood == .mixed ? 40 : 85) { return favourite }
        if random.chance(4) { return MprogPlace(random.pick(Flavour.devices), random.pick(Flavour.hooks)) }
        return MprogPlace(random.chance(70) ? .a : .b, random.pick(Flavour.hooks))
    }

    // MARK: Things

    private func program(_ random: inout RandomSource) -> Thing {
        .program(1 + random.below(mood == .growing || random.chance(10) ? MprogStep.programs : 6))
    }

    private func nonsense(_ random: inout RandomSource) -> Thing {
        random.pick([.none, .map, .otherType, .closed, .link(1 + random.below(MprogStep.links))])
    }

    private func attached(_ slots: [MprogSlot], _ random: inout RandomSource) -> Thing {
        guard !slots.isEmpty else { return program(&random) }
        // Ends are where mistakes are.
        let index =
            switch random.below(4) {
            case 0: 0
            case 1: slots.count - 1
            default: random.below(slots.count)
            }
        return .program(Int(slots[index].program))
    }

    private func link(_ model: MprogModel<Flavour>, _ random: inout RandomSource) -> Int {
        let open = model.links.indices.filter { model.links[$0] != nil }
        guard !open.isEmpty, random.chance(90) else { return 1 + random.below(MprogStep.links) }
        return open[random.below(open.count)]
    }

    // MARK: Requests

    private func request(
        _ model: MprogModel<Flavour>, _ slots: [MprogSlot], isNew: Bool, _ random: inout RandomSource
    ) -> MprogRequest {
        var request = MprogRequest(isNew ? fresh(slots, &random) : victim(slots, &random))
        switch random.below(20) {
        case ..<5: break
        case ..<10: request.flags = .before
        case ..<15: request.flags = .after
        case 15: request.flags = [.before, .after]
        default: request.flags = isNew ? .replace : []
        }
        if request.flags.contains(.replace), random.chance(30) {
            request.flags.insert(random.chance(50) ? .before : .after)
        }
        if !request.flags.isEmpty || random.chance(10) { addAnchor(model, slots, &request, &random) }
        if request.flags.contains(.replace) || random.chance(4) {
            request.replace = random.chance(90) ? attached(slots, &random) : nonsense(&random)
        }
        if random.chance(4) {
            request.flags.formSymmetricDifference(MprogFlags(rawValue: 1 << UInt32(random.below(32))))
        }
        switch random.below(20) {
        case ..<14: break
        case ..<18: request.revision = .right(0)
        case 18: request.revision = .right(random.pick([-1, 1, 1 << 32, -(1 << 32)]))
        default: request.revision = .exactly(random.pick([1, 2, 1 << 32, UInt64.max]))
        }
        return request
    }

    private func fresh(_ slots: [MprogSlot], _ random: inout RandomSource) -> Thing {
        if random.chance(3) { return nonsense(&random) }
        if random.chance(10) { return attached(slots, &random) }
        var thing = program(&random)
        // A few tries to find one that is not in the list.
        for _ in 0..<4 {
            guard case .program(let number) = thing, slots.contains(where: { $0.program == UInt8(number) }) else {
                break
            }
            thing = program(&random)
        }
        return thing
    }

    private func victim(_ slots: [MprogSlot], _ random: inout RandomSource) -> Thing {
        switch random.below(20) {
        case ..<8: .none
        case ..<17: attached(slots, &random)
        case ..<19: program(&random)
        default: nonsense(&random)
        }
    }

    private func addAnchor(
        _ model: MprogModel<Flavour>, _ slots: [MprogSlot], _ request: inout MprogRequest,
        _ random: inout RandomSource
    ) {
        if random.chance(30) { return }
        switch random.below(20) {
        case ..<10: request.anchor = attached(slots, &random)
        case ..<12: request.anchor = program(&random)
        case ..<14: request.anchor = .link(link(model, &random))
        case ..<19:
            let held = slots.filter { $0.link != 0 }
            guard !held.isEmpty else { break }
            request.anchor = .link(Int(held[random.below(held.count)].link))
        default: request.anchor = nonsense(&random)
        }
        if case .link = request.anchor {
            if random.chance(95) { request.flags.insert(.link) }
        } else if random.chance(3) {
            request.flags.insert(.link)
        }
        if random.chance(40) { request.flags.insert(.id) }
    }

    private func update(_ model: MprogModel<Flavour>, _ random: inout RandomSource) -> MprogStep {
        let number = link(model, &random)
        var to = random.chance(95) ? program(&random) : nonsense(&random)
        let current = model.links[number]?.program
        if let current, random.chance(10) { to = .program(current) }
        if random.chance(60) { return .update(number, to: to, flags: [], old: .none) }
        var old = program(&random)
        if let current, random.chance(70) { old = .program(current) }
        if random.chance(5) { old = nonsense(&random) }
        let flags: MprogFlags = random.chance(90) ? .replace : MprogFlags(rawValue: 1 << UInt32(random.below(32)))
        return .update(number, to: to, flags: random.chance(95) ? flags : [], old: old)
    }
}
