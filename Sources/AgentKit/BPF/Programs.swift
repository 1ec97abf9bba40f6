// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// `enum bpf_prog_type`.
public enum ProgramType: UInt32, Sendable, CaseIterable {
    case socketFilter = 1
    case kprobe = 2
    case schedCls = 3
    case schedAct = 4
    case tracepoint = 5
    case xdp = 6
    case perfEvent = 7
    case cgroupSkb = 8
    case cgroupSock = 9
    case lwtIn = 10
    case lwtOut = 11
    case lwtXmit = 12
    case sockOps = 13
    case skSkb = 14
    case cgroupDevice = 15
    case skMsg = 16
    case rawTracepoint = 17
    case cgroupSockAddr = 18
    case lwtSeg6local = 19
    case lircMode2 = 20
    case skReuseport = 21
    case flowDissector = 22
    case cgroupSysctl = 23
    case rawTracepointWritable = 24
    case cgroupSockopt = 25
    case tracing = 26
    case structOps = 27
    case ext = 28
    case lsm = 29
    case skLookup = 30
    case syscall = 31
    case netfilter = 32
}

/// One instruction of a BPF program; the wide ones are two.
///
/// - Source: Documentation/bpf/standardization/instruction-set.rst.
public struct Instruction: Sendable, Hashable {
    public var code: UInt8
    public var destination: UInt8
    public var source: UInt8
    public var offset: Int16
    public var immediate: Int32

    public init(
        _ code: UInt8, destination: UInt8 = 0, source: UInt8 = 0, offset: Int16 = 0, immediate: Int32 = 0
    ) {
        self.code = code
        self.destination = destination
        self.source = source
        self.offset = offset
        self.immediate = immediate
    }

    /// `rD = value`, sign-extended to 64 bits.
    public static func set(_ register: UInt8, _ value: Int32) -> Instruction {
        Instruction(0xb7, destination: register, immediate: value)
    }

    /// `rD = rS`.
    public static func copy(_ destination: UInt8, from source: UInt8) -> Instruction {
        Instruction(0xbf, destination: destination, source: source)
    }

    /// `rD += value`.
    public static func add(_ register: UInt8, _ value: Int32) -> Instruction {
        Instruction(0x07, destination: register, immediate: value)
    }

    /// `*(u64 *)(rD + offset) = value`, sign-extended.
    public static func store(_ value: Int32, at register: UInt8, _ offset: Int16) -> Instruction {
        Instruction(0x7a, destination: register, offset: offset, immediate: value)
    }

    /// `*(u64 *)(rD + offset) = rS`.
    public static func store(from source: UInt8, at register: UInt8, _ offset: Int16) -> Instruction {
        Instruction(0x7b, destination: register, source: source, offset: offset)
    }

    /// `rD = *(u64 *)(rS + offset)`.
    public static func load(_ destination: UInt8, from register: UInt8, _ offset: Int16) -> Instruction {
        Instruction(0x79, destination: destination, source: register, offset: offset)
    }

    /// `call HELPER`, by the helper's id.
    public static func call(_ helper: Int32) -> Instruction {
        Instruction(0x85, immediate: helper)
    }

    /// `call KFUNC`, by the function's id in the kernel's own BTF.
    public static func callKernel(_ function: UInt32) -> Instruction {
        Instruction(0x85, source: 2, immediate: Int32(bitPattern: function))
    }

    /// `rD = value`, all 64 bits of it.
    public static func setWide(_ register: UInt8, _ value: UInt64) -> [Instruction] {
        wide(register, kind: 0, value)
    }

    /// `rD = map`, of a descriptor.
    public static func map(_ register: UInt8, _ descriptor: CInt) -> [Instruction] {
        wide(register, kind: 1, UInt64(UInt32(bitPattern: descriptor)))
    }

    /// `rD = address of a map's value`, plus an offset, of an array's descriptor.
    public static func mapValue(_ register: UInt8, _ descriptor: CInt, offset: UInt32 = 0) -> [Instruction] {
        wide(register, kind: 2, UInt64(offset) << 32 | UInt64(UInt32(bitPattern: descriptor)))
    }

    private static func wide(_ register: UInt8, kind: UInt8, _ value: UInt64) -> [Instruction] {
        [
            Instruction(
                0x18, destination: register, source: kind, immediate: Int32(truncatingIfNeeded: value)),
            Instruction(0, immediate: Int32(truncatingIfNeeded: value >> 32)),
        ]
    }

    public static let exit = Instruction(0x95)

    /// `struct bpf_insn`.
    var bytes: [UInt8] {
        let low = UInt16(bitPattern: offset)
        let value = UInt32(bitPattern: immediate)
        return [code, destination | source << 4, UInt8(truncatingIfNeeded: low), UInt8(truncatingIfNeeded: low >> 8)]
            + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}

/// A program made of instructions, loaded by bpf(2) itself: what a case says is what the kernel gets.
public struct RawProgram: Sendable {
    public var type: ProgramType
    public var instructions: [Instruction]
    public var expectedAttachType: UInt32
    public var flags: UInt32 = 0
    public var license = "GPL"
    /// What `tracing`, `lsm` and `structOps` programs are for, by its id in the kernel's own BTF.
    public var attachBTFID: UInt32 = 0
    /// Used by the kernel where `flags` has `tokenFlag`.
    public var token: CInt = 0

    /// BPF_F_TOKEN_FD.
    public static let tokenFlag: UInt32 = 1 << 16

    public init(_ type: ProgramType, _ instructions: [Instruction], expectedAttachType: UInt32 = 0) {
        self.type = type
        self.instructions = instructions
        self.expectedAttachType = expectedAttachType
    }

    /// `r0 = value; exit`.
    public static func returning(
        _ value: Int32 = 0, _ type: ProgramType, expectedAttachType: UInt32 = 0
    ) -> RawProgram {
        RawProgram(type, [.set(0, value), .exit], expectedAttachType: expectedAttachType)
    }

    /// What BPF_PROG_LOAD answered.
    public struct Answer {
        public let program: Result<FileHandle, Errno>
        /// The verifier's; empty where the call was refused before, or no log was asked for.
        public let log: String
        public var errno: Errno? { program.errno }
    }

    /// BPF_PROG_LOAD.
    ///
    /// - Parameters:
    ///   - logSize: bytes of log to ask for; 0 for none.
    ///   - logLevel: 2 to have the instructions in the log also of a program that is accepted.
    public func load(logSize: Int = 1 << 16, logLevel: UInt32 = 1) -> Answer {
        let code = instructions.flatMap(\.bytes)
        let text = Array(license.utf8) + [0]
        var attr = Attr(size: 152)
        attr.set(type.rawValue, at: 0)
        attr.set(UInt32(instructions.count), at: 4)
        attr.set(flags, at: 44)
        attr.set(expectedAttachType, at: 68)
        attr.set(attachBTFID, at: 108)
        attr.set(token, at: 144)
        if logSize > 0 {
            attr.set(logLevel, at: 24)
            attr.set(UInt32(logSize), at: 28)
        }
        // Most logs are some lines long: the rest of the room stays untouched.
        return unsafe withUnsafeTemporaryAllocation(byteCount: max(logSize, 1), alignment: 1) { log in
            unsafe log[0] = 0
            let answer = unsafe code.withUnsafeBytes { code in
                unsafe text.withUnsafeBytes { text in
                    attr.set(UInt64(UInt(bitPattern: code.baseAddress)), at: 8)
                    attr.set(UInt64(UInt(bitPattern: text.baseAddress)), at: 16)
                    if logSize > 0 { attr.set(UInt64(UInt(bitPattern: log.baseAddress)), at: 32) }
                    return attr.call(.progLoad)
                }
            }
            let length = unsafe log.firstIndex(of: 0) ?? log.count
            return Answer(
                program: answer.map { FileHandle(adopting: $0) },
                log: unsafe String(decoding: UnsafeRawBufferPointer(rebasing: log[..<length]), as: UTF8.self))
        }
    }
}
