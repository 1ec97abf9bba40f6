// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension CgroupTables {
    static let positions: [CgroupRow] = [
        CgroupRow(
            "M-180", "BEFORE|AFTER is taken for the first program of a list, at revision 1", [], leaves: [.c(1)]
        ) { try $0.attach(1, [.before, .after], revision: 1) },
        CgroupRow("M-181", "BEFORE without anchor goes to the front", [.c(1)], leaves: [.c(2), .c(1)]) {
            try $0.attach(2, .before)
        },
        CgroupRow(
            "M-181.two", "BEFORE without anchor goes in front of all", [.c(1), .c(2)], leaves: [.c(3), .c(1), .c(2)]
        ) {
            try $0.attach(3, .before)
        },
        CgroupRow("M-182", "AFTER a descriptor goes right behind it", [.c(1), .c(2)], leaves: [.c(1), .c(3), .c(2)]) {
            try $0.attach(3, .after, .fd(1))
        },
        CgroupRow("M-182.last", "AFTER the last one goes to the end", [.c(1), .c(2)], leaves: [.c(1), .c(2), .c(3)]) {
            try $0.attach(3, .after, .fd(2))
        },
        CgroupRow(
            "M-182.id", "AFTER an id goes right behind it", three, leaves: [.c(1), .c(2), .c(4), .c(3)]
        ) { try $0.attach(4, [.after, .id], .id(2)) },
        CgroupRow(
            "M-182.before", "BEFORE a descriptor goes right in front of it", three,
            leaves: [.c(1), .c(2), .c(4), .c(3)]
        ) {
            try $0.attach(4, .before, .fd(3))
        },
        CgroupRow(
            "M-182.before_first", "BEFORE the first one goes to the front", three, leaves: [.c(4), .c(1), .c(2), .c(3)]
        ) {
            try $0.attach(4, .before, .fd(1))
        },
        CgroupRow(
            "M-182.before_id", "BEFORE an id goes right in front of it", three, leaves: [.c(1), .c(4), .c(2), .c(3)]
        ) {
            try $0.attach(4, [.before, .id], .id(2))
        },
        CgroupRow(
            "M-183", "a program without position goes to the end", [.c(2), .c(3), .c(1)],
            leaves: [.c(2), .c(3), .c(1), .c(4)]
        ) {
            try $0.attach(4)
        },
        CgroupRow("M-183.after", "AFTER without anchor goes to the end", three, leaves: three + [.c(4)]) {
            try $0.attach(4, .after)
        },
        CgroupRow("M-183.plain", "programs run in the order in which they were attached", three, .always) {
            try $0.expect(list: three, revision: 4)
        },
        CgroupRow(
            "M-184", "BEFORE|AFTER is refused where something is attached", [.c(1)], refused: .EINVAL,
            calls: [
                ("BEFORE|AFTER", { try $0.attach(2, [.before, .after]) }),
                ("BEFORE|AFTER with an anchor", { try $0.attach(2, [.before, .after], .fd(1)) }),
                ("BEFORE|AFTER with an id", { try $0.attach(2, [.before, .after, .id], .id(1)) }),
                ("a link, BEFORE|AFTER", { try $0.link(2, [.before, .after]) }),
            ]),
        CgroupRow(
            "M-185", "a program that is attached is not attached again", [.c(1), .c(2)], refused: .EINVAL,
            calls: [
                ("C1 without position", { try $0.attach(1) }),
                ("C1 AFTER", { try $0.attach(1, .after) }),
                ("C2 BEFORE", { try $0.attach(2, .before) }),
                ("C1 BEFORE itself", { try $0.attach(1, .before, .fd(1)) }),
                ("C1 with PREORDER", { try $0.attach(1, .preorder) }),
            ]),
        CgroupRow(
            "M-185.plain", "a program that is attached is not attached again, on any kernel", three, refused: .EINVAL,
            .always,
            calls: [("C1", { try $0.attach(1) }), ("C2", { try $0.attach(2) }), ("C3", { try $0.attach(3) })]),
        CgroupRow("M-200", "a revision that is not the list's is stale, whatever else is wrong", [.c(1)]) { list in
            for revision: UInt64 in [1, 3, 1 << 32 + 2] {
                try list.expect(
                    try list.attach(2, revision: revision), refused: .ESTALE, "expected revision \(revision)",
                    leaving: [.c(1)])
                try list.expect(
                    try list.link(2, revision: revision), refused: .ESTALE, "a link, expected revision \(revision)",
                    leaving: [.c(1)])
            }
            let wrong: [(String, AttachFlags, Errno)] = [
                ("flags of another kind of list", .allowOverride, .ESTALE), ("no flags", [], .ESTALE),
                ("MULTI|OVERRIDE", [.allowMulti, .allowOverride], .EINVAL),
                ("a bad anchor", [.allowMulti, .before, .id], .ESTALE),
            ]
            for (what, flags, errno) in wrong {
                try list.expect(
                    list.target.attach(list.programs.fd(2), flags, revision: 1), refused: errno,
                    "expected revision 1 and \(what)", leaving: [.c(1)])
            }
            try list.expect(
                try list.attach(1, revision: 1), refused: .ESTALE, "a program that is attached, revision 1",
                leaving: [.c(1)])
            list.test.expect(try list.attach(2, revision: 2), nil, "expected revision 2")
            try list.expect(list: [.c(1), .c(2)], revision: 3)
            list.test.expect(try list.link(3, revision: 3), nil, "a link, expected revision 3")
            try list.expect(list: [.c(1), .c(2), .l(3)], revision: 4)
        },
        CgroupRow("M-201", "detach checks the revision", [.c(1)]) { list in
            for revision: UInt64 in [1, 3, 1 << 32 + 2] {
                try list.expect(
                    list.detach(1, revision: revision), refused: .ESTALE, "detach C1, revision \(revision)",
                    leaving: [.c(1)])
            }
            list.test.expect(list.detach(1, revision: 2), nil, "detach C1, revision 2")
            // Other than tcx's the list stays, and goes on counting.
            try list.expect(list: [], revision: 3)
            list.test.expect(try list.attach(1, revision: 1), .ESTALE, "attach C1 again, revision 1")
            list.test.expect(try list.attach(1, revision: 3), nil, "attach C1 again, revision 3")
            try list.expect(list: [.c(1)], revision: 4)
        },
        CgroupRow("M-202", "detach takes neither flags nor an anchor", [.c(1), .c(2)]) { list in
            let fd = UInt32(bitPattern: list.programs.fd(2))
            let calls: [(String, AttachFlags, UInt32)] = [
                ("BEFORE", .before, 0), ("BEFORE C2", .before, fd), ("ID", .id, 0), ("LINK", .link, 0),
                ("MULTI", .allowMulti, 0), ("an anchor alone", [], fd), ("PREORDER", .preorder, 0),
            ]
            for (call, flags, relative) in calls {
                try list.expect(
                    list.target.detach(list.programs.fd(1), flags, relative: relative), refused: .EINVAL,
                    "detach C1, \(call)", leaving: [.c(1), .c(2)])
            }
        },
    ]

    static let anchors: [CgroupRow] = [
        CgroupRow("M-195", "a link goes right behind the link that is named by descriptor", [.l(1), .l(2)]) { list in
            list.test.expect(try list.link(3, [.after, .link], .linkFD(1)), nil, "AFTER|LINK L1")
            try list.expect(list: [.l(1), .l(3), .l(2)], revision: 4)
        },
        CgroupRow("M-195.id", "a link goes right behind the link that is named by id", [.l(1), .l(2)]) { list in
            list.test.expect(try list.link(3, [.after, .link, .id], .linkID(1)), nil, "AFTER|LINK|ID L1")
            try list.expect(list: [.l(1), .l(3), .l(2)], revision: 4)
        },
        CgroupRow("M-195.before", "a link goes right in front of the link that is named", [.l(1), .l(2)]) { list in
            list.test.expect(try list.link(3, [.before, .link], .linkFD(2)), nil, "BEFORE|LINK L2")
            try list.expect(list: [.l(1), .l(3), .l(2)], revision: 4)
            list.test.expect(try list.link(4, [.before, .link, .id], .linkID(1)), nil, "BEFORE|LINK|ID L1")
            try list.expect(list: [.l(4), .l(1), .l(3), .l(2)], revision: 5)
        },
        CgroupRow("M-195.alone", "links without anchor take both ends, programs in between or not", [.l(1), .c(2)]) {
            list in
            list.test.expect(try list.link(3, .before), nil, "BEFORE")
            try list.expect(list: [.l(3), .l(1), .c(2)], revision: 4)
            list.test.expect(try list.link(4, .after), nil, "AFTER")
            try list.expect(list: [.l(3), .l(1), .c(2), .l(4)], revision: 5)
        },
        CgroupRow("M-226", "a program may be attached by itself and by links at once", [.l(1)], .ordering) { list in
            list.test.expect(try list.attach(1), nil, "C1 beside its link")
            try list.expect(list: [.l(1), .c(1)], revision: 3)
            try list.expect(try list.attach(1), refused: .EINVAL, "C1 a second time", leaving: [.l(1), .c(1)])
            let other = try list.target.createLink(list.programs.fd(1)).get()
            try list.expect(list: [.l(1), .c(1), .l(1)], revision: 4)
            // Each goes for itself.
            list.test.expect(list.detach(1), nil, "detach C1")
            try list.expect(list: [.l(1), .l(1)], revision: 5)
            other.close()
            try list.expect(list: [.l(1)], revision: 6)
        },
    ]

    static let refusedAnchors: [CgroupRow] = [
        CgroupRow(
            "M-190", "an anchor needs a position", [.c(1)], refused: .EINVAL,
            calls: [
                ("ID C1", { try $0.attach(2, .id, .id(1)) }),
                ("descriptor of C1", { try $0.attach(2, [], .fd(1)) }),
                ("a link, descriptor of C1", { try $0.link(2, [], .fd(1)) }),
                ("a link, LINK", { try $0.link(2, .link) }),
            ]),
        CgroupRow("M-191", "an anchor that does not exist is not found", [.c(1)]) { list in
            let calls: [(String, AttachFlags, CgroupAnchor, Errno)] = [
                ("BEFORE|ID, id 0", [.before, .id], .raw(0), .ENOENT),
                ("AFTER|ID, id 0", [.after, .id], .raw(0), .ENOENT),
                ("BEFORE|ID, an unused id", [.before, .id], .raw(0xffff_ffff), .ENOENT),
                ("AFTER|ID, an unused id", [.after, .id], .raw(0x7fff_ffff), .ENOENT),
                ("BEFORE C3, which is not attached", .before, .fd(3), .ENOENT),
                ("AFTER|ID C3, which is not attached", [.after, .id], .id(3), .ENOENT),
                ("BEFORE itself", .before, .fd(2), .ENOENT),
                ("BEFORE a descriptor that is not open", .before, .raw(9999), .EBADF),
                ("BEFORE a map", .before, .raw(UInt32(bitPattern: list.programs.someMap)), .EINVAL),
                ("AFTER a program of another type", .after, .raw(UInt32(bitPattern: list.programs.otherType)), .ENOENT),
            ]
            for (call, flags, anchor, errno) in calls {
                try list.expect(try list.attach(2, flags, anchor), refused: errno, call, leaving: [.c(1)])
            }
        },
        CgroupRow("M-191.parent", "a program of the parent is no anchor in the child", [.c(1)]) { list in
            let child = try list.child()
            try child.set(up: [.c(2)])
            for (call, flags, anchor) in [
                ("BEFORE C1", AttachFlags.before, CgroupAnchor.fd(1)), ("AFTER|ID C1", [.after, .id], .id(1)),
            ] {
                list.test.expect(try child.attach(3, flags, anchor), .ENOENT, call)
                try child.expect(list: [.c(2)], revision: 2, running: [2, 1])
            }
            try list.expect(list: [.c(1)], revision: 2)
        },
        CgroupRow(
            "M-192", "a program that a link holds is no anchor for a program", [.l(1)], refused: .ENOENT,
            calls: [
                ("C2 BEFORE C1", { try $0.attach(2, .before, .fd(1)) }),
                ("C2 AFTER C1", { try $0.attach(2, .after, .fd(1)) }),
                ("C2 AFTER|ID C1", { try $0.attach(2, [.after, .id], .id(1)) }),
            ]),
        CgroupRow(
            "M-193", "a link is no anchor for a program", [.l(1)], refused: .EINVAL,
            calls: [
                ("C2 BEFORE|LINK L1", { try $0.attach(2, [.before, .link], .linkFD(1)) }),
                ("C2 AFTER|LINK L1", { try $0.attach(2, [.after, .link], .linkFD(1)) }),
                ("C2 AFTER|LINK|ID L1", { try $0.attach(2, [.after, .link, .id], .linkID(1)) }),
            ]),
        CgroupRow("M-194", "a program is no anchor for a link, and no link is left behind", [.c(1)]) { list in
            let before = try BPFInfo.allLinkIDs().get()
            let calls: [(String, AttachFlags, CgroupAnchor)] = [
                ("BEFORE C1", .before, .fd(1)), ("AFTER C1", .after, .fd(1)), ("AFTER|ID C1", [.after, .id], .id(1)),
            ]
            for (call, flags, anchor) in calls {
                try list.expect(
                    try list.link(2, flags, anchor), refused: .EINVAL, "link of C2 \(call)", leaving: [.c(1)])
            }
            list.test.expect(try BPFInfo.allLinkIDs().get(), equals: before, "ids of all links in the system")
        },
        CgroupRow("M-195.refused", "a link that is not in the list is no anchor for a link", [.l(1)]) { list in
            let other = try list.child("other")
            try other.set(up: [.l(5)])
            let before = try BPFInfo.allLinkIDs().get()
            let foreign = UInt32(bitPattern: try other.link(of: 5).raw)
            let calls: [(String, AttachFlags, CgroupAnchor, Errno)] = [
                ("LINK, descriptor 0", [.before, .link], .raw(0), .EINVAL),
                ("LINK, a program", [.before, .link], .fd(1), .EINVAL),
                ("LINK, not open", [.after, .link], .raw(9999), .EBADF),
                ("LINK|ID, id 0", [.after, .link, .id], .raw(0), .ENOENT),
                ("LINK|ID, unused", [.before, .link, .id], .raw(0xffff_ffff), .ENOENT),
                ("LINK, another cgroup's", [.before, .link], .raw(foreign), .ENOENT),
                ("BEFORE and AFTER", [.before, .after, .link], .linkFD(1), .EINVAL),
                ("no position", .link, .linkFD(1), .EINVAL),
            ]
            for (call, flags, anchor, errno) in calls {
                try list.expect(try list.link(2, flags, anchor), refused: errno, call, leaving: [.l(1)])
            }
            list.test.expect(try BPFInfo.allLinkIDs().get(), equals: before, "ids of all links in the system")
        },
    ]

    static let preorder: [CgroupRow] = [
        CgroupRow("M-196", "an anchor is of the same region as what is attached", [.c(1), .preC(2), .l(3), .preL(4)]) {
            list in
            let given: [CgroupSlot] = [.c(1), .preC(2), .l(3), .preL(4)]
            let programs: [(String, AttachFlags, CgroupAnchor)] = [
                ("AFTER C2, which is PREORDER", .after, .fd(2)), ("BEFORE C2", .before, .fd(2)),
                ("BEFORE|ID C2", [.before, .id], .id(2)),
                ("PREORDER AFTER C1, which is not", [.preorder, .after], .fd(1)),
                ("PREORDER BEFORE|ID C1", [.preorder, .before, .id], .id(1)),
            ]
            for (call, flags, anchor) in programs {
                try list.expect(try list.attach(5, flags, anchor), refused: .EINVAL, call, leaving: given)
            }
            let links: [(String, AttachFlags, CgroupAnchor)] = [
                ("a link AFTER L4, which is PREORDER", [.link, .after], .linkFD(4)),
                ("a link PREORDER BEFORE L3, which is not", [.link, .preorder, .before], .linkFD(3)),
            ]
            for (call, flags, anchor) in links {
                try list.expect(try list.link(5, flags, anchor), refused: .EINVAL, call, leaving: given)
            }
        },
        CgroupRow(
            "M-197", "PREORDER programs are ordered among themselves: behind", [.c(1), .preC(2), .preC(4)],
            leaves: [.c(1), .preC(2), .preC(3), .preC(4)]
        ) { try $0.attach(3, [.after, .preorder], .fd(2)) },
        CgroupRow(
            "M-197.before", "PREORDER programs are ordered among themselves: in front", [.c(1), .preC(2), .preC(4)],
            leaves: [.c(1), .preC(3), .preC(2), .preC(4)]
        ) { try $0.attach(3, [.before, .preorder], .fd(2)) },
        CgroupRow(
            "M-197.link", "PREORDER links are ordered among themselves", [.l(1), .preL(2), .preL(4)],
            leaves: [.l(1), .preL(2), .preL(3), .preL(4)]
        ) { try $0.link(3, [.before, .link, .preorder], .linkFD(4)) },
        CgroupRow(
            "M-197.ends", "PREORDER without anchor takes the ends of the whole list", [.c(1), .preC(2)]
        ) { list in
            list.test.expect(try list.attach(3, [.before, .preorder]), nil, "BEFORE|PREORDER")
            try list.expect(list: [.preC(3), .c(1), .preC(2)], revision: 4)
            list.test.expect(try list.attach(4, .preorder), nil, "PREORDER")
            try list.expect(list: [.preC(3), .c(1), .preC(2), .preC(4)], revision: 5)
            list.test.expect(try list.attach(5, .before), nil, "BEFORE")
            try list.expect(list: [.c(5), .preC(3), .c(1), .preC(2), .preC(4)], revision: 6)
        },
        CgroupRow(
            "M-197.plain", "PREORDER programs run before the others, in the order of their attachment",
            [.c(1), .preC(2), .c(3), .preL(4), .l(5), .preC(6)], .preorderLinks
        ) { list in
            try list.expect(list: [.c(1), .preC(2), .c(3), .preL(4), .l(5), .preC(6)], running: [2, 4, 6, 1, 3, 5])
            list.test.expect(list.detach(2), nil, "detach C2")
            try list.expect(list: [.c(1), .c(3), .preL(4), .l(5), .preC(6)], running: [4, 6, 1, 3, 5])
            try list.closeLink(of: 4)
            try list.expect(list: [.c(1), .c(3), .l(5), .preC(6)], running: [6, 1, 3, 5])
        },
        CgroupRow("M-224", "REPLACE|PREORDER moves a program to the region that runs first", [.c(1), .c(2)]) { list in
            list.test.expect(
                try list.attach(3, [.replace, .preorder], replace: 2), nil, "C2 by C3 with PREORDER")
            try list.expect(list: [.c(1), .preC(3)], revision: 4)
            list.test.expect(try list.attach(4, .replace, replace: 3), nil, "C3 by C4 without PREORDER")
            try list.expect(list: [.c(1), .c(4)], revision: 5)
            list.test.expect(try list.attach(4, [.replace, .preorder], replace: 4), nil, "C4 by itself with PREORDER")
            try list.expect(list: [.c(1), .preC(4)], revision: 6)
        },
    ]

    static let three: [CgroupSlot] = [.c(1), .c(2), .c(3)]
}
