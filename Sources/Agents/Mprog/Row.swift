// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import SystemPackage

/// One line of the specification's table, for lists of several kinds.
struct Row: Sendable {
    /// The specification's id, and what a variant of it is about: M-034.id.
    let id: String
    let title: String
    /// What the list holds before.
    let given: [Slot]
    let flavours: [Flavour]
    let body: @Sendable (ListTest) throws -> Void

    /// A row with steps of its own.
    ///
    /// - Parameter flavours: the kinds of lists that the row is about.
    init(
        _ id: String, _ title: String, _ given: [Slot] = [], on flavours: [Flavour] = Flavour.allCases,
        body: @escaping @Sendable (ListTest) throws -> Void
    ) {
        self.id = id
        self.title = title
        self.given = given
        self.flavours = flavours
        self.body = body
    }

    /// One call that must succeed and leave a list.
    ///
    /// - Parameter revision: one more than before where left out: `given.count` calls made it 1 + that.
    init(
        _ id: String, _ title: String, _ given: [Slot], on flavours: [Flavour] = Flavour.allCases, leaves: [Slot],
        revision: UInt64? = nil, file: String = #fileID, line: Int = #line,
        _ call: @escaping @Sendable (ListTest) throws -> Errno?
    ) {
        self.init(id, title, given, on: flavours) { list in
            try list.test.require(success: try call(list), title, file: file, line: line)
            try list.expect(list: leaves, revision: revision ?? UInt64(given.count + 2), file: file, line: line)
        }
    }

    /// One call that must be refused and change nothing.
    init(
        _ id: String, _ title: String, _ given: [Slot], on flavours: [Flavour] = Flavour.allCases,
        refused errno: Errno, file: String = #fileID, line: Int = #line,
        _ call: @escaping @Sendable (ListTest) throws -> Errno?
    ) {
        self.init(id, title, given, on: flavours) { list in
            try list.expect(try call(list), refused: errno, title, leaving: given, file: file, line: line)
        }
    }

    /// The row as a case for one kind of list. Whatever it is about, at its end nothing may refer any more to what it
    /// brought along.
    func asCase(_ flavour: Flavour) -> Case {
        Case(
            "\(id).\(flavour.rawValue)", "\(flavour.name): \(title)", spec: [String(id.prefix { $0 != "." })],
            since: flavour.feature.since, needs: [flavour.feature]
        ) { test in
            let list = try ListTest(test, flavour)
            try list.set(up: given)
            try body(list)
            try list.expectNothingLeft()
        }
    }
}

extension [Row] {
    /// All rows as cases, for some kinds of lists.
    func cases(_ flavours: [Flavour]) -> [Case] {
        flavours.flatMap { flavour in
            filter { $0.flavours.contains(flavour) }.map { $0.asCase(flavour) }
        }
    }
}
