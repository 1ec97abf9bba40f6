// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Exploration
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// References to tasks in the slots of a map, moved by programs: tests-bpf/explore/kptr.bpf.c.
final class KptrSystem: System {
    typealias Subject = KptrModel

    private let object: BPFObject
    private let slots: BPFMap
    private let programs: [String: CInt]
    /// T1…: the first two processes, and this one: they stay.
    private let tasks: [Int32] = [1, 2, getpid()]
    /// The references that each has without ours.
    private var baseline: [Int] = []
    private var keepsOverwritten = false

    var fresh: KptrModel { KptrModel(keepsOverwritten: keepsOverwritten) }

    init() throws {
        object = try BPFObject("explore/kptr.bpf.o")
        slots = BPFMap(borrowing: try object.map("slots"))
        var programs: [String: CInt] = [:]
        for name in ["create", "move", "acquire", "drop", "look", "count"] { programs[name] = try object.program(name) }
        self.programs = programs
        baseline = try tasks.map { try users($0) }
        switch KernelRelease.running {
        case ...KernelRelease(6, 18): keepsOverwritten = false
        case KernelRelease.v7_2...: keepsOverwritten = true
        default:
            // Which of the releases between was the first is not known.
            _ = try call("create", pid: tasks[0])
            try wipe(1)
            keepsOverwritten = try call("look").pid != 0
            try reset()
        }
    }

    func reset() throws {
        for slot in 1...KptrStep.slots {
            let result = try call("drop", slot: slot).result
            if result < 0, result != -Errno.ENOENT.rawValue { throw Errno(rawValue: -result) }
        }
    }

    func leftOver() throws -> String? {
        try reset()
        let now = try tasks.map { try users($0) }
        return now == baseline ? nil : "references to the tasks: \(now), and \(baseline) before there were any"
    }

    private func wipe(_ slot: Int) throws(Errno) {
        let key = [UInt8(slot - 1), 0, 0, 0]
        if let errno = slots.update(key, to: [UInt8](repeating: 0, count: 8)) { throw errno }
    }

    /// Runs a program with `struct call`.
    private func call(
        _ name: String, slot: Int = 1, other: Int = 1, pid: Int32 = 0
    ) throws(Errno) -> (result: Int32, pid: Int32, users: Int32) {
        let words = [UInt32(slot - 1), UInt32(other - 1), UInt32(bitPattern: pid), 0]
        let context = words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
        let outcome = try TestRun(context: context)(programs[name] ?? -1).get()
        return (
            Int32(bitPattern: outcome.returned), Int32(bitPattern: UInt32(outcome.context, at: 8)),
            Int32(bitPattern: UInt32(outcome.context, at: 12))
        )
    }

    private func users(_ pid: Int32) throws(Errno) -> Int {
        let (result, _, users) = try call("count", pid: pid)
        if result != 0 { throw Errno(rawValue: -result) }
        return Int(users)
    }

    func apply(_ step: KptrStep) throws -> Answer {
        let result: Int32
        switch step {
        case .create(let slot, let task): result = try call("create", slot: slot, pid: tasks[task - 1]).result
        case .move(let slot, let to): result = try call("move", slot: slot, other: to).result
        case .acquire(let slot, let into): result = try call("acquire", slot: slot, other: into).result
        case .drop(let slot): result = try call("drop", slot: slot).result
        case .wipe(let slot):
            try wipe(slot)
            return .success
        }
        return result < 0
            ? Answer(ErrorNumber(rawValue: -result)) : Answer(.none, values: [UInt64(UInt32(bitPattern: result))])
    }

    func view(after step: KptrStep, _ depth: Depth) throws -> KptrView {
        var held: [Int] = []
        for slot in 1...KptrStep.slots {
            let pid = try call("look", slot: slot).pid
            // -1: a task that was never put there.
            held.append(pid == 0 ? 0 : (tasks.firstIndex(of: pid) ?? -2) + 1)
        }
        var counts: [Int] = []
        for (task, before) in zip(tasks, baseline) { counts.append(try users(task) - before) }
        return KptrView(slots: held, counts: counts)
    }
}
