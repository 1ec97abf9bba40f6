// SPDX-License-Identifier: Apache-2.0

/// Random calls on cgroups: most of them could succeed, many nearly, some are nonsense.
public struct CgroupSource: StepSource {
    private enum Mood {
        case mixed
        case growing
        case shrinking
    }

    private var mood = Mood.mixed
    private var left = 60
    private var favourite = CgroupName.b
    /// What programs of a cgroup that is empty are attached with.
    private var kind: MprogFlags = .allowMulti

    public init() {}

    public mutating func next(_ model: CgroupModel, _ random: inout RandomSource) -> CgroupStep {
        left -= 1
        if left <= 0 {
            mood = random.pick([.mixed, .mixed, .mixed, .growing, .shrinking, .shrinking])
            left = 30 + random.below(mood == .growing ? 120 : 60)
            favourite = random.pick(CgroupName.all)
            kind = random.pick([.allowMulti, .allowMulti, .allowMulti, .allowOverride, []])
        }
        var name = random.chance(mood == .mixed ? 40 : 85) ? favourite : random.pick(CgroupName.all)
        if random.chance(2) { name = random.chance(50) ? .absent : .foreign }
        let slots = name.level.map { model.groups[$0].slots } ?? []
        var attaches = 34
        var detaches = 16
        switch mood {
        case .mixed: break
        case .growing: (attaches, detaches) = (70, 2)
        case .shrinking: (attaches, detaches) = (5, 50)
        }
        switch random.below(attaches + detaches + 44) {
        case ..<attaches: return .attach(name, attach(model, name, slots, &random))
        case ..<(attaches + detaches): return .detach(name, detach(slots, &random))
        case ..<(attaches + detaches + 14):
            var request = attach(model, name, slots, &random)
            if random.chance(95) { request.flags.subtract([.allowMulti, .allowOverride, .replace]) }
            return .link(1 + random.below(MprogStep.links), name, request)
        case ..<(attaches + detaches + 22): return update(model, &random)
        case ..<(attaches + detaches + 26): return .unlink(link(model, &random))
        case ..<(attaches + detaches + 35): return .close(link(model, &random))
        case ..<(attaches + detaches + 43):
            let flags: UInt32 =
                switch random.below(20) {
                case ..<9: 0
                case ..<18: 1
                default: 1 << UInt32(random.below(32))
                }
            return .query(name, room: random.below(random.chance(70) ? 6 : 200), flags: flags)
        // Cgroups that go are left to scripts: their end takes the kernel longer than a thousand calls.
        default: return .query(name, room: 64, flags: 1)
        }
    }

    private func program(_ random: inout RandomSource) -> Thing {
        .program(1 + random.below(mood == .growing || random.chance(10) ? MprogStep.programs : 6))
    }

    private func nonsense(_ random: inout RandomSource) -> Thing {
        random.pick([.none, .map, .otherType, .closed, .link(1 + random.below(MprogStep.links))])
    }

    private func attached(_ slots: [CgroupModel.Slot], _ random: inout RandomSource) -> Thing {
        slots.isEmpty ? program(&random) : .program(random.pick(slots).program)
    }

    private func link(_ model: CgroupModel, _ random: inout RandomSource) -> Int {
        let open = model.links.indices.filter { model.links[$0] != nil }
        return open.isEmpty || random.chance(10) ? 1 + random.below(MprogStep.links) : random.pick(open)
    }

    private func attach(
        _ model: CgroupModel, _ name: CgroupName, _ slots: [CgroupModel.Slot], _ random: inout RandomSource
    ) -> MprogRequest {
        var request = MprogRequest(random.chance(97) ? program(&random) : nonsense(&random))
        // A few tries to find one that is not attached.
        for _ in 0..<3 {
            guard case .program(let number) = request.program, slots.contains(where: { $0.program == number }),
                random.chance(90)
            else { break }
            request.program = program(&random)
        }
        let current = name.level.map { model.groups[$0].flags } ?? []
        request.flags = slots.isEmpty || random.chance(8) ? kind : current
        switch random.below(20) {
        case ..<8: break
        case ..<12: request.flags.insert(.before)
        case ..<16: request.flags.insert(.after)
        case 16: request.flags.formUnion([.before, .after])
        default: request.flags.insert(.replace)
        }
        if random.chance(25) { request.flags.insert(.preorder) }
        if request.flags.contains(.replace) || random.chance(4) {
            request.replace = random.chance(90) ? attached(slots, &random) : nonsense(&random)
        }
        if random.chance(request.flags.isDisjoint(with: [.before, .after]) ? 6 : 65) {
            anchor(model, slots, &request, &random)
        }
        if random.chance(4) {
            request.flags.formSymmetricDifference(MprogFlags(rawValue: 1 << UInt32(random.below(32))))
        }
        request.revision = revision(&random)
        return request
    }

    private func revision(_ random: inout RandomSource) -> MprogRevision {
        switch random.below(20) {
        case ..<14: .any
        case ..<18: .right(0)
        case 18: .right(random.pick([-1, 1, 1 << 32, -(1 << 32)]))
        default: .exactly(random.pick([1, 2, 1 << 32, UInt64.max]))
        }
    }

    private func anchor(
        _ model: CgroupModel, _ slots: [CgroupModel.Slot], _ request: inout MprogRequest,
        _ random: inout RandomSource
    ) {
        let held = slots.filter { $0.link != 0 }
        switch random.below(20) {
        case ..<10: request.anchor = attached(slots, &random)
        case ..<11: request.anchor = program(&random)
        case ..<13: request.anchor = .link(link(model, &random))
        case ..<19: request.anchor = held.isEmpty ? program(&random) : .link(random.pick(held).link)
        default: request.anchor = nonsense(&random)
        }
        if case .link = request.anchor {
            if random.chance(95) { request.flags.insert(.link) }
        } else if random.chance(3) {
            request.flags.insert(.link)
        }
        // An anchor of the other kind is refused: mostly of the same region, then.
        if let slot = slots.first(where: { .program($0.program) == request.anchor }), random.chance(70) {
            if slot.isPreorder { request.flags.insert(.preorder) } else { request.flags.remove(.preorder) }
        }
        if random.chance(40) { request.flags.insert(.id) }
    }

    private func detach(_ slots: [CgroupModel.Slot], _ random: inout RandomSource) -> MprogRequest {
        var request = MprogRequest(random.chance(88) ? attached(slots, &random) : nonsense(&random))
        if random.chance(4) { request.flags = MprogFlags(rawValue: 1 << UInt32(random.below(32))) }
        if random.chance(3) { request.anchor = program(&random) }
        request.revision = revision(&random)
        return request
    }

    private func update(_ model: CgroupModel, _ random: inout RandomSource) -> CgroupStep {
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
