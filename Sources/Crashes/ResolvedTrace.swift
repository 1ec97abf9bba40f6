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
        for (section, frame) in Self.frames(of: complaint) {
            if let section { lines.append(section) }
            guard let frame else { continue }
            if frame.program != nil {
                let place = programs.place(of: frame)
                let text = place.map { "\($0.file):\($0.line): \($0.source)" }
                lines.append(Complaint.name(frame) + (text.map { " (\($0))" } ?? ""))
                if programLine == nil, let text { programLine = text }
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

    public var isEmpty: Bool { lines.isEmpty }

    /// The address to ask debugging information for: a call returns behind itself.
    static func lookupAddress(of frame: StackFrame, in symbols: SymbolTable) -> UInt64? {
        symbols.address(of: frame).map { frame.isExact || frame.offset == 0 ? $0 : $0 - 1 }
    }

    /// All addresses that a complaint's trace needs lines for.
    public static func addresses(of complaint: Complaint, in symbols: SymbolTable) -> [UInt64] {
        frames(of: complaint).compactMap { _, frame in frame.flatMap { lookupAddress(of: $0, in: symbols) } }
    }

    /// Frames in their order, with the headings of further traces; without what was left on the stack.
    private static func frames(of complaint: Complaint) -> [(String?, StackFrame?)] {
        var found: [(String?, StackFrame?)] = []
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
                if !plain.hasPrefix("Call Trace:") || traces > 1 { found.append((String(plain.prefix(60)), nil)) }
            } else if let frame = StackFrame(line) {
                if frame.isExact {
                    // Registers are printed before the trace of where they are from, and once more at the end.
                    if traces == 0 && !found.contains(where: { $0.1 == frame }) { found.append((nil, frame)) }
                } else if isTrace, !frame.isGuess {
                    found.append((nil, frame))
                }
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
