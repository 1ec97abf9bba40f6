// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// The programs P1…P64 of tests-bpf/mprog/trace.bpf.c, loaded once for a whole run.
@safe final class Programs: @unchecked Sendable {
    // SAFETY: made once by the suite's prepare, before the cases' processes are forked; each of those has one thread.
    private static let shared = Mutex<Programs?>(nil)

    static let highest = 64

    private let object: BPFObject
    private let globals: UnsafeMutableRawBufferPointer
    private let data: [Int: CInt]
    private let ids: [Int: UInt32]
    let otherType: CInt
    let someMap: CInt

    static func load() throws {
        let programs = try Programs()
        shared.withLock { $0 = programs }
    }

    static var loaded: Programs {
        get throws {
            guard let programs = shared.withLock({ $0 }) else { throw Errno.noSuchFileOrDirectory }
            return programs
        }
    }

    private init() throws {
        object = try BPFObject("mprog/trace.bpf.o")
        unsafe globals = try object.globals(".bss")
        var data: [Int: CInt] = [:]
        var ids: [Int: UInt32] = [:]
        for number in 1...Self.highest {
            let program = try object.program("p\(number)")
            data[number] = program
            ids[number] = try BPFInfo.programID(program).get()
        }
        self.data = data
        self.ids = ids
        otherType = try object.program("other_type")
        someMap = try object.map(".bss")
    }

    /// The descriptor of Pn.
    func fd(_ number: Int) -> CInt { data[number] ?? -1 }

    func id(_ number: Int) -> UInt32 { ids[number] ?? 0 }

    /// Pn for a program id of the kernel.
    func number(id: UInt32) -> Int? { ids.first { $0.value == id }?.key }

    // MARK: The trace, in the object's .bss (struct state).

    private static let traceEntries = 256

    /// Forgets the trace and makes every program return TCX_NEXT.
    func reset() {
        for index in 0..<(unsafe globals.count / 4) {
            unsafe globals.storeBytes(of: 0, toByteOffset: 4 * index, as: UInt32.self)
        }
        for number in 0...Self.highest { setVerdict(-1, of: number) }
    }

    private func setVerdict(_ value: Int32, of number: Int) {
        unsafe globals.storeBytes(of: value, toByteOffset: layout.verdict + 4 * number, as: Int32.self)
    }

    /// The programs that ran since the last reset, in order.
    var trace: [Int] {
        let length = unsafe Int(globals.load(fromByteOffset: layout.length, as: UInt32.self))
        return (0..<min(length, Self.traceEntries)).map {
            unsafe Int(globals.load(fromByteOffset: layout.trace + 4 * $0, as: UInt32.self))
        }
    }

    private let layout = (length: 0, trace: 4, verdict: 4 + 4 * 256)
}
