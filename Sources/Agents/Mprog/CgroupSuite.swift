// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import SystemPackage

/// M-180 to M-226 of docs/semantics/mprog.md: the programs of a cgroup. Positions and revisions where the kernel has them;
/// the rest, and what kernels without them answer, everywhere.
public let cgroupSuite = Suite(
    "mprog.cgroup", "programs on cgroups: positions, replacement, hierarchy, links and queries",
    objects: ["mprog/cgroup_storage.bpf.o", "mprog/cgroup_lsm.bpf.o"], prepare: { try CgroupPrograms.load() }
) {
    cgroupLSMCases
    for row in CgroupTables.rows {
        Case(
            row.id, row.title, spec: [String(row.id.prefix { $0 != "." })], since: row.era.since, needs: row.era.needs
        ) { test in
            let list = try CgroupList(test)
            if row.era.hasRevisions {
                test.expect(list.target.query().contents.revision, equals: 1, "revision of a new cgroup's list")
            }
            try list.set(up: row.given)
            try row.body(list)
        }
    }
}

/// One line of the specification's table.
struct CgroupRow: Sendable {
    /// What the kernel must have.
    enum Era: Sendable {
        /// Cgroup programs as every kernel has them.
        case always
        /// Positions and revisions.
        case ordering
        case preorder
        /// PREORDER links.
        case preorderLinks

        var since: String {
            switch self {
            case .always: "5.10"
            case .ordering: "6.17"
            case .preorder: "6.15"
            case .preorderLinks: "6.17"
            }
        }

        var needs: [Feature] {
            switch self {
            case .always: [.cgroup2, .cgroupPrograms]
            case .ordering: [.cgroup2, .cgroupPrograms, .cgroupPreorder, .cgroupOrdering]
            case .preorder: [.cgroup2, .cgroupPrograms, .cgroupPreorder]
            case .preorderLinks: [.cgroup2, .cgroupPrograms, .cgroupPreorder, .cgroupPreorderLinks]
            }
        }

        var hasRevisions: Bool { self == .ordering }
    }

    let id: String
    let title: String
    /// What the list holds before, all with ALLOW_MULTI.
    let given: [CgroupSlot]
    let era: Era
    let body: @Sendable (CgroupList) throws -> Void

    /// A row with steps of its own.
    init(
        _ id: String, _ title: String, _ given: [CgroupSlot] = [], _ era: Era = .ordering,
        body: @escaping @Sendable (CgroupList) throws -> Void
    ) {
        self.id = id
        self.title = title
        self.given = given
        self.era = era
        self.body = body
    }

    /// One call that must succeed, leave a list and add one to the revision.
    init(
        _ id: String, _ title: String, _ given: [CgroupSlot], leaves: [CgroupSlot], _ era: Era = .ordering,
        file: String = #fileID, line: Int = #line, _ call: @escaping @Sendable (CgroupList) throws -> Errno?
    ) {
        self.init(id, title, given, era) { list in
            try list.test.require(success: try call(list), title, file: file, line: line)
            try list.expect(list: leaves, revision: UInt64(given.count + 2), file: file, line: line)
        }
    }

    /// Calls that must be refused with one errno and change nothing.
    init(
        _ id: String, _ title: String, _ given: [CgroupSlot], refused errno: Errno, _ era: Era = .ordering,
        file: String = #fileID, line: Int = #line, calls: [(String, @Sendable (CgroupList) throws -> Errno?)]
    ) {
        self.init(id, title, given, era) { list in
            for (name, call) in calls {
                try list.expect(try call(list), refused: errno, name, leaving: given, file: file, line: line)
            }
        }
    }
}

enum CgroupTables {
    static let rows =
        positions + anchors + refusedAnchors + preorder + replace + modes + limits + hierarchy + inheritance + links
        + updates + references + queries + descriptors
}
