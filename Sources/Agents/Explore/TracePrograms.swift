// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// Programs that append their number to one trace, to be told apart by id.
///
/// Made of instructions: the first few are loaded anew for every fresh state, so that it can be seen whether the kernel
/// lets go of them, and a load of one of these is a matter of a millisecond.
final class TracePrograms {
    enum Kind {
        /// For tcx and netkit: counts frames of `FrameSender` alone, and returns TCX_NEXT.
        case frames
        /// For the egress of sockets in a cgroup: counts all packets, and lets them pass.
        case cgroup
    }

    let count: Int
    /// So many, from P1 on, are not the same ones after `renew`.
    let renewed: Int
    private let kind: Kind
    private let trace: BPFMap
    /// Indexed by number; 0 is not used.
    private var handles: [FileHandle?]
    private var ids: [UInt32]
    private var numbers: [UInt32: UInt8] = [:]
    private let other: FileHandle
    private let otherID: UInt32

    /// `struct { __u64 length; __u64 numbers[256]; }`, the only element of the map.
    private static let entries = 256
    private static let traceSize = 8 + 8 * entries

    init(_ kind: Kind, count: Int, renewed: Int) throws {
        self.kind = kind
        self.count = count
        self.renewed = renewed
        trace = try BPFMap.create(.array, key: 4, value: Self.traceSize, entries: 1).get()
        handles = [FileHandle?](repeating: nil, count: count + 1)
        ids = [UInt32](repeating: 0, count: count + 1)
        other = try RawProgram.returning(2, .xdp).load(logSize: 0).program.get()
        otherID = try BPFInfo.programID(other.raw).get()
        for number in 1...count { try load(number) }
    }

    func fd(_ number: Int) -> CInt { handles[number]?.raw ?? -1 }
    func id(_ number: Int) -> UInt32 { ids[number] }
    var otherTypeFD: CInt { other.raw }
    var otherTypeID: UInt32 { otherID }
    var mapFD: CInt { trace.raw }

    /// Pn for a program id of the kernel; 0 for one that is none of these.
    func number(id: UInt32) -> UInt8 { numbers[id] ?? 0 }

    // MARK: Renewal

    /// Gives up the first programs.
    ///
    /// - Returns: those that are still there: something keeps them.
    func giveUp() -> [Int] {
        var kept: [Int] = []
        for number in 1...renewed {
            handles[number] = nil
            numbers[ids[number]] = nil
        }
        for number in 1...renewed where isAlive(ids[number]) { kept.append(number) }
        // A cgroup that is removed lets go after a grace period that nobody can hasten, and by a worker.
        Wait.until(.seconds(20)) {
            kept = kept.filter { isAlive(ids[$0]) }
            return kept.isEmpty
        }
        return kept
    }

    private func isAlive(_ id: UInt32) -> Bool {
        guard case .success(let raw) = BPFCall.byID(.progGetFDByID, id) else { return false }
        FileHandle(adopting: raw).close()
        return true
    }

    /// Loads those that were given up.
    func renew() throws {
        for number in 1...renewed where handles[number] == nil { try load(number) }
    }

    private func load(_ number: Int) throws {
        let program = RawProgram(kind == .frames ? .schedCls : .cgroupSkb, code(number), expectedAttachType: attachType)
        let handle = try program.load(logSize: 0).program.get()
        let id = try BPFInfo.programID(handle.raw).get()
        handles[number] = handle
        ids[number] = id
        numbers[id] = UInt8(number)
    }

    private var attachType: UInt32 { kind == .frames ? 0 : AttachType.cgroupInetEgress.rawValue }

    /// In C, of a map value `trace`:
    ///
    ///     if (skb->protocol == htons(FrameSender.protocol))
    ///             trace.numbers[trace.length++ & 255] = number;
    ///     return verdict;
    private func code(_ number: Int) -> [Instruction] {
        let append =
            Instruction.mapValue(1, trace.raw) + [
                .load(2, from: 1, 0),
                .copy(3, from: 2),
                .add(3, 1),
                .store(from: 3, at: 1, 0),
                Instruction(0x57, destination: 2, immediate: Int32(Self.entries - 1)),  // r2 &= 255
                Instruction(0x67, destination: 2, immediate: 3),  // r2 <<= 3
                Instruction(0x0f, destination: 1, source: 2),  // r1 += r2
                .store(Int32(number), at: 1, 8),
            ]
        guard kind == .frames else { return append + [.set(0, 1), .exit] }
        let wanted = Int32(FrameSender.etherType.bigEndian)
        return [
            Instruction(0x61, destination: 2, source: 1, offset: 16),  // r2 = skb->protocol
            Instruction(0x55, destination: 2, offset: Int16(append.count), immediate: wanted),  // if != goto
        ] + append + [.set(0, -1), .exit]
    }

    // MARK: The trace

    func clearTrace() throws(Errno) {
        let errno = trace.update([0, 0, 0, 0], to: [UInt8](repeating: 0, count: Self.traceSize))
        if let errno { throw errno }
    }

    /// The programs that ran since it was cleared, in order.
    func readTrace() throws(Errno) -> [UInt8] {
        let bytes = try trace.lookup([0, 0, 0, 0], size: Self.traceSize).get()
        let length = Int(bytes[0]) | Int(bytes[1]) << 8
        return (0..<min(length, Self.entries)).map { bytes[8 + 8 * $0] }
    }
}

/// Waits for what the kernel leaves to its workers.
enum Wait {
    /// Asks again and again, and lets the workers run in between, until something is so or the time is over.
    static func until(_ limit: Duration, _ isSo: () throws -> Bool) rethrows {
        let end = ContinuousClock.now + limit
        while try !isSo(), .now < end {
            GracePeriods.pass()
            var poller = Poller()
            // Nothing to wait for but the time: what poll(2) answers does not matter.
            _ = try? poller.wait(.milliseconds(1))
        }
    }
}
