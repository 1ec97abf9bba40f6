// SPDX-License-Identifier: Apache-2.0

/// How many columns of a terminal text takes.
///
/// `wcwidth(3)` would need the user's locale to be set for the whole process. Where terminals differ (emoji joined to
/// one, for instance), the larger figure is given: text that is cut too early still fits.
enum DisplayWidth {
    static func of(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + of($1) }
    }

    static func of(_ scalar: Unicode.Scalar) -> Int {
        if scalar.isASCII { return 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark: return 0
        default: return scalar.properties.isEmojiPresentation || isWide(scalar) ? 2 : 1
        }
    }

    /// Text that cannot leave its line nor order the terminal about: names come from agents, and so from the guest.
    ///
    /// Control and format characters become question marks (the latter include those that reverse the direction), as do
    /// more marks than a letter can have.
    static func harmless(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var marks = 0
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
                result.append("?")
                marks = 0
            case .nonspacingMark, .enclosingMark:
                marks += 1
                result.append(marks > 4 ? "?" : scalar)
            default:
                result.append(scalar)
                marks = 0
            }
        }
        return String(result)
    }

    /// The text if it fits into so many columns, else its beginning and three dots.
    static func fitted(_ text: String, to columns: Int) -> String {
        guard of(text) > columns else { return text }
        let dots = columns > 6 ? "..." : ""
        return prefix(text, of: columns - dots.count) + dots
    }

    /// As much of the text as fits into so many columns.
    static func prefix(_ text: String, of columns: Int) -> String {
        var result = String.UnicodeScalarView()
        var used = 0
        for scalar in text.unicodeScalars {
            used += of(scalar)
            if used > columns { break }
            result.append(scalar)
        }
        return String(result)
    }

    /// East Asian Wide and Fullwidth, by blocks (Unicode 15, EastAsianWidth.txt).
    private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
            0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x16FE0...0x18CFF, 0x1AFF0...0x1B2FF, 0x1F200...0x1F2FF, 0x20000...0x3FFFD:
            true
        default: false
        }
    }
}
