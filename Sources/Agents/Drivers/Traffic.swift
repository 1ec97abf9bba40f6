// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// A stream of numbered frames through a chain that changes meanwhile, and the proof that each frame ran a chain that
/// there was, in the order of time, and arrived unless it ran a program that drops.
final class Traffic {
    /// What the chain holds between two changes: the programs that a frame runs.
    typealias State = [UInt8]

    private let rig: Rig
    private let total: Int
    /// Frames that may be under way: fewer than a card's ring has room for (256 on e1000e and igb), as QEMU's cards drop
    /// what does not fit (QEMU 10.0: what has waited in its queue is handed over without asking for room again).
    private static let window = 128
    private let sender: any Sender
    /// All states that there have been, in the order of time; the last one may be about to come.
    private var states: [State]
    /// The state that a frame must have found at least, by the frame's number: what had been changed when it was let go.
    private var atLeast: [(number: Int, state: Int)] = []
    private var granted = 0
    /// The frame that is due, and the oldest state that it may have found.
    private var next = 0
    private var floor = 0
    private(set) var lost = 0
    /// The program that drops frames with an odd number, if any.
    private let dropper: UInt8?

    /// - Parameters:
    ///   - initial: what the chain holds now.
    ///   - dropper: a program that drops every second frame.
    init(_ rig: Rig, _ initial: State, total: Int, dropper: UInt8? = nil) throws {
        self.rig = rig
        self.total = total
        self.dropper = dropper
        states = [initial]
        sender = try rig.sender(count: total)
    }

    /// Sends all frames, while the chain is changed again and again.
    ///
    /// - Parameter change: carries out a change that leads to a state which it announces first; called while frames are
    ///   under way, until all have arrived.
    func run(_ change: (Traffic) throws -> Void) throws {
        try grant(Self.window)
        var changes = 0
        while next < total {
            try change(self)
            changes += 1
            // Where frames are dropped, none need come.
            try takeWhatIsThere(wait: dropper == nil && changes % 4 == 0)
        }
        try sender.finish()
    }

    /// Says what the chain is going to hold: from now on frames may find it.
    func announce(_ state: State) { states.append(state) }

    /// Says that the change is done: frames let go from now on find nothing older.
    func changed() { atLeast.append((granted, states.count - 1)) }

    func require(success errno: Errno?, file: String, line: Int) throws {
        try rig.test.require(
            success: errno, "the chain becomes \(rig.names(state.map { Int($0) }))", file: file, line: line)
    }

    /// The chain as it was last announced.
    var state: State { states[states.count - 1] }

    private func grant(_ count: Int) throws {
        let more = min(count, total - granted)
        guard more > 0 else { return }
        granted += more
        try sender.grant(more)
    }

    /// - Parameter wait: for one at least.
    private func takeWhatIsThere(wait: Bool) throws {
        let frames = try rig.take(wait: wait && next < granted)
        let before = next
        for frame in frames where frame.run == rig.run { try judge(frame) }
        try endOfTheOdd()
        try grant(next - before)
    }

    /// The last frames of what has been let go may all be dropped: the records say so.
    private func endOfTheOdd() throws {
        guard dropper != nil, next < granted, next % 2 == 1, next + 1 == granted else { return }
        let trace = rig.chain.ran(UInt32(next)).map { UInt8($0) }
        if let dropper, trace.last == dropper { try judge(lost: next) }
    }

    private func judge(_ frame: TestFrame) throws {
        let number = Int(frame.number)
        guard number >= next, number < granted else {
            throw rig.test.abort("frame \(frame) arrives where \(next) is due, of \(granted) that have been sent")
        }
        while next < number { try judge(lost: next) }
        try judge(number, frame.trace)
        if let dropper, number % 2 == 1, frame.trace.contains(dropper) {
            throw rig.test.abort("frame \(frame) arrives although P\(dropper) drops it")
        }
    }

    private func judge(lost number: Int) throws {
        let trace = rig.chain.ran(UInt32(number)).map { UInt8($0) }
        guard let dropper, number % 2 == 1, trace.last == dropper else {
            rig.test.note("trace", "\(trace)")
            throw rig.test.abort("frame \(number) is lost and no program has dropped it")
        }
        // It ended at the one that drops: what would have followed is not known.
        lost += 1
        try judge(number, trace, isWhole: false)
    }

    private func judge(_ number: Int, _ trace: State, isWhole: Bool = true) throws {
        while let first = atLeast.first, first.number <= number {
            floor = max(floor, first.state)
            atLeast.removeFirst()
        }
        let legal = states[floor...].firstIndex { isWhole ? $0 == trace : $0.starts(with: trace) }
        guard let legal else {
            let known = states[floor...].suffix(6).map { rig.names($0.map { Int($0) }) }.joined(separator: " ")
            rig.test.note("chains", known)
            rig.test.note("trace", rig.names(trace.map { Int($0) }))
            throw rig.test.abort("frame \(number) ran a chain that there was not")
        }
        floor = legal
        next = number + 1
        rig.chain.forget(UInt32(number))
    }
}

/// What puts numbered frames on their way while the case does something else.
protocol Sender {
    func grant(_ count: Int) throws
    func finish() throws
}

/// The host: to the card's wire.
private struct WireSender: Sender {
    let far: any FarEnd

    func grant(_ count: Int) throws { try far.grant(count) }
    func finish() {}
}

/// A second process of this machine: out of a device.
private final class ProcessSender: Sender {
    private let worker: Worker
    private let credits: FileHandle

    init(_ device: NetworkDevice, _ frame: [UInt8], count: Int) throws {
        let pipe = try Descriptors.pipe()
        let reading = FileHandle(pipe.first)
        let writing = FileHandle(pipe.second)
        credits = writing
        worker = try Worker { _ in
            writing.close()
            return try Self.send(device, frame, count, reading)
        }
        reading.close()
    }

    private static func send(
        _ device: NetworkDevice, _ template: [UInt8], _ count: Int, _ credits: FileHandle
    ) throws -> String {
        let socket = try PacketSocket(device.index)
        var frame = template
        var number = 0
        var word = [UInt8](repeating: 0, count: 4)
        while number < count {
            // Written in one piece, so read in one.
            guard try credits.read(into: &word) == 4 else { return "the case is gone" }
            let more = word.reversed().reduce(0) { $0 << 8 | Int($1) }
            for _ in 0..<more {
                for byte in 0..<4 {
                    frame[TestFrame.numberAt + byte] = UInt8(truncatingIfNeeded: number >> (8 * byte))
                }
                do throws(Errno) {
                    try socket.send(frame)
                } catch {
                    // A program has dropped it, which the case knows of.
                    if error != .noBufferSpace { throw error }
                }
                number += 1
            }
        }
        return "sent"
    }

    func grant(_ count: Int) throws {
        try credits.writeAll((0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) })
    }

    func finish() throws {
        let answer = try worker.finish()
        if answer != "sent" { throw SenderError(description: answer) }
    }
}

private struct SenderError: Error, CustomStringConvertible {
    let description: String
}

extension Rig {
    /// What sends `count` frames of the case, numbered from 0, as it is granted.
    func sender(count: Int) throws -> any Sender {
        let frame = frame(0)
        if direction == .egress { return try ProcessSender(device, frame, count: count) }
        if kind.card == nil { return try ProcessSender(try NetworkDevice("far0"), frame, count: count) }
        try far.burst(frame, count: count, credits: 0)
        return WireSender(far: far)
    }

    /// Takes the frames that have arrived.
    func take(wait: Bool) throws -> [TestFrame] {
        if direction == .egress { return try far.collect(wait: wait).compactMap { TestFrame($0) } }
        var frames: [TestFrame] = []
        if wait {
            guard let first = try socket.receive(until: .now + PacketSocket.limit) else {
                throw test.abort("no frame arrives any more")
            }
            if let frame = TestFrame(first.bytes) { frames.append(frame) }
        }
        while frames.count < 256, let next = try socket.receive() {
            if let frame = TestFrame(next.bytes) { frames.append(frame) }
        }
        return frames
    }
}
