// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// What the kernel does with types of programs, maps and attachments when they are tried.
enum SurfaceProbes {
    /// What was answered to a number.
    struct Answer {
        var number: UInt32
        /// nil: taken.
        var errno: Errno?
    }

    /// Beyond what any kernel has: numbers that mean nothing are refused at once.
    private static let numbers: Range<UInt32> = 1..<96

    /// A small program of each type: as libbpf probes those that it knows, with nothing special for later ones but
    /// BPF_PROG_TYPE_NETFILTER (32), which wants its attach type.
    static func programTypes() -> [Answer] {
        LibbpfMessages.capture()
        return numbers.map { number in
            let known = libbpf_probe_bpf_prog_type(bpf_prog_type(rawValue: number), nil)
            if known >= 0 { return Answer(number: number, errno: known == 1 ? nil : .invalidArgument) }
            // `r0 = 1; exit`: 1 is what the strictest of the types want.
            let program: [UInt8] = [0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]
            return Answer(number: number, errno: load(program, number, attachType: number == 32 ? 45 : 0))
        }
    }

    /// A socket filter with each of the instructions that not every kernel knows.
    static func instructions() -> [Answer] {
        InstructionKind.allCases.map { Answer(number: $0.rawValue, errno: load($0.program, 1, attachType: 0)) }
    }

    private static func load(_ instructions: [UInt8], _ type: UInt32, attachType: UInt32) -> Errno? {
        let license = Array("GPL".utf8) + [0]
        var attr = Attr(size: 72)
        attr.set(type, at: 0)
        attr.set(UInt32(instructions.count / 8), at: 4)
        attr.set(attachType, at: 68)
        let answer = unsafe instructions.withUnsafeBytes { code in
            unsafe license.withUnsafeBytes { license in
                attr.set(UInt64(UInt(bitPattern: code.baseAddress)), at: 8)
                attr.set(UInt64(UInt(bitPattern: license.baseAddress)), at: 16)
                return attr.call(.progLoad)
            }
        }
        return close(answer)
    }

    /// A small map of each type: as libbpf probes those that it knows, and the later ones with what they want.
    static func mapTypes() -> [Answer] {
        LibbpfMessages.capture()
        return numbers.map { number in
            let known = libbpf_probe_bpf_map_type(bpf_map_type(rawValue: number), nil)
            if known >= 0 { return Answer(number: number, errno: known == 1 ? nil : .invalidArgument) }
            return Answer(number: number, errno: createMap(number))
        }
    }

    /// - Source: kernel/bpf/arena.c (6.9), kernel/bpf/bpf_insn_array.c (6.19), kernel/bpf/hashtab.c (7.2): what they
    ///   want of keys, values and flags.
    private static func createMap(_ type: UInt32) -> Errno? {
        let shape: (key: UInt32, value: UInt32, flags: UInt32) =
            switch type {
            // BPF_MAP_TYPE_ARENA: BPF_F_MMAPABLE
            case 33: (0, 0, 1 << 10)
            // BPF_MAP_TYPE_INSN_ARRAY: struct bpf_insn_array_value
            case 34: (4, 16, 0)
            // BPF_MAP_TYPE_RHASH: BPF_F_NO_PREALLOC
            case 35: (4, 4, 1)
            default: (4, 4, 0)
            }
        var attr = Attr(size: 72)
        attr.set(type, at: 0)
        attr.set(shape.key, at: 4)
        attr.set(shape.value, at: 8)
        attr.set(UInt32(1), at: 12)
        attr.set(shape.flags, at: 16)
        return close(attr.call(.mapCreate))
    }

    /// BPF_PROG_ATTACH of no program: EINVAL for an attach type that the call does not know, EBADF for one that it
    /// does. Those of links alone (tracing, iterators, multi-probes) it never knows.
    static func attachTypes() -> [Answer] {
        (UInt32(0)..<128).map { number in
            var attr = Attr(size: 64)
            attr.set(CInt(-1), at: 4)
            attr.set(number, at: 8)
            return Answer(number: number, errno: attr.call(.progAttach).errno)
        }
    }

    private static func close(_ answer: Result<CInt, Errno>) -> Errno? {
        if case .success(let descriptor) = answer { FileHandle(adopting: descriptor).close() }
        return answer.errno
    }
}
