// SPDX-License-Identifier: Apache-2.0

/// Makes every level of subtests four spaces deep, as the parser takes them: TAP 14 and KUnit indent by four, KTAP's
/// document by two, and only the lines before tell which.
struct IndentLevels {
    /// The spaces in front of each open level; the outermost has none.
    private var levels = [0]
    /// The spaces in front of `---`, while a YAML block is open.
    private var block: Int?

    private static let limit = 16

    /// - Parameter line: without its line end.
    mutating func normalized(_ line: ArraySlice<UInt8>) -> [UInt8] {
        let content = line.drop { $0 == UInt8(ascii: " ") }
        let spaces = line.count - content.count
        if let start = block {
            if content.isEmpty || spaces >= start {
                if content.elementsEqual("...".utf8) { block = nil }
                return indented(content, spaces)
            }
            // The block was not closed.
            block = nil
        }
        if content.elementsEqual("---".utf8), spaces > 0 {
            block = spaces
        } else if Self.beginsOrEndsLevels(content) {
            while let last = levels.last, last > spaces { levels.removeLast() }
            if let last = levels.last, last < spaces, levels.count < Self.limit { levels.append(spaces) }
        }
        return indented(content, spaces)
    }

    /// What lies deeper than the innermost level that it can belong to stays as much deeper.
    private func indented(_ content: ArraySlice<UInt8>, _ spaces: Int) -> [UInt8] {
        let depth = levels.lastIndex { $0 <= spaces } ?? 0
        let count = depth * 4 + min(spaces - levels[depth], 64)
        return [UInt8](repeating: UInt8(ascii: " "), count: count) + content
    }

    /// A version, a plan, a point or the name of a subtest.
    private static func beginsOrEndsLevels(_ content: ArraySlice<UInt8>) -> Bool {
        ["ok", "not ok", "1..", "TAP version ", "KTAP version ", "# Subtest: "].contains { word in
            content.starts(with: word.utf8)
        }
    }
}
