// SPDX-License-Identifier: Apache-2.0

/// All steps that a bounded-exhaustive exploration takes in every state.
public protocol Alphabet {
    associatedtype Subject: Model, Equatable
    static var steps: [Subject.Step] { get }
    /// Steps that lead back to where a new model is, but for what only goes up, such as revisions.
    static func wayBack(_ model: Subject) -> [Subject.Step]
    /// What tells one state from another.
    static func state(_ model: Subject) -> String
}

extension Explorer {
    /// What became of all sequences up to a length.
    public struct Exhausted {
        /// Different states that all but the last step can lead to.
        public var states = 0
        /// Pairs of a state and a step: each stands for all sequences that lead to the state and end with the step.
        public var pairs = 0
        /// Those that were tried here.
        public var tried = 0
        /// Steps taken, with the ways to the states and back.
        public var steps = 0
        public var divergence: Divergence<Step>?
    }

    /// Tries every step of the alphabet in every state that fewer than `length` of them lead to.
    ///
    /// Of all sequences that lead to one state, the shortest that was found first is taken. A step that changes nothing
    /// leaves the state to the next one; that it changed nothing is looked at.
    ///
    /// - Parameter range: of pairs, by number: the whole can be done in parts.
    public func exhaust<Letters: Alphabet>(
        _ letters: Letters.Type, length: Int, range: Range<Int>
    ) throws -> Exhausted where Letters.Subject == Subject {
        let steps = Letters.steps
        let paths = Self.paths(letters, length: length, from: fresh)
        var result = Exhausted(states: paths.count, pairs: paths.count * steps.count)
        var walk = Walk(self, limit: episode)
        for (number, path) in paths.enumerated() {
            let first = number * steps.count
            if first >= range.upperBound || first + steps.count <= range.lowerBound { continue }
            var isHere = false
            var here = walk.model
            for (offset, step) in steps.enumerated() where range.contains(first + offset) {
                if !isHere {
                    if try walk.isDue() { try walk.restart() } else { try walk.take(Letters.wayBack(walk.model)) }
                    try walk.take(path)
                    here = walk.model
                }
                try walk.take([step])
                result.tried += 1
                result.steps = walk.steps
                if let divergence = walk.divergence {
                    result.divergence = try shrink(divergence)
                    return result
                }
                isHere = walk.model == here || Letters.state(walk.model) == Letters.state(here)
                if result.tried % 1024 == 0 { report(first + offset) }
            }
        }
        try walk.finish()
        result.steps = walk.steps
        if let divergence = walk.divergence { result.divergence = try shrink(divergence) }
        return result
    }

    /// The shortest way to each state.
    static func paths<Letters: Alphabet>(
        _ letters: Letters.Type, length: Int, from fresh: Subject = Subject()
    ) -> [[Step]] where Letters.Subject == Subject {
        var known: Set<String> = [Letters.state(fresh)]
        var paths: [[Step]] = [[]]
        var models = [fresh]
        var begin = 0
        for _ in 1..<max(1, length) {
            let end = paths.count
            for index in begin..<end {
                for step in Letters.steps {
                    var model = models[index]
                    guard model.apply(model.concrete(step)).errno == .none,
                        known.insert(Letters.state(model)).inserted
                    else { continue }
                    paths.append(paths[index] + [step])
                    models.append(model)
                }
            }
            begin = end
        }
        return paths
    }

    /// Steps one after another, remembered since the last fresh state.
    private struct Walk {
        private let explorer: Explorer
        private let limit: Int
        private(set) var model: Subject
        private var taken: [Step] = []
        private var hasBegun = false
        private(set) var steps = 0
        private(set) var divergence: Divergence<Step>?

        init(_ explorer: Explorer, limit: Int) {
            self.explorer = explorer
            self.limit = limit
            model = explorer.fresh
        }

        func isDue() throws -> Bool { !hasBegun || taken.count > limit }

        mutating func restart() throws {
            try finish()
            guard divergence == nil else { return }
            hasBegun = true
            try explorer.begin()
            model = explorer.fresh
            taken = []
        }

        mutating func finish() throws {
            if hasBegun, divergence == nil { divergence = try explorer.leak(taken) }
        }

        mutating func take(_ more: [Step]) throws {
            for step in more where divergence == nil {
                taken.append(step)
                steps += 1
                let depth: Depth = steps % explorer.deepEvery == 0 ? .deep : .near
                let (_, difference) = try explorer.take(model.concrete(step), &model, depth)
                if let difference {
                    divergence = Divergence(
                        steps: taken, observed: difference.observed, expected: difference.expected,
                        originalCount: taken.count)
                }
            }
        }
    }
}

/// Three programs and two links on one list of a device, every flag and every anchor.
public enum MprogLetters<Flavour: MprogFlavour>: Alphabet {
    public static var steps: [MprogStep] {
        let place = MprogPlace(.a, Flavour.hooks[0])
        let programs = (1...3).map { Thing.program($0) }
        let links = [1, 2]
        let anchors: [Thing] = [.none] + programs + links.map { .link($0) }
        var steps: [MprogStep] = []
        for flags in combinations([.replace, .before, .after, .id, .link]) {
            let replaced: [Thing] = flags.contains(.replace) ? programs : [.none]
            for anchor in anchors {
                for program in programs {
                    for replace in replaced {
                        steps.append(
                            .attach(place, MprogRequest(program, flags, anchor: anchor, replace: replace)))
                    }
                    for link in links {
                        steps.append(.link(link, place, MprogRequest(program, flags, anchor: anchor)))
                    }
                }
                for program in [.none] + programs {
                    steps.append(.detach(place, MprogRequest(program, flags, anchor: anchor)))
                }
            }
        }
        return steps + onLinks(links, programs)
    }

    static func onLinks(_ links: [Int], _ programs: [Thing]) -> [MprogStep] {
        links.flatMap { link -> [MprogStep] in
            let updates = programs.flatMap { program in
                [MprogStep.update(link, to: program, flags: [], old: .none)]
                    + programs.map { MprogStep.update(link, to: program, flags: .replace, old: $0) }
            }
            return updates + [.unlink(link), .close(link)]
        }
    }

    static func combinations(_ flags: [MprogFlags]) -> [MprogFlags] {
        (0..<1 << flags.count).map { bits in
            MprogFlags(flags.indices.filter { bits & 1 << $0 != 0 }.map { flags[$0] })
        }
    }

    public static func wayBack(_ model: MprogModel<Flavour>) -> [MprogStep] {
        let place = MprogPlace(.a, Flavour.hooks[0])
        let open = model.links.indices.filter { model.links[$0] != nil }
        let attached = (model.list(place)?.slots ?? []).filter { $0.link == 0 }
        return open.map { .close($0) }
            + attached.map { .detach(place, MprogRequest(.program(Int($0.program)))) }
    }

    public static func state(_ model: MprogModel<Flavour>) -> String {
        var view = model.view(after: .remake(.a), .deep)
        // What a list of netkit counts goes up for ever.
        if !Flavour.listsGo { for index in view.lists.indices { view.lists[index].revision = 0 } }
        return view.description
    }
}

/// Three programs and two links in one cgroup of three, every flag and every anchor.
public enum CgroupLetters: Alphabet {
    public static var steps: [CgroupStep] {
        let programs = (1...3).map { Thing.program($0) }
        let links = [1, 2]
        let anchors: [Thing] = [.none] + programs + links.map { .link($0) }
        var steps: [CgroupStep] = []
        typealias Flags = MprogLetters<TcxFlavour>
        let kinds: [MprogFlags] = [[], .allowOverride, .allowMulti, [.allowOverride, .allowMulti]]
        for flags in Flags.combinations([.replace, .before, .after, .id, .link, .preorder]) {
            let replaced: [Thing] = flags.contains(.replace) ? programs : [.none]
            for anchor in anchors {
                for program in programs {
                    for kind in kinds {
                        for replace in replaced {
                            let all = flags.union(kind)
                            steps.append(
                                .attach(.b, MprogRequest(program, all, anchor: anchor, replace: replace)))
                        }
                    }
                    for link in links {
                        steps.append(.link(link, .b, MprogRequest(program, flags, anchor: anchor)))
                    }
                }
            }
        }
        for program in [.none] + programs { steps.append(.detach(.b, MprogRequest(program))) }
        for step in Flags.onLinks(links, programs) {
            switch step {
            case .update(let number, let to, let flags, let old):
                steps.append(.update(number, to: to, flags: flags, old: old))
            case .unlink(let number): steps.append(.unlink(number))
            case .close(let number): steps.append(.close(number))
            default: continue
            }
        }
        return steps
    }

    public static func wayBack(_ model: CgroupModel) -> [CgroupStep] {
        let open = model.links.indices.filter { model.links[$0] != nil }
        let attached = model.groups[1].slots.filter { $0.link == 0 }
        return open.map { .close($0) } + attached.map { .detach(.b, MprogRequest(.program($0.program))) }
    }

    public static func state(_ model: CgroupModel) -> String {
        var view = model.view(after: .remake, .deep)
        for index in view.groups.indices { view.groups[index].revision = 0 }
        return view.description + model.groups.map { "\($0.slots)" }.joined()
    }
}

/// All that can be done with references in two slots of a map.
public enum KptrLetters: Alphabet {
    public static var steps: [KptrStep] {
        let slots = 1...KptrStep.slots
        return slots.flatMap { slot -> [KptrStep] in
            (1...KptrStep.tasks).map { KptrStep.create(slot, task: $0) } + slots.map { .move(slot, to: $0) }
                + slots.map { .acquire(slot, into: $0) } + [.drop(slot), .wipe(slot)]
        }
    }

    public static func wayBack(_ model: KptrModel) -> [KptrStep] {
        (1...KptrStep.slots).filter { model.slots[$0] != 0 }.map { .drop($0) }
    }

    public static func state(_ model: KptrModel) -> String { "\(model.slots)" }
}
