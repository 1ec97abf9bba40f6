// SPDX-License-Identifier: Apache-2.0

/// Which lines of source the machine code of BPF programs comes from, as an agent has told on the console
/// (docs/agent-output.md, "Lines of programs"). The guest may say anything: what is kept is bounded.
public struct BPFLines: Sendable, Equatable {
    /// A place in a program's source.
    public struct Place: Sendable, Equatable {
        public var file: String
        public var line: Int
        /// The line itself, without indentation.
        public var source: String

        public init(file: String, line: Int, source: String) {
            self.file = file
            self.line = line
            self.source = source
        }
    }

    /// One function of a program.
    public struct Function: Sendable, Equatable {
        public var tag: String
        public var name: String
        public var address: UInt64
        public var length: UInt64
        /// By offset, ascending.
        public fileprivate(set) var lines: [(offset: UInt64, place: Place)] = []

        public static func == (left: Function, right: Function) -> Bool {
            left.tag == right.tag && left.name == right.name && left.length == right.length
                && left.lines.map(\.offset) == right.lines.map(\.offset)
                && left.lines.map(\.place) == right.lines.map(\.place)
        }
    }

    public private(set) var functions: [Function] = []
    private var files: [Int: String] = [:]
    /// Functions since a program's first one, to which lines refer by number.
    private var current: [Int] = []
    private var lineCount = 0

    static let functionsKept = 2000
    static let linesKept = 50_000

    public init() {}

    public var isEmpty: Bool { functions.isEmpty }

    /// Takes a line of an agent's, without `bpftest: `; others are passed over.
    mutating func read(_ text: Substring) {
        let words = text.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: false)
        switch words.first {
        case "program" where words.count >= 5:
            guard functions.count < Self.functionsKept, words[1].utf8.count == 16,
                let address = UInt64(words[2], radix: 16), let length = UInt64(words[3])
            else { return }
            current.append(functions.count)
            functions.append(Function(tag: String(words[1]), name: String(words[4]), address: address, length: length))
        case "programs": current = []
        case "file" where words.count >= 3:
            guard let number = Int(words[1]), files.count < 1000 || files[number] != nil else { return }
            let path = words[2...].joined(separator: " ")
            // Where bpftest was built is nobody's business.
            files[number] = path.firstRange(of: "/tests-bpf/").map { "tests-bpf/" + path[$0.upperBound...] } ?? path
        case "line" where words.count >= 5:
            guard lineCount < Self.linesKept, let index = Int(words[1]), current.indices.contains(index),
                let offset = UInt64(words[2]), let file = Int(words[3]), let line = Int(words[4])
            else { return }
            let place = Place(file: files[file] ?? "?", line: line, source: words.count > 5 ? String(words[5]) : "")
            let at = current[index]
            // Out of order it could not be looked up.
            if let last = functions[at].lines.last, last.offset > offset { return }
            functions[at].lines.append((offset, place))
            lineCount += 1
        default: return
        }
    }

    /// Adds what another run has told.
    public mutating func add(_ others: BPFLines) {
        for function in others.functions where functions.count < Self.functionsKept {
            if !functions.contains(where: { $0.tag == function.tag && $0.name == function.name }) {
                functions.append(function)
            }
        }
    }

    /// Where in its source a program was.
    ///
    /// - Returns: nil for a frame of no program, of one that nothing was told of, or beyond its end.
    public func place(of frame: StackFrame) -> Place? {
        guard let program = frame.program else { return nil }
        // Up to 5.17 the kernel counts a program's size in pages; the tag and the name say which it is.
        let candidates = functions.filter { $0.tag == program.tag && $0.name == program.name }
        guard let function = candidates.first ?? functions.first(where: { $0.tag == program.tag }) else { return nil }
        return Self.place(in: function, frame.offset, isExact: frame.isExact)
    }

    /// The program's function that an address lies in, and where in its source that is.
    public func place(at address: UInt64, isExact: Bool) -> (frame: String, place: Place?)? {
        // The last that was loaded there: earlier ones have gone.
        guard let function = functions.last(where: { address >= $0.address && address - $0.address < $0.length }) else {
            return nil
        }
        let offset = address - function.address
        let frame =
            "bpf_prog_\(function.tag)_\(function.name)+0x\(String(offset, radix: 16))"
            + "/0x\(String(function.length, radix: 16))"
        return (frame, Self.place(in: function, offset, isExact: isExact))
    }

    private static func place(in function: Function, _ offset: UInt64, isExact: Bool) -> Place? {
        // A call returns behind itself: what called is before that.
        let at = isExact || offset == 0 ? offset : offset - 1
        guard at < function.length else { return nil }
        return function.lines.last { $0.offset <= at }?.place
    }
}
