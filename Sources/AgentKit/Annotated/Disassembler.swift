// SPDX-License-Identifier: Apache-2.0

/// BPF instructions as text, in the words of the kernel's own disassembler.
///
/// - Source: kernel/bpf/disasm.c and tools/testing/selftests/bpf/disasm_helpers.c of 6.12; what 6.15 to 7.3 add.
struct Disassembler {
    /// The name of a helper by its number; nil for one that is not known.
    var helperName: (Int32) -> String?

    private struct Instruction {
        var code: UInt8
        var destination: UInt8
        var source: UInt8
        var offset: Int16
        var immediate: Int32

        init(_ bytes: ArraySlice<UInt8>) {
            let at = bytes.startIndex
            code = bytes[at]
            destination = bytes[at + 1] & 0xf
            source = bytes[at + 1] >> 4
            offset = Int16(bitPattern: UInt16(bytes[at + 2]) | UInt16(bytes[at + 3]) << 8)
            immediate = Int32(
                bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[at + 4 + $1]) << (8 * UInt32($1)) })
        }

        var kind: UInt8 { code & 7 }
        var operation: UInt8 { code & 0xf0 }
        var mode: UInt8 { code & 0xe0 }
        var size: UInt8 { code & 0x18 }
        var takesRegister: Bool { code & 8 != 0 }
    }

    /// Numbered lines, as the kernel's own runner compares them: `3: r0 = 1`.
    ///
    /// - Parameter bytes: whole instructions of 8 bytes; a rest that is none is left out.
    func lines(_ bytes: [UInt8]) -> [String] {
        let instructions = stride(from: 0, to: bytes.count / 8 * 8, by: 8).map { Instruction(bytes[$0..<($0 + 8)]) }
        var lines: [String] = []
        var index = 0
        while index < instructions.count {
            let one = instructions[index]
            let isWide = one.code == 0x18
            let next = isWide && index + 1 < instructions.count ? instructions[index + 1].immediate : 0
            lines.append("\(index): \(text(one, next))")
            index += isWide ? 2 : 1
        }
        return lines
    }

    private func text(_ one: Instruction, _ next: Int32) -> String {
        switch one.kind {
        case 0: load(one, next)
        case 1: loadFromMemory(one)
        case 2: storeImmediate(one)
        case 3: store(one)
        case 4, 7: arithmetic(one)
        default: jump(one)
        }
    }

    // MARK: Arithmetic

    private static let operators = [
        "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian", "(null)", "(null)",
    ]

    private func arithmetic(_ one: Instruction) -> String {
        let is64 = one.kind == 7
        let letter = is64 ? "r" : "w"
        let to = "\(letter)\(one.destination)"
        let register = "r\(one.destination)"
        if one.operation == 0xd0 {
            if is64 { return "\(register) = bswap\(one.immediate) \(register)" }
            return "\(register) = \(one.takesRegister ? "be" : "le")\(one.immediate) \(register)"
        }
        if one.operation == 0x80 { return "\(to) = -\(to)" }
        if one.code == 0xbf, one.offset == 1 {
            let immediate = UInt32(bitPattern: one.immediate)
            return "\(register) = addr_space_cast(r\(one.source), \(immediate >> 16), \(immediate & 0xffff))"
        }
        if one.code == 0xbf, one.offset == -1 { return "\(register) = &(void __percpu *)(r\(one.source))" }
        let isSigned = (one.operation == 0x30 || one.operation == 0x90) && one.offset == 1
        let sign = isSigned ? (one.operation == 0x30 ? "s/=" : "s%=") : Self.operators[Int(one.operation >> 4)]
        guard one.takesRegister else { return "\(to) \(sign) \(one.immediate)" }
        var cast = ""
        if one.operation == 0xb0, [8, 16, 32].contains(one.offset) { cast = "(s\(one.offset))" }
        return "\(to) \(sign) \(cast)\(letter)\(one.source)"
    }

    // MARK: Memory

    private func type(_ one: Instruction, signed: Bool = false) -> String {
        let letter = signed ? "s" : "u"
        switch one.size {
        case 0x00: return letter + "32"
        case 0x08: return letter + "16"
        case 0x10: return letter + "8"
        default: return signed ? "(null)" : "u64"
        }
    }

    private func place(_ register: UInt8, _ offset: Int16) -> String {
        "r\(register) \(Self.signed(offset))"
    }

    private static func signed(_ number: some SignedInteger) -> String {
        number < 0 ? "\(number)" : "+\(number)"
    }

    private func store(_ one: Instruction) -> String {
        let place = place(one.destination, one.offset)
        let target = "*(\(type(one)) *)(\(place))"
        if one.mode == 0x60 { return "\(target) = r\(one.source)" }
        guard one.mode == 0xc0 else { return Self.bug("", one) }
        let plain: [Int32: (sign: String, name: String)] = [
            0x00: ("+=", "add"), 0x50: ("&=", "and"), 0x40: ("|=", "or"), 0xa0: ("^=", "xor"),
        ]
        let pointer = "(\(type(one)) *)(\(place))"
        let width = one.size == 0x18 ? "64" : ""
        if let known = plain[one.immediate] { return "lock \(target) \(known.sign) r\(one.source)" }
        if let known = plain[one.immediate & ~1] {
            return "r\(one.source) = atomic\(width)_fetch_\(known.name)(\(pointer), r\(one.source))"
        }
        switch one.immediate {
        case 0xf1: return "r0 = atomic\(width)_cmpxchg(\(pointer), r0, r\(one.source))"
        case 0xe1: return "r\(one.source) = atomic\(width)_xchg(\(pointer), r\(one.source))"
        case 0x100:
            return "r\(one.destination) = load_acquire((\(type(one)) *)(\(self.place(one.source, one.offset))))"
        case 0x110: return "store_release(\(pointer), r\(one.source))"
        default: return Self.bug("", one)
        }
    }

    private func storeImmediate(_ one: Instruction) -> String {
        switch one.mode {
        case 0x60: "*(\(type(one)) *)(\(place(one.destination, one.offset))) = \(one.immediate)"
        case 0xc0: "nospec"
        default: Self.bug("st_", one)
        }
    }

    private func loadFromMemory(_ one: Instruction) -> String {
        guard one.mode == 0x60 || one.mode == 0x80 else { return Self.bug("ldx_", one) }
        return "r\(one.destination) = *(\(type(one, signed: one.mode == 0x80)) *)(\(place(one.source, one.offset)))"
    }

    private func load(_ one: Instruction, _ next: Int32) -> String {
        switch one.mode {
        case 0x20: return "r0 = *(\(type(one)) *)skb[\(one.immediate)]"
        case 0x40: return "r0 = *(\(type(one)) *)skb[r\(one.source) + \(one.immediate)]"
        case 0x00 where one.size == 0x18:
            let value = UInt64(UInt32(bitPattern: next)) << 32 | UInt64(UInt32(bitPattern: one.immediate))
            return "r\(one.destination) = 0x\(String(value, radix: 16))"
        default: return Self.bug("ld_", one)
        }
    }

    /// The kernel prints no code in parentheses there, and its runner cuts off as much as if there were one.
    private static func bug(_ name: String, _ one: Instruction) -> String {
        let code = String(one.code, radix: 16)
        return String("BUG_\(name)\(code.count < 2 ? "0" : "")\(code)".dropFirst(5))
    }

    // MARK: Jumps

    private static let conditions = [
        "jmp", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<=", "(null)", "(null)",
    ]

    private func jump(_ one: Instruction) -> String {
        let letter = one.kind == 6 ? "w" : "r"
        if one.operation == 0x80 { return call(one) }
        switch (one.code, one.source) {
        case (0x05, _): return "goto pc\(Self.signed(one.offset))"
        case (0xe5, 0): return "may_goto pc\(Self.signed(one.offset))"
        case (0x06, _): return "gotol pc\(Self.signed(one.immediate))"
        case (0x0d, _): return "gotox r\(one.destination)"
        case (0x95, _): return "exit"
        default: break
        }
        let condition = "if \(letter)\(one.destination) \(Self.conditions[Int(one.operation >> 4)])"
        let target = "goto pc\(Self.signed(one.offset))"
        if one.takesRegister { return "\(condition) \(letter)\(one.source) \(target)" }
        return "\(condition) 0x\(String(UInt32(bitPattern: one.immediate), radix: 16)) \(target)"
    }

    /// The kernel's runner cuts the number off that follows a function's name.
    private func call(_ one: Instruction) -> String {
        switch one.source {
        // The verifier keeps the distance in `off` and has put something of its own into `imm`.
        case 1: "call pc\(Self.signed(one.offset))"
        case 2: "call kernel-function"
        case 0: "call \(helperName(one.immediate) ?? "unknown")"
        default: "call unknown"
        }
    }
}
