// SPDX-License-Identifier: Apache-2.0

/// Why a script cannot be read.
public struct ScriptError: Error, Equatable, CustomStringConvertible {
    /// 0 where it is the whole.
    public var line: Int
    public var reason: String

    public init(_ reason: String, line: Int = 0) {
        self.line = line
        self.reason = reason
    }

    public var description: String { line > 0 ? "line \(line): \(reason)" : reason }
}

/// Steps in a file: a header of `key: value` lines, a step a line; `#` begins a remark.
public struct Script: Sendable, Equatable {
    /// What is explored: mprog, kptr.
    public var subject: String
    public var target: String
    public var kernel: String?
    public var seed: UInt64?
    /// The steps, not yet read.
    public var lines: [Line]

    public struct Line: Sendable, Equatable {
        public var number: Int
        public var text: String
    }

    public init(subject: String, target: String, kernel: String?, seed: UInt64?, steps: [String]) {
        self.subject = subject
        self.target = target
        self.kernel = kernel
        self.seed = seed
        lines = steps.enumerated().map { Line(number: $0 + 1, text: $1) }
    }

    public init(_ text: String) throws(ScriptError) {
        var header: [String: String] = [:]
        lines = []
        for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = trimmed(raw.prefix { $0 != "#" })
            if line.isEmpty { continue }
            if lines.isEmpty, let colon = line.firstIndex(of: ":") {
                let key = trimmed(line[..<colon])
                guard Self.keys.contains(key) else {
                    let known = Self.keys.joined(separator: ", ")
                    throw ScriptError("unknown key \(key); there are \(known)", line: index + 1)
                }
                header[key] = trimmed(line[line.index(after: colon)...])
            } else {
                lines.append(Line(number: index + 1, text: line))
            }
        }
        guard let subject = header["subject"], let target = header["target"] else {
            throw ScriptError("no script of an exploration: it begins with `subject:` and `target:`")
        }
        self.subject = subject
        self.target = target
        kernel = header["kernel"]
        if let text = header["seed"] {
            guard let seed = UInt64(text) else { throw ScriptError("the seed \(text) is no number") }
            self.seed = seed
        }
        if lines.isEmpty { throw ScriptError("the script has no steps") }
    }

    private static let keys = ["subject", "target", "kernel", "seed"]

    /// Reads the steps.
    public func steps<Step: ScriptStep>(as kind: Step.Type = Step.self) throws(ScriptError) -> [Step] {
        var steps: [Step] = []
        for line in lines {
            do {
                steps.append(try Step(text: line.text))
            } catch {
                throw ScriptError(error.reason, line: line.number)
            }
        }
        return steps
    }

    /// The file's text.
    ///
    /// - Parameter remarks: at the end, behind `#`.
    public func text(remarks: [String] = []) -> String {
        var text = "# Run again with: bpftest explore --replay FILE\nsubject: \(subject)\ntarget: \(target)\n"
        if let kernel { text += "kernel: \(kernel)\n" }
        if let seed { text += "seed: \(seed)\n" }
        for line in lines { text += line.text + "\n" }
        for remark in remarks {
            for line in remark.split(separator: "\n", omittingEmptySubsequences: false) { text += "# \(line)\n" }
        }
        return text
    }
}

func trimmed(_ text: some StringProtocol) -> String {
    let isBlank = { (character: Character) in character.isWhitespace }
    var rest = Substring(text)
    while let last = rest.last, isBlank(last) { rest.removeLast() }
    return String(rest.drop(while: isBlank))
}
