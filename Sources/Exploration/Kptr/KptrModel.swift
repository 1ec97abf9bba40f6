// SPDX-License-Identifier: Apache-2.0

/// What a program does with references that live in a map.
public enum KptrStep: ScriptStep {
    /// A reference to a task is taken and put into a slot.
    case create(Int, task: Int)
    /// The reference of a slot goes to another, or to where it was.
    case move(Int, to: Int)
    /// A further reference to what a slot holds is put into another.
    case acquire(Int, into: Int)
    /// The reference is taken out and released.
    case drop(Int)
    /// User space overwrites the slot.
    case wipe(Int)

    public static let slots = 4
    public static let tasks = 3

    public var description: String {
        switch self {
        case .create(let slot, let task): "create S\(slot) T\(task)"
        case .move(let slot, let to): "move S\(slot) S\(to)"
        case .acquire(let slot, let into): "acquire S\(slot) S\(into)"
        case .drop(let slot): "drop S\(slot)"
        case .wipe(let slot): "wipe S\(slot)"
        }
    }

    public init(text: String) throws(ScriptError) {
        var words = Words(text)
        let verb = try words.next("an operation")
        switch verb {
        case "create": self = .create(try words.slot(), task: try words.numbered("T", "task", upTo: Self.tasks))
        case "move": self = .move(try words.slot(), to: try words.slot())
        case "acquire": self = .acquire(try words.slot(), into: try words.slot())
        case "drop": self = .drop(try words.slot())
        case "wipe": self = .wipe(try words.slot())
        default: throw ScriptError("unknown operation \(verb)")
        }
        try words.end()
    }
}

extension Words {
    mutating func slot() throws(ScriptError) -> Int {
        try numbered("S", "slot", upTo: KptrStep.slots)
    }

    mutating func numbered(_ letter: Character, _ what: String, upTo highest: Int) throws(ScriptError) -> Int {
        let word = try next("a \(what)")
        guard word.first == letter, let number = Int(word.dropFirst()), (1...highest).contains(number) else {
            throw ScriptError("\(word) is no \(what): \(letter)1 to \(letter)\(highest)")
        }
        return number
    }
}

/// References in the slots of a map: whoever is put where another was has that one released. What user space overwrites
/// is released up to 6.18, and stays from 7.2 on.
///
/// - Source: docs/semantics/kptr.md, "xchg" and P-029.
public struct KptrModel: Model, Equatable {
    public typealias Step = KptrStep

    /// The task that each slot holds a reference to; 0: none. Indexed by number; 0 is not used.
    var slots = [Int](repeating: 0, count: KptrStep.slots + 1)

    private let keepsOverwritten: Bool

    public init() { self.init(keepsOverwritten: false) }

    public init(keepsOverwritten: Bool) { self.keepsOverwritten = keepsOverwritten }

    /// - Returns: whether what was there had to be released: the answer's value.
    private mutating func put(_ task: Int, _ slot: Int) -> Answer {
        let old = slots[slot]
        slots[slot] = task
        return Answer(.none, values: [old == 0 ? 0 : 1])
    }

    public mutating func apply(_ step: KptrStep) -> Answer {
        switch step {
        case .create(let slot, let task): return put(task, slot)
        case .move(let slot, let to):
            let task = slots[slot]
            if task == 0 { return Answer(.noEntry) }
            slots[slot] = 0
            return put(task, to)
        case .acquire(let slot, let into):
            return slots[slot] == 0 ? Answer(.noEntry) : put(slots[slot], into)
        case .drop(let slot):
            return slots[slot] == 0 ? Answer(.noEntry) : put(0, slot)
        case .wipe(let slot):
            if !keepsOverwritten { slots[slot] = 0 }
            return .success
        }
    }

    public func view(after step: KptrStep, _ depth: Depth) -> KptrView {
        let held = slots.dropFirst()
        return KptrView(
            slots: Array(held), counts: (1...KptrStep.tasks).map { task in held.count { $0 == task } })
    }
}

public struct KptrView: Equatable, Sendable, CustomStringConvertible {
    /// The task in each slot.
    public var slots: [Int]
    /// References to each task beside those that it has of itself.
    public var counts: [Int]

    public init(slots: [Int], counts: [Int]) {
        self.slots = slots
        self.counts = counts
    }

    public var description: String {
        let held = slots.map { $0 == 0 ? "-" : "T\($0)" }.joined(separator: " ")
        return "[\(held)], counts \(counts)"
    }
}

public struct KptrSource: StepSource {
    public init() {}

    public mutating func next(_ model: KptrModel, _ random: inout RandomSource) -> KptrStep {
        let slot = 1 + random.below(KptrStep.slots)
        let other = 1 + random.below(KptrStep.slots)
        switch random.below(10) {
        case ..<3: return .create(slot, task: 1 + random.below(KptrStep.tasks))
        case ..<5: return .move(slot, to: other)
        case ..<8: return .acquire(slot, into: other)
        case 8: return .drop(slot)
        default: return .wipe(slot)
        }
    }
}
