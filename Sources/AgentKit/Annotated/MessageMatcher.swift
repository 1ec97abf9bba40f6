// SPDX-License-Identifier: Apache-2.0

/// One of the texts that are expected in a log, or must not be in it.
struct ExpectedText: Equatable, Sendable {
    var pattern: MessagePattern
    /// Must not be there, between the expected texts before and behind it.
    var isUnwanted = false
    /// Must be on the line after the one before it.
    var isOnNextLine = false
}

/// Compares a log with the texts that are expected of it.
///
/// Expected texts are looked for one after another, each from the end of the one before; unwanted ones between their
/// neighbours.
///
/// - Source: docs/semantics/upstream-map.md, "Semantics".
struct MessageMatcher {
    /// An expectation that the log does not meet, the first of them.
    struct Mismatch: Equatable {
        enum Kind: Equatable {
            case missing
            /// An unwanted text is there, in the line of this number.
            case unwanted(line: Int)
            /// It is there, but not in the line after the one before.
            case wrongLine(expected: Int, observed: Int)
        }

        var kind: Kind
        /// Its place among the expected texts, from 0.
        var index: Int
        /// What was found before it, with the numbers of the lines (from 1).
        var found: [(text: String, line: Int)]
        /// The number of the line (from 0) that a reader wants to see: the mismatch's, or where the search began.
        var line: Int

        static func == (one: Mismatch, other: Mismatch) -> Bool {
            one.kind == other.kind && one.index == other.index && one.line == other.line
                && one.found.elementsEqual(other.found) { $0 == $1 }
        }
    }

    let expected: [ExpectedText]

    /// - Returns: nil when the log is as expected.
    func check(_ log: String) -> Mismatch? {
        let text = SearchedText(log)
        let places = places(text)
        var found: [(text: String, line: Int)] = []
        var lastLine: Int?
        for (index, one) in expected.enumerated() {
            let place = places[index]
            guard !one.isUnwanted else {
                if let place {
                    let line = text.line(at: place.lowerBound)
                    return Mismatch(kind: .unwanted(line: line + 1), index: index, found: found, line: line)
                }
                continue
            }
            guard let place else {
                return Mismatch(kind: .missing, index: index, found: found, line: lastLine ?? 0)
            }
            let line = text.line(at: place.lowerBound)
            if one.isOnNextLine, let lastLine, lastLine + 1 != line {
                return Mismatch(
                    kind: .wrongLine(expected: lastLine + 2, observed: line + 1), index: index, found: found,
                    line: lastLine)
            }
            found.append((one.pattern.text, line + 1))
            lastLine = line
        }
        return nil
    }

    /// Where each text is, wanted or not.
    private func places(_ text: SearchedText) -> [Range<Int>?] {
        var places = [Range<Int>?](repeating: nil, count: expected.count)
        var end = 0
        for (index, one) in expected.enumerated() where !one.isUnwanted {
            guard let place = one.pattern.find(in: text, from: end) else { continue }
            places[index] = place
            end = place.upperBound
        }
        for (index, one) in expected.enumerated() where one.isUnwanted {
            let start = (0..<index).last { !expected[$0].isUnwanted && places[$0] != nil }
            let next = expected[index...].firstIndex { !$0.isUnwanted }
            // Behind a text that is missing there is nothing to say.
            if let next, places[next] == nil { continue }
            let limit = next.flatMap { places[$0]?.lowerBound } ?? text.count
            guard let place = one.pattern.find(in: text, from: start.flatMap { places[$0]?.upperBound } ?? 0),
                place.upperBound <= limit
            else { continue }
            places[index] = place
        }
        return places
    }
}

extension MessageMatcher.Mismatch {
    /// The log's lines around the mismatch, with their numbers, and its last ones.
    func excerpt(of log: String, before: Int = 4, after: Int = 24, last: Int = 10) -> String {
        var lines = log.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        let middle = max(0, line - before)..<min(lines.count, max(0, line - before) + before + after)
        let end = max(middle.upperBound, lines.count - last)..<max(middle.upperBound, lines.count)
        var text: [String] = []
        if middle.lowerBound > 0 { text.append("… (\(middle.lowerBound) lines)") }
        text += middle.map { "\($0 + 1): \(lines[$0])" }
        if end.lowerBound > middle.upperBound { text.append("… (\(end.lowerBound - middle.upperBound) lines)") }
        text += end.map { "\($0 + 1): \(lines[$0])" }
        return text.joined(separator: "\n")
    }
}
