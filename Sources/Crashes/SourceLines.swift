// SPDX-License-Identifier: Apache-2.0

/// Functions and lines of source by address, as addr2line prints them.
public struct SourceLines: Sendable, Equatable {
    /// One function at an address; of inlined ones the innermost comes first.
    public struct Place: Sendable, Equatable {
        public var function: String
        /// nil where the debugging information does not say.
        public var file: String?
        public var line: Int?

        public init(function: String, file: String?, line: Int?) {
            self.function = function
            self.file = file
            self.line = line
        }
    }

    public private(set) var places: [UInt64: [Place]] = [:]

    /// - Parameters:
    ///   - output: of `addr2line -a -f -i`, binutils' or elfutils'.
    ///   - start: the address of `start_kernel`, which is in init/main.c: what stands before that is the source tree, and
    ///     goes.
    public init(addr2line output: some StringProtocol, start: UInt64?) {
        var address: UInt64?
        var function: Substring?
        for line in String(output).split(whereSeparator: \.isNewline) {
            if line.hasPrefix("0x"), let number = UInt64(line.dropFirst(2), radix: 16) {
                address = number
                function = nil
            } else if let name = function, let address {
                places[address, default: []].append(Self.place(name, line))
                function = nil
            } else {
                function = line
            }
        }
        guard let start, let file = places[start]?.last?.file, file.hasSuffix("init/main.c") else { return }
        let tree = file.dropLast("init/main.c".count)
        for (address, found) in places {
            places[address] = found.map { place in
                var place = place
                if let file = place.file, file.hasPrefix(tree) { place.file = String(file.dropFirst(tree.count)) }
                return place
            }
        }
    }

    private static func place(_ name: Substring, _ where_: Substring) -> Place {
        // "function inlined at file:line in caller": elfutils; "file:line (discriminator 3)": binutils.
        let function = String(name.prefix { $0 != " " })
        var rest = where_.prefix { $0 != " " }
        guard let colon = rest.lastIndex(of: ":"), !rest.hasPrefix("??") else {
            return Place(function: function, file: nil, line: nil)
        }
        var number = Int(rest[rest.index(after: colon)...])
        rest = rest[..<colon]
        // elfutils has the column too.
        if let before = rest.lastIndex(of: ":"), let line = Int(rest[rest.index(after: before)...]) {
            number = line
            rest = rest[..<before]
        }
        return Place(function: function, file: normalised(rest), line: number == 0 ? nil : number)
    }

    /// Without `.` and `..` in its middle.
    private static func normalised(_ path: Substring) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/", omittingEmptySubsequences: true) where part != "." {
            if part == "..", let last = parts.last, last != ".." { parts.removeLast() } else { parts.append(part) }
        }
        return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
    }
}
