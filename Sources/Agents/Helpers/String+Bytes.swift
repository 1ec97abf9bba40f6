// SPDX-License-Identifier: Apache-2.0

// Searches by bytes: Swift's own compare characters, which takes longer than the loads whose logs are searched.

extension String {
    /// Whether a text stands in it, byte by byte.
    func contains(bytes text: String) -> Bool { self[...].range(of: text) != nil }

    /// The parts between the places where a text stands.
    func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let found = rest.range(of: separator) {
            parts.append(String(rest[..<found.lowerBound]))
            rest = rest[found.upperBound...]
        }
        return parts + [String(rest)]
    }

    /// The first line that a text stands in, without its end.
    func line(with text: String) -> Substring? {
        guard let found = self[...].range(of: text) else { return nil }
        let start = utf8[..<found.lowerBound].lastIndex(of: 0x0a).map { utf8.index(after: $0) } ?? startIndex
        return self[start..<(utf8[found.upperBound...].firstIndex(of: 0x0a) ?? endIndex)]
    }
}

extension Substring {
    /// Where a text stands first, byte by byte.
    func range(of text: String) -> Range<String.Index>? {
        var wanted = text
        guard let first = wanted.utf8.first else { return startIndex..<startIndex }
        return wanted.withUTF8 { wanted in
            var rest = utf8
            while let start = rest.firstIndex(of: first) {
                rest = rest[start...]
                if unsafe rest.starts(with: wanted) { return start..<rest.index(start, offsetBy: wanted.count) }
                rest = rest.dropFirst()
            }
            return nil
        }
    }
}
