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

    /// P1 to P9 are a case's own where it asks for that: nothing else refers to them.
    static let highestOwn = 9

    private let object: BPFObject
    private let globals: UnsafeMutableRawBufferPointer
    private var data: [Int: CInt]
    private var ids: [Int: UInt32]
    private let sharedOtherType: CInt
    let someMap: CInt
    /// The case whose own some of the programs are.
    private let owner: Test?
    private var owned: [CInt: FileHandle] = [:]
    /// The ids of the programs that are the case's own, as far as it has used them.
    private(set) var ownIDs: [UInt32] = []

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
        sharedOtherType = try object.program("other_type")
        someMap = try object.map(".bss")
        owner = nil
    }

    /// The same programs, but those up to `highestOwn` and the one of another type are one case's own: loaded once more
    /// when the case first uses them.
    func own(for test: Test) -> Programs {
        Programs(self, test)
    }

    private init(_ base: Programs, _ test: Test) {
        object = base.object
        unsafe globals = base.globals
        data = base.data
        ids = base.ids
        sharedOtherType = base.sharedOtherType
        someMap = base.someMap
        owner = test
        for number in 1...Self.highestOwn {
            data[number] = nil
            ids[number] = nil
        }
    }

    /// A program of another type than those that lists take.
    private(set) lazy var otherType: CInt = {
        guard let owner else { return sharedOtherType }
        do {
            let other = try RawProgram.returning(2, .xdp).load(logSize: 0).program.get()
            _ = try adopt(other)
            return other.raw
        } catch {
            owner.fail("the program of another type cannot be loaded: \(error)")
            return -1
        }
    }()

    /// Loads Pn for the case whose own it is; with what goes wrong the case fails.
    private func loadOwn(_ number: Int) {
        guard let owner, (1...Self.highestOwn).contains(number), data[number] == nil else { return }
        do {
            let program = try RawProgram(.schedCls, tracing(number)).load(logSize: 0).program.get()
            data[number] = program.raw
            ids[number] = try adopt(program)
        } catch {
            data[number] = -1
            owner.fail("P\(number) cannot be loaded: \(error)")
        }
    }

    /// Takes over a program that a case has loaded: it goes with the others.
    func adopt(_ program: FileHandle) throws -> UInt32 {
        let id = try BPFInfo.programID(program.raw).get()
        owned[program.raw] = program
        ownIDs.append(id)
        return id
    }

    /// Closes the descriptors of the case's own programs.
    func close() {
        for program in owned.values { program.close() }
        for number in 1...Self.highestOwn { data[number] = -1 }
    }

    /// Closes the descriptor of one of the case's own programs.
    func close(_ number: Int) {
        owned[fd(number)]?.close()
        data[number] = -1
    }

    /// What Pn of trace.bpf.c does.
    private func tracing(_ number: Int) -> [Instruction] {
        Instruction.mapValue(1, someMap) + [
            .set(2, 1),
            // r2 = length++
            Instruction(0xc3, destination: 1, source: 2, offset: Int16(layout.length), immediate: 0x01),
            // if (r2 > 255) goto verdict
            Instruction(0x25, destination: 2, offset: 4, immediate: Int32(Self.traceEntries - 1)),
            .copy(3, from: 1),
            Instruction(0x67, destination: 2, immediate: 2),
            Instruction(0x0f, destination: 3, source: 2),
            Instruction(0x62, destination: 3, offset: Int16(layout.trace), immediate: Int32(number)),
            Instruction(0x61, destination: 0, source: 1, offset: Int16(layout.verdict + 4 * number)),
            .exit,
        ]
    }

    /// The descriptor of Pn.
    func fd(_ number: Int) -> CInt {
        loadOwn(number)
        return data[number] ?? -1
    }

    func id(_ number: Int) -> UInt32 {
        loadOwn(number)
        return ids[number] ?? 0
    }

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

    /// Forgets the trace.
    func forget() {
        unsafe globals.storeBytes(of: 0, toByteOffset: layout.length, as: UInt32.self)
    }

    /// What Pn returns from now on.
    func setVerdict(_ value: Int32, of number: Int) {
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
