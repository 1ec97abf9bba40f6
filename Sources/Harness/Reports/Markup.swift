// SPDX-License-Identifier: Apache-2.0

/// Text of guests in markup: nothing in it is taken for markup, and what cannot be seen is made visible.
enum Markup {
    /// Text for HTML and XML, in elements and in quoted attributes.
    ///
    /// XML 1.0 has no control characters at all, HTML forbids most; characters that turn the direction of writing can
    /// make text read as something else.
    ///
    /// - Parameter lines: keep line breaks and tabs as they are; else they become character references, as an
    ///   attribute needs them.
    static func escaped(_ text: some StringProtocol, lines: Bool = true) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count + text.utf8.count / 8)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\n" where lines, "\t" where lines: result.unicodeScalars.append(scalar)
            case "\n": result += "&#10;"
            case "\t": result += "&#9;"
            default:
                if let shown = visible(scalar) {
                    result += shown
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }

    /// What stands for a character that cannot be seen or may not be there; nil for all others.
    static func visible(_ scalar: Unicode.Scalar) -> String? {
        switch scalar.value {
        // Unicode's pictures of control characters.
        case 0..<0x20: return Unicode.Scalar(0x2400 + scalar.value).map { String(Character($0)) }
        case 0x7f: return "\u{2421}"
        case 0x80..<0xa0, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xfeff, 0xfff9...0xfffb:
            return named(scalar)
        default:
            return scalar.value & 0xfffe == 0xfffe || (0xfdd0...0xfdef).contains(scalar.value) ? named(scalar) : nil
        }
    }

    private static func named(_ scalar: Unicode.Scalar) -> String {
        "\u{27e8}U+\(String(scalar.value, radix: 16, uppercase: true))\u{27e9}"
    }

    /// Text in Markdown that nothing in is taken for Markdown, mentions or references: for lines and cells of tables.
    static func markdown(_ text: some StringProtocol) -> String {
        let line = escaped(text.split(whereSeparator: \.isNewline).joined(separator: " "))
        var result = ""
        var last: Unicode.Scalar?
        for scalar in line.unicodeScalars {
            switch scalar {
            // "&#39;" is there already, and must stay.
            case "#" where last == "&": result += "#"
            case "\\", "`", "*", "_", "{", "}", "[", "]", "(", ")", "#", "+", "-", "!", "|", "~", "@", ":", "$":
                result += "&#\(scalar.value);"
            default: result.unicodeScalars.append(scalar)
            }
            last = scalar
        }
        return result
    }
}

extension Duration {
    /// For people: 12 ms, 1.5 s, 2 min 5 s.
    var text: String {
        let milliseconds = milliseconds
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        if milliseconds < 60_000 { return "\(milliseconds / 1000).\(milliseconds % 1000 / 100) s" }
        let seconds = milliseconds / 1000
        if seconds < 3600 { return "\(seconds / 60) min \(seconds % 60) s" }
        return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
    }

    /// Seconds with three decimals.
    var seconds: String {
        let milliseconds = milliseconds
        let rest = String(milliseconds % 1000)
        return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }
}
