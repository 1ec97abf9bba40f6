// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// A text to look for, with POSIX extended regular expressions between `{{` and `}}`.
///
/// - Source: tools/testing/selftests/bpf/bpf_misc.h of 6.12, "__msg".
struct MessagePattern: Equatable, Sendable {
    let text: String
    /// The whole as a regular expression; nil for a text that is looked for as it is.
    let expression: String?

    /// - Throws: when an expression has no end, or is none.
    init(_ text: String) throws(Annotation.Problem) {
        self.text = text
        expression = text.contains("{{") ? try Self.expression(text) : nil
        try check()
    }

    /// A pattern that is a regular expression as a whole.
    init(expression: String) throws(Annotation.Problem) {
        text = expression
        self.expression = expression
        try check()
    }

    private func check() throws(Annotation.Problem) {
        guard let expression else { return }
        if let problem = RegularExpression.problem(of: expression) {
            throw Annotation.Problem(text: "'\(text)' is no regular expression: \(problem)")
        }
    }

    private static func expression(_ text: String) throws(Annotation.Problem) -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.firstRange(of: "{{") {
            result += literal(rest[..<open.lowerBound])
            let inside = rest[open.upperBound...]
            guard let close = inside.firstRange(of: "}}") else {
                throw Annotation.Problem(text: "'\(text)' opens '{{' and does not close it")
            }
            result += inside[..<close.lowerBound]
            rest = inside[close.upperBound...]
        }
        return result + literal(rest)
    }

    private static func literal(_ text: Substring) -> String {
        text.reduce(into: "") { result, character in
            if ".[]\\()*+?{}|^$".contains(character) { result.append("\\") }
            result.append(character)
        }
    }

    /// Where the pattern is first found.
    ///
    /// - Parameter log: with a zero behind its end.
    func find(in log: borrowing SearchedText, from start: Int) -> Range<Int>? {
        guard let expression else { return log.find(Array(text.utf8), from: start) }
        return log.find(expression: expression, from: start)
    }
}

/// A text that patterns are looked for in.
struct SearchedText: Sendable {
    /// With a zero at the end.
    private let bytes: [CChar]
    /// Where each line begins.
    private let lineStarts: [Int]

    init(_ text: String) {
        // What follows a zero is beyond what a regular expression can see.
        let bytes = text.utf8.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
        self.bytes = bytes
        lineStarts = [0] + bytes.indices.filter { bytes[$0] == 0x0a }.map { $0 + 1 }
    }

    var count: Int { bytes.count - 1 }

    func find(_ wanted: [UInt8], from start: Int) -> Range<Int>? {
        guard !wanted.isEmpty else { return start..<start }
        return unsafe bytes.withUnsafeBufferPointer { log in
            unsafe (wanted.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { needle in
                guard let base = log.baseAddress, let text = needle.baseAddress,
                    let found = unsafe strstr(base + start, text)
                else { return nil }
                let at = unsafe UnsafePointer(found) - base
                return at..<(at + wanted.count)
            }
        }
    }

    func find(expression: String, from start: Int) -> Range<Int>? {
        guard let compiled = RegularExpression(expression) else { return nil }
        return unsafe bytes.withUnsafeBufferPointer { log in
            guard let base = log.baseAddress, let range = unsafe compiled.match(base + start) else { return nil }
            return (range.lowerBound + start)..<(range.upperBound + start)
        }
    }

    /// The number of the line at a place, from 0.
    func line(at place: Int) -> Int {
        var low = 0
        var high = lineStarts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if lineStarts[middle] <= place { low = middle } else { high = middle }
        }
        return low
    }
}

/// A compiled expression of regcomp(3), extended, `.` and `[^a]` not matching new lines.
@safe final class RegularExpression {
    private var compiled = unsafe regex_t()

    init?(_ text: String) {
        guard unsafe regcomp(&compiled, text, Self.flags) == 0 else { return nil }
    }

    deinit {
        unsafe regfree(&compiled)
    }

    private static let flags = REG_EXTENDED | 1 << 2  // REG_NEWLINE

    /// - Parameter text: ends with a zero.
    func match(_ text: UnsafePointer<CChar>) -> Range<Int>? {
        var place = regmatch_t()
        guard unsafe regexec(&compiled, text, 1, &place, 0) == 0, place.rm_so >= 0 else { return nil }
        return Int(place.rm_so)..<Int(place.rm_eo)
    }

    /// What regcomp(3) says of an expression that is none.
    static func problem(of text: String) -> String? {
        var compiled = unsafe regex_t()
        let code = unsafe regcomp(&compiled, text, flags)
        guard code != 0 else {
            unsafe regfree(&compiled)
            return nil
        }
        var message = [CChar](repeating: 0, count: 256)
        _ = unsafe regerror(code, &compiled, &message, message.count)
        return String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
