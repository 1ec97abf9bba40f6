// SPDX-License-Identifier: Apache-2.0
internal import Crashes

/// How far cases are kept apart.
public enum Isolation: String, Sendable, CaseIterable {
    /// One machine for everything on a kernel.
    case none
    /// A pristine machine for a few suites, of 200 cases or so: what restoring and a cold machine cost is shared, and
    /// there is still work for several machines at a time.
    case batch
    /// A pristine machine for every suite.
    case suite
    /// A pristine machine for every case.
    case `case`
}

/// What one machine is made for: cases that run in it one after another.
struct WorkUnit: Sendable {
    /// Cases of one suite.
    struct Part: Sendable {
        /// Index of the selection.
        var selection: Int
        var cases: [String]
    }

    enum Purpose: Sendable {
        case plain
        /// A case has failed: whether it does so alone, and what came before it otherwise.
        case confirm(Attempt, before: [Part])
    }

    var kernel: Int
    var round: Int
    var parts: [Part]
    /// What its machine must have.
    var machine = MachineKind()
    var purpose = Purpose.plain
    /// From earlier runs.
    var expected: Duration = .zero
}

/// What became of one case in one round.
struct Attempt: Sendable {
    var kernel: Int
    var selection: Int
    var round: Int
    var result: CaseResult
    /// What is reported instead: the results of a program that has several.
    var parts: [CaseResult] = []
    /// The lines of the programs that had been loaded, as far as the agent was asked for them.
    var programs = BPFLines()
    /// Where the machine hung.
    var hang: HangState?

    /// What is reported.
    var results: [CaseResult] { parts.isEmpty ? [result] : parts }
}

/// All that is to be done, in the order in which it is reported.
struct Plan: Sendable {
    /// Seed of the order; nil: the catalogue's.
    var seed: UInt64?
    var isolation: Isolation
    var kernels: Int
    /// Selection by selection, the ids of its cases as given.
    var cases: [[String]]
    /// Selection by selection, what its machines must have; nothing but the usual where nothing is said.
    var machines: [MachineKind] = []
    /// Selection by selection, the cases that want a machine for themselves, whatever the isolation.
    var alone: [Set<String>] = []
    /// Cases that a kernel does not run: kernel, selection, case.
    var leavesOut: @Sendable (Int, Int, String) -> Bool = { _, _, _ in false }
    /// The machines' share of the time, where earlier runs tell: kernel, selection, case.
    var expected: @Sendable (Int, Int, String) -> Duration? = { _, _, _ in nil }

    /// The order of suites and cases in a round.
    func order(round: Int) -> [WorkUnit.Part] {
        var parts = cases.indices.map { WorkUnit.Part(selection: $0, cases: cases[$0]) }
        guard let seed else { return parts }
        var random = SplitMix64(state: seed &+ UInt64(round))
        parts.shuffle(using: &random)
        for index in parts.indices { parts[index].cases.shuffle(using: &random) }
        return parts
    }

    /// The order in a round of what a kernel runs.
    func order(kernel: Int, round: Int) -> [WorkUnit.Part] {
        order(round: round).compactMap { part in
            let cases = part.cases.filter { !leavesOut(kernel, part.selection, $0) }
            return cases.isEmpty ? nil : WorkUnit.Part(selection: part.selection, cases: cases)
        }
    }

    /// The units of a round, in reporting order.
    func units(round: Int) -> [WorkUnit] {
        (0..<kernels).flatMap { kernel -> [WorkUnit] in
            groups(order(kernel: kernel, round: round)).map { group in
                var unit = WorkUnit(kernel: kernel, round: round, parts: group)
                unit.machine = group.reduce(MachineKind()) { $0.joined(machine(of: $1.selection)) }
                unit.expected = expected(unit)
                return unit
            }
        }
    }

    /// How long a unit is expected to take, as far as that is known by now.
    func expected(_ unit: WorkUnit) -> Duration {
        var sum = Duration.zero
        for part in unit.parts {
            for one in part.cases { sum += expected(unit.kernel, part.selection, one) ?? .zero }
        }
        return sum
    }

    private func machine(of selection: Int) -> MachineKind {
        selection < machines.count ? machines[selection] : MachineKind()
    }

    /// What shares a machine: as the isolation says, but machines of different kinds are different machines, and a case
    /// that wants one for itself gets it.
    private func groups(_ parts: [WorkUnit.Part]) -> [[WorkUnit.Part]] {
        var shared: [WorkUnit.Part] = []
        var single: [WorkUnit.Part] = []
        for part in parts {
            let wishes = part.selection < alone.count ? alone[part.selection] : []
            let (apart, together) = (
                part.cases.filter { isolation == .case || wishes.contains($0) },
                part.cases.filter { isolation != .case && !wishes.contains($0) }
            )
            single += apart.map { WorkUnit.Part(selection: part.selection, cases: [$0]) }
            if !together.isEmpty { shared.append(WorkUnit.Part(selection: part.selection, cases: together)) }
        }
        let room =
            switch isolation {
            case .none: Int.max
            case .batch: Self.batch
            case .suite, .case: 0
            }
        // Machines of each kind, in the order of their first parts.
        var groups: [[WorkUnit.Part]] = []
        var open: [MachineKind: Int] = [:]
        for part in shared {
            let kind = machine(of: part.selection)
            if let known = open[kind], groups[known].reduce(0, { $0 + $1.cases.count }) + part.cases.count <= room {
                groups[known].append(part)
            } else {
                open[kind] = groups.count
                groups.append([part])
            }
        }
        return groups + single.map { [$0] }
    }

    /// Cases that share a machine, unless a suite has more.
    private static let batch = 200
}

/// A small generator whose numbers follow from its seed on every machine: an order can be had again.
///
/// - Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
