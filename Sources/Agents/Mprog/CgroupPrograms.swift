// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// The programs C1…C66 of tests-bpf/mprog/cgroup.bpf.c, loaded once for a whole run. They run for every IPv4 socket that
/// is made in a cgroup.
@safe final class CgroupPrograms: @unchecked Sendable {
    // SAFETY: made once by the suite's prepare, before the cases' processes are forked; each of those has one thread.
    private static let shared = Mutex<CgroupPrograms?>(nil)

    static let highest = 66

    private let object: BPFObject
    private let globals: UnsafeMutableRawBufferPointer
    private let descriptors: [Int: CInt]
    private let ids: [Int: UInt32]
    let otherType: CInt
    let someMap: CInt

    static func load() throws {
        let programs = try CgroupPrograms()
        shared.withLock { $0 = programs }
    }

    static var loaded: CgroupPrograms {
        get throws {
            guard let programs = shared.withLock({ $0 }) else { throw Errno.noSuchFileOrDirectory }
            return programs
        }
    }

    private init() throws {
        object = try BPFObject("mprog/cgroup.bpf.o")
        unsafe globals = try object.globals(".bss")
        var descriptors: [Int: CInt] = [:]
        var ids: [Int: UInt32] = [:]
        for number in 1...Self.highest {
            let program = try object.program("c\(number)")
            descriptors[number] = program
            ids[number] = try BPFInfo.programID(program).get()
        }
        self.descriptors = descriptors
        self.ids = ids
        otherType = try object.program("other_type")
        someMap = try object.map(".bss")
    }

    /// The descriptor of Cn.
    func fd(_ number: Int) -> CInt { descriptors[number] ?? -1 }

    func id(_ number: Int) -> UInt32 { ids[number] ?? 0 }

    /// Cn for a program id of the kernel.
    func number(id: UInt32) -> Int? { ids.first { $0.value == id }?.key }

    // MARK: The trace, in the object's .bss (struct state).

    private static let traceEntries = 256
    private let layout = (length: 0, trace: 4, verdict: 4 + 4 * 256)

    /// Forgets the trace and makes every program return 1.
    func reset() {
        unsafe globals.storeBytes(of: 0, toByteOffset: layout.length, as: UInt32.self)
        for number in 0...Self.highest { setVerdict(1, of: number) }
    }

    func setVerdict(_ value: Int32, of number: Int) {
        unsafe globals.storeBytes(of: value, toByteOffset: layout.verdict + 4 * number, as: Int32.self)
    }

    /// Has a socket made by this process.
    ///
    /// - Returns: the programs that ran for it, in order, and what socket(2) answered.
    func makeSocket() -> (ran: [Int], errno: Errno?) {
        unsafe globals.storeBytes(of: 0, toByteOffset: layout.length, as: UInt32.self)
        let raw = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        let errno = raw < 0 ? Errno.last : nil
        if raw >= 0 { close(raw) }
        let length = unsafe Int(globals.load(fromByteOffset: layout.length, as: UInt32.self))
        let ran = (0..<min(length, Self.traceEntries)).map {
            unsafe Int(globals.load(fromByteOffset: layout.trace + 4 * $0, as: UInt32.self))
        }
        return (ran, errno)
    }
}
