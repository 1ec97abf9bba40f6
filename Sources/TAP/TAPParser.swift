// SPDX-License-Identifier: Apache-2.0

/// What a stream of TAP, KTAP or agent output consists of. `depth` counts subtests around it.
public enum TAPEvent: Sendable, Equatable {
    case version(String)
    case plan(depth: Int, count: Int, skip: String?)
    /// `# Subtest: NAME`, TAP 14's announcement of a nested stream.
    case subtest(depth: Int, name: String)
    /// `# bpftest: case ID`: a case is about to do something.
    case caseStarted(String)
    /// The diagnostic block of docs/agent-output.md: belongs to the next point.
    case diagnosticsBefore(depth: Int, Diagnostics)
    case point(depth: Int, TestPoint)
    /// TAP 14's YAML block: belongs to the point before it, kept as text.
    case yamlAfter(depth: Int, [String])
    case comment(depth: Int, String)
    case bailOut(String)
    case other(String)
    /// Something was over a limit; what is kept is cut.
    case truncated(String)
}

/// Turns bytes, in whatever pieces they come, into events.
///
/// Takes anything: half lines, bytes that are not text, lines without end. Memory stays within `Limits`, time is
/// linear in the input.
public struct TAPParser: Sendable {
    public struct Limits: Sendable {
        /// Bytes of one line; the rest of a longer one is dropped. A verifier log is one line.
        public var line = 1 << 20
        /// Bytes of one diagnostic or YAML block.
        public var block = 2 << 20
        /// Levels of subtests.
        public var depth = 16

        public init() {}
    }

    private let limits: Limits
    private var line: [UInt8] = []
    private var dropped = 0
    private var block: Block?

    private struct Block {
        enum Kind { case agent, yaml }
        var kind: Kind
        var depth: Int
        var indentation: Int
        var lines: [String] = []
        var size = 0
    }

    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Takes the next bytes.
    public mutating func append(_ bytes: some Sequence<UInt8>) -> [TAPEvent] {
        var events: [TAPEvent] = []
        for byte in bytes {
            if byte == 0x0a {
                endLine(&events)
            } else if line.count < limits.line {
                line.append(byte)
            } else {
                dropped += 1
            }
        }
        return events
    }

    /// The input is over: an unfinished line counts, an unfinished block too.
    public mutating func finish() -> [TAPEvent] {
        var events: [TAPEvent] = []
        if !line.isEmpty { endLine(&events) }
        closeBlock(&events)
        return events
    }

    private mutating func endLine(_ events: inout [TAPEvent]) {
        if line.last == 0x0d { line.removeLast() }
        let text = String(decoding: line, as: UTF8.self)
        if dropped > 0 {
            events.append(.truncated("a line of \(line.count + dropped) bytes was cut after \(line.count)"))
        }
        line.removeAll(keepingCapacity: line.capacity <= 65536)
        dropped = 0
        read(text, &events)
    }

    private mutating func read(_ text: String, _ events: inout [TAPEvent]) {
        let content = text.drop { $0 == " " }
        let indentation = text.count - content.count
        if continueBlock(text, content, indentation, &events) { return }
        // Both TAP 14 and KTAP indent; the former by 4, the latter by 2.
        let depth = min(limits.depth, (indentation + 1) / 4 + (indentation % 4 == 2 ? 1 : 0))
        if content.hasPrefix("#") {
            comment(content.dropFirst(), depth, indentation, &events)
        } else if content.hasPrefix("TAP version ") || content.hasPrefix("KTAP version ") {
            events.append(.version(String(content)))
        } else if content == "---", indentation > 0 {
            block = Block(kind: .yaml, depth: max(0, (indentation - 2) / 4), indentation: indentation)
        } else if content.hasPrefix("Bail out!") {
            events.append(.bailOut(String(content.dropFirst(9).drop { $0 == " " })))
        } else if let plan = Self.plan(content) {
            events.append(.plan(depth: depth, count: plan.count, skip: plan.skip))
        } else if let point = TestPoint(line: content) {
            events.append(.point(depth: depth, point))
        } else if !content.isEmpty {
            events.append(.other(text))
        }
    }

    private mutating func comment(
        _ content: Substring, _ depth: Int, _ indentation: Int, _ events: inout [TAPEvent]
    ) {
        let text = content.first == " " ? content.dropFirst() : content
        if text == "---" {
            block = Block(kind: .agent, depth: depth, indentation: indentation)
        } else if text.hasPrefix("Subtest: ") {
            events.append(.subtest(depth: depth, name: String(text.dropFirst(9))))
        } else if text.hasPrefix("bpftest: case ") {
            events.append(.caseStarted(String(text.dropFirst(14))))
        } else {
            events.append(.comment(depth: depth, String(text)))
        }
    }

    /// - Returns: whether the line belonged to a block.
    private mutating func continueBlock(
        _ text: String, _ content: Substring, _ indentation: Int, _ events: inout [TAPEvent]
    ) -> Bool {
        // Only its small parts are copied out: a second owner of the lines would make each append copy all of them.
        guard let kind = block?.kind, let blockIndentation = block?.indentation, let size = block?.size else {
            return false
        }
        var entry: String
        switch kind {
        case .agent:
            // A block that a result line interrupts is over: its writer died in the middle.
            guard content.hasPrefix("#") else {
                closeBlock(&events)
                return false
            }
            let inner = content.dropFirst()
            entry = String(inner.first == " " ? inner.dropFirst() : inner)
        case .yaml:
            guard indentation >= blockIndentation || content.isEmpty else {
                closeBlock(&events)
                return false
            }
            entry = String(text.dropFirst(blockIndentation))
        }
        if entry == "..." {
            closeBlock(&events)
            return true
        }
        // An empty line costs memory too.
        let cost = entry.utf8.count + 1
        if size + cost > limits.block {
            if size <= limits.block { events.append(.truncated("a diagnostic block was cut")) }
            block?.size = limits.block + 1
        } else {
            block?.size += cost
            block?.lines.append(entry)
        }
        return true
    }

    private mutating func closeBlock(_ events: inout [TAPEvent]) {
        guard let closed = block else { return }
        block = nil
        switch closed.kind {
        case .yaml: events.append(.yamlAfter(depth: closed.depth, closed.lines))
        case .agent:
            var diagnostics = Diagnostics()
            for line in closed.lines {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                diagnostics.fields.append(
                    Diagnostics.Field(String(line[..<colon]), JSONText.unquote(value) ?? String(value)))
            }
            events.append(.diagnosticsBefore(depth: closed.depth, diagnostics))
        }
    }

    /// `1..N`, possibly with a directive that skips everything.
    private static func plan(_ content: Substring) -> (count: Int, skip: String?)? {
        guard content.hasPrefix("1..") else { return nil }
        let digits = content.dropFirst(3).prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(digits) else { return nil }
        let rest = content.dropFirst(3 + digits.count).drop { $0 == " " }
        guard rest.first == "#" else { return rest.isEmpty ? (count, nil) : nil }
        let words = rest.dropFirst().drop { $0 == " " }
        return (count, words.lowercased().hasPrefix("skip") ? String(words.dropFirst(4).drop { $0 == " " }) : nil)
    }
}
