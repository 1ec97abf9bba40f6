// SPDX-License-Identifier: Apache-2.0

/// One `ok` or `not ok` line.
public struct TestPoint: Sendable, Equatable {
    public enum Directive: Sendable, Equatable {
        case skip(reason: String)
        case todo(reason: String)
    }

    public var ok: Bool
    /// As printed; nil when the line has none.
    public var number: Int?
    public var description: String
    public var directive: Directive?

    public init(ok: Bool, number: Int?, description: String, directive: Directive? = nil) {
        self.ok = ok
        self.number = number
        self.description = description
        self.directive = directive
    }

    /// Reads a line without its indentation.
    init?(line: Substring) {
        var rest = line
        if rest.hasPrefix("not ok") {
            ok = false
            rest = rest.dropFirst(6)
        } else if rest.hasPrefix("ok") {
            ok = true
            rest = rest.dropFirst(2)
        } else {
            return nil
        }
        guard rest.isEmpty || rest.first == " " || rest.first == "\t" else { return nil }
        rest = rest.drop { $0 == " " || $0 == "\t" }
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        if !digits.isEmpty, let value = Int(digits) {
            number = value
            rest = rest.dropFirst(digits.count).drop { $0 == " " || $0 == "\t" }
        } else {
            number = nil
        }
        if rest.first == "-" { rest = rest.dropFirst().drop { $0 == " " } }
        (description, directive) = Self.split(rest)
    }

    /// Takes the directive off a description and undoes TAP 14's escapes.
    private static func split(_ text: Substring) -> (String, Directive?) {
        var description = ""
        var index = text.startIndex
        while index < text.endIndex {
            let character = text[index]
            let next = text.index(after: index)
            if character == "\\", next < text.endIndex, text[next] == "#" || text[next] == "\\" {
                description.append(text[next])
                index = text.index(after: next)
                continue
            }
            if character == "#" {
                let words = text[next...].drop { $0 == " " }
                let keyword = words.prefix(4).lowercased()
                let reason = words.dropFirst(4)
                // "SKIPPED: why" and "SKIP why" are both in use.
                let text = String(reason.drop { $0.isLetter }.drop { $0 == ":" || $0 == " " })
                if keyword == "skip" { return (trimmed(description), .skip(reason: text)) }
                if keyword == "todo" { return (trimmed(description), .todo(reason: text)) }
            }
            description.append(character)
            index = next
        }
        return (trimmed(description), nil)
    }

    private static func trimmed(_ text: String) -> String {
        var text = text[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    /// The line without indentation. TAP 14 has a dash before the description; KTAP has none.
    public func line(dash: Bool) -> String {
        var line = ok ? "ok" : "not ok"
        if let number { line += " \(number)" }
        if !description.isEmpty { line += (dash ? " - " : " ") + Self.escaped(description) }
        switch directive {
        case .skip(let reason): line += " # SKIP" + (reason.isEmpty ? "" : " " + Self.oneLine(reason))
        case .todo(let reason): line += " # TODO" + (reason.isEmpty ? "" : " " + Self.oneLine(reason))
        case nil: break
        }
        return line
    }

    private static func escaped(_ text: String) -> String {
        oneLine(text).reduce(into: "") { result, character in
            if character == "#" || character == "\\" { result.append("\\") }
            result.append(character)
        }
    }

    private static func oneLine(_ text: String) -> String {
        String(text.map { $0.isNewline ? " " : $0 })
    }
}
