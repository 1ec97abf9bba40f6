// SPDX-License-Identifier: Apache-2.0

/// The call trace of a complaint with what is known of its places.
public struct ResolvedTrace: Sendable, Equatable {
    /// One line for each function, the innermost first: `function (file:line)`.
    public private(set) var lines: [String] = []
    /// The first line of a BPF program in it, as `file:line: source`.
    public private(set) var programLine: String?

    static let linesKept = 60

    /// - Parameters:
    ///   - symbols: of the kernel where it was linked, and its lines; nil where no debugging information is at hand.
    public init(_ complaint: Complaint, programs: BPFLines, symbols: SymbolTable? = nil, source: SourceLines? = nil) {
        for step in Self.frames(of: complaint) {
            guard case .frame(let frame) = step else {
                switch step {
                case .heading(let text): lines.append(text)
                case .address(let address):
                    let found = programs.place(at: address, isExact: false)
                    let name = found.flatMap { StackFrame($0.frame) }.map { Complaint.name($0) }
                    add(name ?? "0x" + String(address, radix: 16), found?.place)
                case .frame: break
                }
                continue
            }
            if frame.program != nil {
                add(Complaint.name(frame), programs.place(of: frame))
            } else if let address = symbols.flatMap({ Self.lookupAddress(of: frame, in: $0) }),
                let places = source?.places[address], !places.isEmpty
            {
                for (index, place) in places.enumerated() {
                    let at = place.file.map { "\($0):\(place.line.map(String.init) ?? "?")" } ?? frame.text
                    lines.append("\(place.function) (\(at))" + (index < places.count - 1 ? " [inlined]" : ""))
                }
            } else {
                lines.append(frame.text)
            }
            if lines.count >= Self.linesKept {
                lines.append("…")
                return
            }
        }
    }

    private mutating func add(_ name: String, _ place: BPFLines.Place?) {
        let text = place.map { "\($0.file):\($0.line): \($0.source)" }
        lines.append(name + (text.map { " (\($0))" } ?? ""))
        if programLine == nil, let text { programLine = text }
    }

    public var isEmpty: Bool { lines.isEmpty }

    /// Whether some of it is addresses alone, which say something only together with what was told of the same machine.
    public static func hasBareAddresses(_ complaint: Complaint) -> Bool {
        frames(of: complaint).contains { if case .address = $0 { true } else { false } }
    }

    /// The address to ask debugging information for: a call returns behind itself.
    static func lookupAddress(of frame: StackFrame, in symbols: SymbolTable) -> UInt64? {
        symbols.address(of: frame).map { frame.isExact || frame.offset == 0 ? $0 : $0 - 1 }
    }

    /// All addresses that a complaint's trace needs lines for.
    public static func addresses(of complaint: Complaint, in symbols: SymbolTable) -> [UInt64] {
        frames(of: complaint).compactMap { step in
            if case .frame(let frame) = step { lookupAddress(of: frame, in: symbols) } else { nil }
        }
    }

    private enum Step: Equatable {
        /// Of a further trace.
        case heading(String)
        case frame(StackFrame)
        case address(UInt64)
    }

    /// Frames in their order; without what was left on the stack.
    private static func frames(of complaint: Complaint) -> [Step] {
        var found: [Step] = []
        var isTrace = complaint.kind == .kmemleak
        var traces = 0
        for line in complaint.lines {
            let plain = line.drop { $0 == " " }
            if plain.hasPrefix("Call Trace:") || plain.hasPrefix("Allocated by task")
                || plain.hasPrefix("Freed by task")
                || plain.hasPrefix("backtrace") || plain.hasPrefix("Last potentially related work creation")
            {
                traces += 1
                isTrace = true
                if !plain.hasPrefix("Call Trace:") || traces > 1 { found.append(.heading(String(plain.prefix(60)))) }
            } else if let frame = StackFrame(line) {
                if frame.isExact {
                    // Registers are printed before the trace of where they are from, and once more at the end.
                    if traces == 0 && !found.contains(.frame(frame)) { found.append(.frame(frame)) }
                } else if isTrace, !frame.isGuess {
                    found.append(.frame(frame))
                }
            } else if isTrace, let address = StackFrame.bareAddress(line) {
                found.append(.address(address))
            } else if isTrace, !plain.hasPrefix("<"), !plain.hasPrefix("</"), !ReportProgress.isRegister(line) {
                isTrace = false
            }
        }
        return found
    }
}

extension StackFrame {
    /// As the kernel prints it.
    public var text: String {
        "\(symbol)+0x\(String(offset, radix: 16))/0x\(String(size, radix: 16))" + (module.map { " [\($0)]" } ?? "")
    }
}
