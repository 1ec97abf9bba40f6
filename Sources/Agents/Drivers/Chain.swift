// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// The programs P1…P64 of tests-bpf/drivers/chain.bpf.c, loaded once for a whole run.
@safe final class Chain: @unchecked Sendable {
    // SAFETY: made once by a suite's prepare, before the cases' processes are forked; each of those has one thread.
    private static let shared = Mutex<Chain?>(nil)

    static let highest = 64
    static let next: Int32 = -1
    static let redirect: Int32 = 7
    /// Not the kernel's: TC_ACT_SHOT for odd numbers, TCX_NEXT for even ones.
    static let dropOdd: Int32 = 100

    private let object: BPFObject
    private let globals: UnsafeMutableRawBufferPointer
    private let descriptors: [CInt]
    private let ids: [UInt32]

    static func load() throws {
        guard shared.withLock({ $0 == nil }) else { return }
        let chain = try Chain()
        shared.withLock { $0 = chain }
    }

    static var loaded: Chain {
        get throws {
            guard let chain = shared.withLock({ $0 }) else { throw Errno.noSuchFileOrDirectory }
            return chain
        }
    }

    private init() throws {
        object = try BPFObject("drivers/chain.bpf.o")
        unsafe globals = try object.globals(".bss")
        var descriptors: [CInt] = []
        var ids: [UInt32] = []
        for number in 1...Self.highest {
            let program = try object.program("p\(number)")
            descriptors.append(program)
            ids.append(try BPFInfo.programID(program).get())
        }
        self.descriptors = descriptors
        self.ids = ids
    }

    /// The descriptor of Pn.
    func fd(_ number: Int) -> CInt { descriptors[number - 1] }

    func id(_ number: Int) -> UInt32 { ids[number - 1] }

    /// Pn for a program id of the kernel.
    func number(id: UInt32) -> Int? { ids.firstIndex(of: id).map { $0 + 1 } }

    // MARK: struct state, in the object's .bss

    private static let records = 1024
    private static let recordSize = 4 + 64
    private let layout = (verdict: 0, redirectTo: 260, redirectFlags: 264, run: 268, records: 272)

    /// Begins a case: no records, every program returns TCX_NEXT.
    func reset(run: UInt32) {
        forget()
        for number in 0...Self.highest { set(verdict: Self.next, of: number) }
        unsafe globals.storeBytes(of: run, toByteOffset: layout.run, as: UInt32.self)
    }

    /// Forgets which programs frames have run.
    func forget() {
        let all = layout.records..<(layout.records + Self.records * Self.recordSize)
        unsafe UnsafeMutableRawBufferPointer(rebasing: globals[all]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Forgets which programs the frame of a number has run: another of that slot may come.
    func forget(_ number: UInt32) {
        let start = layout.records + Int(number) % Self.records * Self.recordSize
        unsafe globals.storeBytes(of: 0, toByteOffset: start, as: UInt32.self)
    }

    func set(verdict: Int32, of number: Int) {
        unsafe globals.storeBytes(of: verdict, toByteOffset: layout.verdict + 4 * number, as: Int32.self)
    }

    /// Where programs with the verdict `redirect` send frames.
    func redirect(to device: UInt32, flags: UInt32 = 0) {
        unsafe globals.storeBytes(of: device, toByteOffset: layout.redirectTo, as: UInt32.self)
        unsafe globals.storeBytes(of: flags, toByteOffset: layout.redirectFlags, as: UInt32.self)
    }

    /// The programs that the frame of a number has run, in order, whatever became of it.
    func ran(_ number: UInt32) -> [Int] {
        let start = layout.records + Int(number) % Self.records * Self.recordSize
        let length = unsafe Int(globals.load(fromByteOffset: start, as: UInt32.self))
        return (0..<min(length, 64)).map {
            unsafe Int(globals.load(fromByteOffset: start + 4 + $0, as: UInt8.self))
        }
    }
}
