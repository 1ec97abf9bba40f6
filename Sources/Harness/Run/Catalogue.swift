// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage

/// What agents offer.
public enum Catalogue {
    /// Asks our own agent, which lists its cases without a guest.
    public static func builtIn(_ files: GuestFiles) async throws(HarnessError) -> [SuiteListing] {
        let text = try await Tool.require(
            files.agent.string, ["list"], package: "bpftest", to: "list the built-in suites")
        return try parse(text, from: files.agent.string)
    }

    /// Reads the lines of `AGENT list`.
    static func parse(_ text: String, from agent: String) throws(HarnessError) -> [SuiteListing] {
        var suites: [SuiteListing] = []
        for line in text.split(whereSeparator: \.isNewline) {
            do {
                suites.append(try JSONDecoder().decode(SuiteListing.self, from: Data(line.utf8)))
            } catch {
                throw .usage(
                    "\(agent) list: this line is not a suite as docs/agent-output.md has it: \(line.prefix(200))")
            }
        }
        return suites
    }

    /// Whether a name is a case's or its suite's.
    private static func stands(_ name: String, for suite: String, _ full: String) -> Bool {
        Glob.matchesWhole(name, suite) || Glob.matchesWhole(name, full)
    }

    /// The cases that the user asked for, in the catalogue's order.
    ///
    /// - Parameters:
    ///   - names: suites or cases (SUITE/CASE), or globs over them; all when empty.
    ///   - patterns: globs over SUITE/CASE of which one must match; no condition when empty.
    ///   - objects: the files that suites are made of, by the suites' names.
    public static func select(
        _ offered: [(agent: Agent, suites: [SuiteListing])], names: [String], patterns: [String],
        objects: [String: ObjectFile] = [:]
    ) throws(HarnessError) -> [Selection] {
        var selections: [Selection] = []
        for (agent, suites) in offered {
            for suite in suites {
                let cases = suite.cases.filter { one in
                    let full = "\(suite.suite)/\(one.id)"
                    let named = names.isEmpty || names.contains { stands($0, for: suite.suite, full) }
                    return named && (patterns.isEmpty || patterns.contains { Glob.matches($0, full) })
                }
                if !cases.isEmpty {
                    selections.append(
                        Selection(agent: agent, suite: suite, cases: cases, object: objects[suite.suite]))
                }
            }
        }
        for name in names {
            let found = offered.contains { offer in
                offer.suites.contains { suite in
                    suite.cases.contains { stands(name, for: suite.suite, "\(suite.suite)/\($0.id)") }
                }
            }
            if !found, let slash = name.lastIndex(of: "/"), let object = objects[String(name[..<slash])] {
                // What is wrong with the file is said in its place.
                if object.problem != nil { continue }
                let program = name[name.index(after: slash)...]
                let known = offered.flatMap(\.suites).first { $0.suite == object.suite }?.cases.map(\.id) ?? []
                let some = known.prefix(10).joined(separator: ", ") + (known.count > 10 ? ", … (\(known.count))" : "")
                throw .usage("\(object.given) has no program \(program); it has: \(some)")
            }
            if !found {
                let known = offered.flatMap { $0.suites.map(\.suite) }.joined(separator: ", ")
                throw .usage("there is no suite or case \(name); suites: \(known) (bpftest list shows the cases)")
            }
        }
        if selections.isEmpty { throw .usage("no case matches \(patterns.joined(separator: ", "))") }
        return selections
    }
}

/// Patterns with `*` and `?`, as test_progs and shells have them; a pattern without them matches any part.
enum Glob {
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let hasWildcard = pattern.contains { $0 == "*" || $0 == "?" }
        return hasWildcard ? match(Array(pattern), Array(text)) : pattern.isEmpty || text.contains(pattern)
    }

    /// As `matches`, but a pattern without wildcards is the whole text.
    static func matchesWhole(_ pattern: String, _ text: String) -> Bool {
        match(Array(pattern), Array(text))
    }

    /// Linear in the product of the lengths: back-tracks to the last star only.
    private static func match(_ pattern: [Character], _ text: [Character]) -> Bool {
        var p = 0
        var t = 0
        var star = -1
        var mark = 0
        while t < text.count {
            if p < pattern.count, pattern[p] == "?" || pattern[p] == text[t], pattern[p] != "*" {
                p += 1
                t += 1
            } else if p < pattern.count, pattern[p] == "*" {
                star = p
                mark = t
                p += 1
            } else if star >= 0 {
                p = star + 1
                mark += 1
                t = mark
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == "*" { p += 1 }
        return p == pattern.count
    }
}
