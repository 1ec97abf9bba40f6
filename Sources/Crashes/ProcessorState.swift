// SPDX-License-Identifier: Apache-2.0

/// What QEMU's `info registers -a` says of one virtual processor.
///
/// - Source: target/i386/cpu-dump.c of QEMU 10.0.
public struct ProcessorState: Sendable, Equatable {
    public var number: Int
    public var instruction: UInt64 = 0
    public var stack: UInt64 = 0
    public var flags: UInt64 = 0
    /// It waits for an interrupt.
    public var isHalted = false
    /// 3: in user space.
    public var privilege = 0
    /// Where its table of interrupts is.
    public var interruptTable: UInt64 = 0
    /// As QEMU printed it, without the floating point registers.
    public var lines: [String] = []

    /// Interrupts are let through.
    public var takesInterrupts: Bool { flags & 0x200 != 0 }

    /// - Returns: nothing where the text is not of a 64-bit guest.
    public static func parse(_ text: some StringProtocol) -> [ProcessorState] {
        var states: [ProcessorState] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let line = line.trimmingPrefix { $0 == " " || $0 == "\r" }
            if line.hasPrefix("CPU#"), let number = Int(line.dropFirst(4).prefix { $0.isNumber }) {
                states.append(ProcessorState(number: number))
                continue
            }
            // One processor has no heading.
            if states.isEmpty, line.hasPrefix("RAX=") { states.append(ProcessorState(number: 0)) }
            guard let at = states.indices.last else { continue }
            if !["FPR", "XMM", "YMM", "ZMM", "FCW", "Opmask"].contains(where: line.hasPrefix) {
                states[at].lines.append(String(line.prefix(200)))
            }
            for word in line.split(separator: " ") {
                let parts = word.split(separator: "=", maxSplits: 1)
                guard parts.count == 2 else { continue }
                let hex = UInt64(parts[1], radix: 16)
                switch parts[0] {
                case "RIP": states[at].instruction = hex ?? 0
                case "RSP": states[at].stack = hex ?? 0
                case "RFL": states[at].flags = hex ?? 0
                case "CPL": states[at].privilege = Int(parts[1]) ?? 0
                case "HLT": states[at].isHalted = parts[1] == "1"
                default: break
                }
            }
            // `IDT=     fffffe0000000000 00000fff`
            if line.hasPrefix("IDT=") {
                let words = line.dropFirst(4).split(separator: " ")
                states[at].interruptTable = words.first.flatMap { UInt64($0, radix: 16) } ?? 0
            }
        }
        return states.filter { $0.lines.contains { $0.hasPrefix("RIP=") } }
    }

    /// The words that QEMU's `x/…gx` prints, in order.
    public static func words(_ text: some StringProtocol) -> [UInt64] {
        text.split(whereSeparator: \.isNewline).flatMap { line -> [UInt64] in
            guard let colon = line.firstIndex(of: ":") else { return [] }
            return line[line.index(after: colon)...].split(separator: " ").compactMap {
                $0.hasPrefix("0x") ? UInt64($0.dropFirst(2).prefix { $0.isHexDigit }, radix: 16) : nil
            }
        }
    }

    /// The handler of a gate in the table of interrupts, by its two words.
    public static func handler(gate: (UInt64, UInt64)) -> UInt64 {
        gate.0 & 0xffff | gate.0 >> 32 & 0xffff_0000 | gate.1 << 32
    }

    /// Where the processor is and what its stack seems to say, by name.
    ///
    /// Return addresses are told from what else is on a stack by lying in a function: some are left over from earlier
    /// calls.
    public func trace(stack words: [UInt64], symbols: SymbolTable?, programs: BPFLines) -> [String] {
        var lines: [String] = []
        func add(_ address: UInt64, isExact: Bool) -> Bool {
            if let (frame, place) = programs.place(at: address, isExact: isExact) {
                lines.append(frame + (place.map { " (\($0.file):\($0.line): \($0.source))" } ?? ""))
            } else if let function = symbols?.function(at: address), isExact || function.offset > 0 {
                let place = [function.offset, function.size].map { "0x" + String($0, radix: 16) }.joined(separator: "/")
                let text = "\(function.name)+\(place)"
                // The names are of another machine, where another program lies in its place.
                lines.append(StackFrame(text)?.program == nil ? text : "a BPF program")
            } else {
                return false
            }
            return true
        }
        if !add(instruction, isExact: true) { lines.append("0x\(String(instruction, radix: 16))") }
        for word in words where lines.count < 40 { _ = add(word, isExact: false) }
        return lines
    }

    /// The line of the first BPF program that it is in, or that its stack says it was called by, as
    /// `file:line: source`.
    public func programLine(stack words: [UInt64], programs: BPFLines) -> String? {
        let first = programs.place(at: instruction, isExact: true)
        let found = first ?? words.lazy.compactMap { programs.place(at: $0, isExact: false) }.first
        return found?.place.map { "\($0.file):\($0.line): \($0.source)" }
    }
}
