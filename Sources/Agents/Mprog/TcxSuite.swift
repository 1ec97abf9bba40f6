// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

/// M-001 to M-095 of docs/semantics/mprog.md on tcx, for ingress and egress.
public let tcxSuite = Suite(
    "mprog.tcx", "bpf_mprog on tcx: attach, detach, replace, links and revisions", isolation: .network,
    prepare: { try Programs.load() }
) {
    for (direction, type) in [("ingress", AttachType.tcxIngress), ("egress", .tcxEgress)] {
        for row in TcxTables.rows {
            Case("\(row.id).\(direction)", "\(direction): \(row.title)", spec: [row.id], since: "6.6", needs: [.tcx]) {
                test in
                let list = try ListTest(test, type)
                try list.set(up: row.given)
                try row.body(list)
            }
        }
    }
}

/// One line of the specification's table.
struct Row: Sendable {
    let id: String
    let title: String
    /// What the list holds before.
    let given: [Slot]
    let body: @Sendable (ListTest) throws -> Void

    /// A row with steps of its own.
    init(_ id: String, _ title: String, _ given: [Slot] = [], body: @escaping @Sendable (ListTest) throws -> Void) {
        self.id = id
        self.title = title
        self.given = given
        self.body = body
    }

    /// One call that must succeed and leave a list.
    ///
    /// - Parameter revision: one more than before where left out: `given.count` calls made it 1 + that.
    init(
        _ id: String, _ title: String, _ given: [Slot], leaves: [Slot], revision: UInt64? = nil,
        file: String = #fileID, line: Int = #line, _ call: @escaping @Sendable (ListTest) throws -> Errno?
    ) {
        self.init(id, title, given) { list in
            try list.test.require(success: try call(list), title, file: file, line: line)
            try list.expect(list: leaves, revision: revision ?? UInt64(given.count + 2), file: file, line: line)
        }
    }

    /// One call that must be refused and change nothing.
    init(
        _ id: String, _ title: String, _ given: [Slot], refused errno: Errno, file: String = #fileID,
        line: Int = #line, _ call: @escaping @Sendable (ListTest) throws -> Errno?
    ) {
        self.init(id, title, given) { list in
            try list.expect(try call(list), refused: errno, title, leaving: given, file: file, line: line)
        }
    }
}

enum TcxTables {
    static let rows = attach + anchors + links + revisions + replace + full + detach
}
