// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension CgroupTables {
    static let hierarchy: [CgroupRow] = [
        CgroupRow(
            "M-198", "PREORDER programs run first, the parent's before the child's; the others last, the child's first",
            [.c(1), .preC(2)], .preorder
        ) { list in
            let child = try list.child()
            try child.set(up: [.c(4), .preC(5)])
            try child.expect(list: [.c(4), .preC(5)], running: [2, 5, 4, 1])
            try list.expect(list: [.c(1), .preC(2)], running: [2, 1])
        },
        CgroupRow(
            "M-198.levels", "on every level PREORDER programs keep the order of their list",
            [.c(1), .preC(2), .preC(3), .l(4)], .preorderLinks
        ) { list in
            let child = try list.child()
            let grandchild = try child.child()
            try child.set(up: [.preL(5), .c(6), .preC(7), .preL(8), .c(9)])
            try grandchild.set(up: [.preC(10), .c(11), .preC(12)])
            try grandchild.expect(running: [2, 3, 5, 7, 8, 10, 12, 11, 6, 9, 1, 4])
            try child.expect(running: [2, 3, 5, 7, 8, 6, 9, 1, 4])
            try list.expect(running: [2, 3, 1, 4])
            // What goes on one level goes from all below.
            list.test.expect(list.detach(2), nil, "detach C2")
            try child.closeLink(of: 8)
            try grandchild.expect(running: [3, 5, 7, 10, 12, 11, 6, 9, 1, 4])
            list.test.expect(child.detach(6), nil, "detach C6")
            list.test.expect(try list.attach(13, .preorder), nil, "attach C13 with PREORDER to the highest")
            try grandchild.expect(running: [3, 13, 5, 7, 10, 12, 11, 9, 1, 4])
            try child.expect(running: [3, 13, 5, 7, 9, 1, 4])
        },
        CgroupRow("M-198.positions", "a position within one level moves nothing of the others", [.c(1), .c(2)]) {
            list in
            let child = try list.child()
            try child.set(up: [.c(3), .preC(4)])
            list.test.expect(try list.attach(5, .before), nil, "C5 BEFORE, in the parent")
            list.test.expect(try child.attach(6, [.before, .preorder], .fd(4)), nil, "C6 BEFORE C4, in the child")
            list.test.expect(try list.attach(7, .after, .fd(5)), nil, "C7 AFTER C5, in the parent")
            list.test.expect(try child.attach(8, .before, .fd(3)), nil, "C8 BEFORE C3, in the child")
            try child.expect(
                list: [.c(8), .c(3), .preC(6), .preC(4)], revision: 5, running: [6, 4, 8, 3, 5, 7, 1, 2])
            try list.expect(list: [.c(5), .c(7), .c(1), .c(2)], revision: 5)
        },
        CgroupRow(
            "M-198.plain", "the child's programs run before the parent's", [.c(1), .c(2)], .always
        ) { list in
            let child = try list.child()
            let grandchild = try child.child()
            try grandchild.set(up: [.c(5), .l(6)])
            try child.set(up: [.l(3), .c(4)])
            try grandchild.expect(list: [.c(5), .l(6)], revision: 3, running: [5, 6, 3, 4, 1, 2])
            try child.expect(list: [.l(3), .c(4)], revision: 3, running: [3, 4, 1, 2])
            try list.expect(list: [.c(1), .c(2)], revision: 3)
            list.test.expect(list.detach(1), nil, "detach C1 from the highest")
            list.test.expect(try list.attach(7), nil, "attach C7 to the highest")
            try child.closeLink(of: 3)
            try grandchild.expect(running: [5, 6, 4, 2, 7])
        },
        CgroupRow(
            "M-198.verdict", "all programs run whatever those before returned, and one 0 is EPERM",
            [.c(1), .c(2), .c(3)],
            .always
        ) { list in
            let child = try list.child()
            try child.set(up: [.c(4)])
            try child.expect(running: [4, 1, 2, 3])
            for refusing in [[4], [1], [2], [3], [4, 2], [1, 2, 3, 4]] {
                list.programs.reset()
                for number in refusing { list.programs.setVerdict(0, of: number) }
                let (ran, errno) = list.programs.makeSocket()
                list.test.expect(ran, equals: [4, 1, 2, 3], "programs that ran, \(refusing) returning 0")
                list.test.expect(errno, .EPERM, "socket(2), \(refusing) returning 0")
            }
            list.programs.reset()
            try child.expect(running: [4, 1, 2, 3])
        },
        CgroupRow(
            "M-198.outside", "programs run for the sockets of their cgroup's processes alone", [.c(1)], .always
        ) { list in
            let child = try list.child("one")
            let other = try list.child("two")
            try child.set(up: [.c(2)])
            try other.set(up: [.c(3)])
            try child.expect(running: [2, 1])
            try other.expect(running: [3, 1])
            try list.expect(list: [.c(1)])
            try Cgroup.root.join()
            let (ran, errno) = list.programs.makeSocket()
            list.test.expect(ran, equals: [], "programs that ran for a socket of the root")
            list.test.expect(errno, nil, "socket(2) in the root")
        },
        CgroupRow("M-199", "an effective query tells what runs, in order, at revision 0", [.c(1), .preC(2)], .preorder)
        {
            list in
            let child = try list.child()
            try child.set(up: [.c(4), .preC(5)])
            try expectEffective(child, [2, 5, 4, 1])
            try expectEffective(list, [2, 1])
        },
        CgroupRow("M-199.plain", "an effective query tells what runs, parents' programs too", [.c(1), .l(2)], .always) {
            list in
            let child = try list.child()
            try expectEffective(child, [1, 2])
            try child.set(up: [.l(4), .c(5)])
            try expectEffective(child, [4, 5, 1, 2])
            try expectEffective(list, [1, 2])
        },
    ]

    private static func expectEffective(_ list: CgroupList, _ numbers: [Int]) throws {
        let ids = numbers.map { list.programs.id($0) }
        let (contents, errno) = list.target.query(.effective)
        list.test.expect(errno, nil, "effective query")
        list.test.expect(contents.programs, equals: ids, "ids of the effective query")
        list.test.expect(Int(contents.count), equals: ids.count, "count of the effective query")
        list.test.expect(contents.revision, equals: 0, "revision of the effective query")
        // Before 6.1 (commit 0e426a3ae030) they are those of the cgroup's own list.
        if KernelRelease.running >= .v6_1 {
            list.test.expect(contents.flags, equals: [], "flags of the effective query")
        }
        try list.expect(running: numbers)
        let short = list.target.query(.effective, room: ids.count - 1)
        list.test.expect(short.errno, .noSpace, "effective query with room for one less")
        list.test.expect(short.contents.programs, equals: Array(ids.dropLast()), "ids with room for one less")
        list.test.expect(Int(short.contents.count), equals: ids.count, "count with room for one less")
        let none = list.target.query(.effective, room: 0)
        list.test.expect(none.errno, nil, "effective query without room")
        list.test.expect(Int(none.contents.count), equals: ids.count, "count without room")
    }

    /// What a cgroup allows those below.
    static let inheritance: [CgroupRow] = [
        CgroupRow("M-207", "below a program without flags nothing is attached", [], .always) { list in
            let child = try list.child()
            let grandchild = try child.child()
            list.test.expect(try list.attachPlain(1), nil, "C1 without flags, in the parent")
            for (name, below) in [("child", child), ("grandchild", grandchild)] {
                for flags: AttachFlags in [[], .allowOverride, .allowMulti] {
                    list.test.expect(try below.attachPlain(2, flags), .EPERM, "C2 with \(flags) in the \(name)")
                }
                list.test.expect(try below.link(2), .EPERM, "a link in the \(name)")
                try below.expect(list: [], revision: 1, running: [1])
            }
            list.test.expect(list.detach(1), nil, "detach C1")
            try child.expect(list: [], revision: 1)
            list.test.expect(try grandchild.attachPlain(2), nil, "C2 in the grandchild, C1 being gone")
            try grandchild.expect(list: [.c(2)], revision: 2, flags: [])
        },
        CgroupRow("M-207.nearest", "the nearest ancestor that has programs decides", [], .always) { list in
            let child = try list.child()
            let grandchild = try child.child()
            // The child's come first: later the parent would not let them in.
            list.test.expect(try child.attachPlain(2, .allowMulti), nil, "C2 with MULTI in the child")
            list.test.expect(try list.attachPlain(1), nil, "C1 without flags in the parent")
            list.test.expect(try grandchild.attachPlain(3), nil, "C3 without flags in the grandchild")
            try grandchild.expect(list: [.c(3)], revision: 2, flags: [], running: [3, 2])
            list.test.expect(try child.attachPlain(4, .allowMulti), .EPERM, "C4 with MULTI in the child")
            try child.expect(list: [.c(2)], revision: 2, running: [2])
        },
        CgroupRow("M-208", "in a child its program runs instead of one with ALLOW_OVERRIDE", [], .always) { list in
            let child = try list.child()
            let grandchild = try child.child()
            list.test.expect(try list.attachPlain(1, .allowOverride), nil, "C1 with OVERRIDE in the parent")
            try child.expect(list: [], revision: 1, running: [1])
            for flags: AttachFlags in [[], .allowOverride, .allowMulti] {
                list.test.expect(try child.attachPlain(2, flags), nil, "C2 with \(flags) in the child")
                try child.expect(list: [.c(2)], flags: flags, running: [2])
                try grandchild.expect(running: [2])
                try list.expect(list: [.c(1)], revision: 2, flags: .allowOverride)
                list.test.expect(child.detach(2), nil, "detach C2")
                try child.expect(list: [], running: [1])
                try grandchild.expect(running: [1])
            }
            list.test.expect(try child.link(3), nil, "a link in the child")
            try child.expect(list: [.l(3)], running: [3])
            try grandchild.expect(running: [3])
        },
        CgroupRow("M-208.multi", "below a list of several a child's program runs beside them", [.c(1), .c(2)], .always)
        { list in
            let child = try list.child()
            let grandchild = try child.child()
            for flags: AttachFlags in [[], .allowOverride] {
                list.test.expect(try child.attachPlain(3, flags), nil, "C3 with \(flags) in the child")
                try child.expect(list: [.c(3)], flags: flags, running: [3, 1, 2])
                try grandchild.expect(running: [3, 1, 2])
                if flags == .allowOverride {
                    // What yields to the grandchild is the child's program alone.
                    list.test.expect(try grandchild.attachPlain(4), nil, "C4 in the grandchild")
                    try grandchild.expect(list: [.c(4)], flags: [], running: [4, 1, 2])
                    try child.expect(list: [.c(3)], flags: flags, running: [3, 1, 2])
                }
                list.test.expect(child.detach(3), nil, "detach C3")
            }
            try grandchild.expect(running: [4, 1, 2])
        },
        CgroupRow("M-225", "PREORDER programs run in grandchildren that have none", [.preC(1)], .preorder) { list in
            let grandchild = try list.child().child()
            try grandchild.expect(list: [], running: [1])
            list.test.expect(try list.attach(2, .preorder), nil, "C2 with PREORDER in the highest")
            list.test.expect(try list.attach(3), nil, "C3 in the highest")
            try grandchild.expect(list: [], running: [1, 2, 3])
            list.test.expect(list.detach(1), nil, "detach C1")
            try grandchild.expect(list: [], running: [2, 3])
        },
        CgroupRow(
            "M-225.later", "a cgroup that is made later runs the programs of those above, in their order",
            [.c(1), .preC(2), .l(3), .preL(4)], .preorderLinks
        ) { list in
            let child = try list.child()
            try child.set(up: [.c(5), .preC(6)])
            let grandchild = try child.child()
            try grandchild.expect(list: [], running: [2, 4, 6, 5, 1, 3])
        },
        CgroupRow(
            "M-225.plain", "a cgroup that is made later runs the programs of those above", [.c(1), .l(2)], .always
        ) {
            list in
            let child = try list.child()
            try child.expect(list: [], running: [1, 2])
            try child.set(up: [.c(3)])
            let grandchild = try child.child()
            try grandchild.expect(list: [], running: [3, 1, 2])
            list.test.expect(list.detach(1), nil, "detach C1")
            try grandchild.expect(list: [], running: [3, 2])
        },
    ]
}
