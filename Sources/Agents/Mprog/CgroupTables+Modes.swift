// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension CgroupTables {
    static let replace: [CgroupRow] = [
        CgroupRow("M-186", "REPLACE takes no position", three) { list in
            let calls: [(String, AttachFlags, CgroupAnchor)] = [
                ("AFTER", .after, .none), ("BEFORE", .before, .none), ("BEFORE|AFTER", [.before, .after], .none),
                ("AFTER C1", .after, .fd(1)), ("BEFORE|ID C3", [.before, .id], .id(3)),
            ]
            for (call, flags, anchor) in calls {
                for number in [2, 4] {
                    try list.expect(
                        try list.attach(number, flags.union(.replace), anchor, replace: 2), refused: .EINVAL,
                        "REPLACE|\(call), C2 by C\(number)", leaving: three)
                }
            }
        },
        CgroupRow("M-187", "a program can replace itself, which counts as a change", [.c(1)], leaves: [.c(1)]) {
            try $0.attach(1, .replace, replace: 1)
        },
        CgroupRow("M-187.middle", "a program that replaces itself stays in its place", three, leaves: three, .always) {
            try $0.attach(2, .replace, replace: 2)
        },
        CgroupRow(
            "M-187.other", "REPLACE puts a program in another's place", three, leaves: [.c(1), .c(4), .c(3)], .always
        ) { try $0.attach(4, .replace, replace: 2) },
        CgroupRow(
            "M-187.double", "REPLACE by a program that is in the list is refused", three, refused: .EINVAL, .always,
            calls: [
                ("C1 by C2", { try $0.attach(2, .replace, replace: 1) }),
                ("C3 by C1", { try $0.attach(1, .replace, replace: 3) }),
            ]),
        CgroupRow(
            "M-188", "what is not attached to the cgroup as a program cannot be replaced", [.l(1), .c(2)], .always
        ) {
            list in
            let child = try list.child()
            try child.set(up: [.c(3)])
            for (what, number) in [
                ("a program of a link", 1), ("a program of nowhere", 4), ("a program of a child", 3),
            ] {
                try list.expect(
                    try list.attach(5, .replace, replace: number), refused: .ENOENT, "REPLACE of \(what)",
                    leaving: [.l(1), .c(2)])
            }
            list.test.expect(try child.attach(5, .replace, replace: 2), .ENOENT, "REPLACE of a program of the parent")
            try child.expect(list: [.c(3)], revision: 2, running: [3, 1, 2])
            let no = list.programs
            for (what, fd, errno) in [
                ("a descriptor that is not open", CInt(9999), Errno.EBADF), ("a map", no.someMap, .EINVAL),
                ("a program of another type", no.otherType, .EINVAL), ("descriptor 0", 0, .EINVAL),
            ] {
                try list.expect(
                    list.target.attach(no.fd(5), [.allowMulti, .replace], replace: fd), refused: errno,
                    "REPLACE of \(what)", leaving: [.l(1), .c(2)])
            }
        },
        CgroupRow(
            "M-188.empty", "in an empty list nothing can be replaced", [], refused: .ENOENT, .always,
            calls: [
                ("REPLACE of C1 by C2", { try $0.attach(2, .replace, replace: 1) })
            ]),
        CgroupRow(
            "M-189", "REPLACE goes with ALLOW_MULTI alone, and ALLOW_MULTI not with ALLOW_OVERRIDE", [.c(1)], .always
        ) {
            list in
            for flags: AttachFlags in [
                .replace, [.replace, .allowOverride], [.allowMulti, .allowOverride],
                [.replace, .allowMulti, .allowOverride],
            ] {
                for number in [1, 2] {
                    try list.expect(
                        list.target.attach(list.programs.fd(number), flags, replace: list.programs.fd(1)),
                        refused: .EINVAL, "\(flags), C1 by C\(number)", leaving: [.c(1)])
                }
            }
        },
        CgroupRow("M-189.single", "REPLACE is refused as well where the list holds a single program", [], .always) {
            list in
            list.test.expect(try list.attachPlain(1), nil, "C1 without flags")
            for flags: AttachFlags in [.replace, [.replace, .allowOverride]] {
                try list.expect(
                    list.target.attach(list.programs.fd(2), flags, replace: list.programs.fd(1)), refused: .EINVAL,
                    "\(flags)", leaving: [.c(1)], flags: [])
            }
        },
    ]

    /// Lists without flags, with ALLOW_OVERRIDE and with ALLOW_MULTI.
    static let modes: [CgroupRow] = [
        CgroupRow("M-205", "without ALLOW_MULTI a second program takes the first one's place", [], .always) { list in
            list.test.expect(try list.attachPlain(1), nil, "C1 without flags")
            try list.expect(list: [.c(1)], revision: 2, flags: [])
            list.test.expect(try list.attachPlain(2), nil, "C2 without flags")
            try list.expect(list: [.c(2)], revision: 3, flags: [])
            list.test.expect(try list.attachPlain(2), nil, "C2 once more")
            try list.expect(list: [.c(2)], revision: 4, flags: [])
        },
        CgroupRow("M-205.override", "with ALLOW_OVERRIDE a second program takes the first one's place", [], .always) {
            list in
            list.test.expect(try list.attachPlain(1, .allowOverride), nil, "C1 with OVERRIDE")
            try list.expect(list: [.c(1)], revision: 2, flags: .allowOverride)
            list.test.expect(try list.attachPlain(2, .allowOverride), nil, "C2 with OVERRIDE")
            try list.expect(list: [.c(2)], revision: 3, flags: .allowOverride)
        },
        CgroupRow("M-206", "a program that takes another's place needs no anchor that exists", []) { list in
            list.test.expect(try list.attachPlain(1), nil, "C1 without flags")
            list.test.expect(try list.attachPlain(2, .before, .raw(9999)), nil, "C2 BEFORE descriptor 9999")
            try list.expect(list: [.c(2)], revision: 3, flags: [])
            list.test.expect(try list.attachPlain(3, [.after, .id], .raw(0)), nil, "C3 AFTER|ID 0")
            try list.expect(list: [.c(3)], revision: 4, flags: [])
        },
        CgroupRow("M-206.empty", "the first program of a list needs its anchor", []) { list in
            try list.expect(
                try list.attachPlain(1, .before, .raw(9999)), refused: .EBADF, "C1 BEFORE descriptor 9999", leaving: [])
            try list.expect(
                try list.attachPlain(1, [.after, .id], .raw(0)), refused: .ENOENT, "C1 AFTER|ID 0", leaving: [])
        },
        CgroupRow("M-209", "all programs of a list are attached with the same flags", [], .always) { list in
            let kinds: [AttachFlags] = [[], .allowOverride, .allowMulti]
            var revision: UInt64 = 1
            for kind in kinds {
                list.test.expect(try list.attachPlain(1, kind), nil, "C1 with \(kind)")
                revision += 1
                for other in kinds where other != kind {
                    try list.expect(
                        try list.attachPlain(2, other), refused: .EPERM, "C2 with \(other) beside \(kind)",
                        leaving: [.c(1)], revision: revision, flags: kind)
                }
                if kind != .allowMulti {
                    try list.expect(
                        try list.link(2), refused: .EPERM, "a link beside \(kind)", leaving: [.c(1)],
                        revision: revision, flags: kind)
                }
                list.test.expect(list.detach(1), nil, "detach C1")
                revision += 1
                // The last one takes the flags with it.
                try list.expect(list: [], revision: revision)
            }
        },
        CgroupRow("M-209.remains", "the flags stay until the last program has gone", [.c(1), .l(2)], .always) { list in
            list.test.expect(list.detach(1), nil, "detach C1")
            try list.expect(
                try list.attachPlain(3), refused: .EPERM, "C3 without flags beside L2", leaving: [.l(2)], revision: 4)
            list.test.expect(try list.link(of: 2).detach(), nil, "detach L2")
            try list.expect(list: [], revision: 5)
            list.test.expect(try list.attachPlain(3), nil, "C3 without flags")
            try list.expect(list: [.c(3)], revision: 6, flags: [])
        },
        CgroupRow(
            "M-210", "what a link holds is not detached by program", [.l(1), .c(2)], refused: .ENOENT, .always,
            calls: [
                ("detach C1", { $0.detach(1) }), ("detach C3, which is not attached", { $0.detach(3) }),
            ]),
        CgroupRow("M-210.both", "detach by program takes the program, not the link of it", [.l(1), .c(1)], .always) {
            list in
            list.test.expect(list.detach(1), nil, "detach C1")
            try list.expect(list: [.l(1)], revision: 4)
            try list.expect(list.detach(1), refused: .ENOENT, "detach C1 again", leaving: [.l(1)], revision: 4)
        },
        CgroupRow("M-211", "of several programs one must be said to be detached", three, .always) { list in
            let no = list.programs
            for (what, fd) in [
                ("descriptor 0", CInt(0)), ("-1", -1), ("a map", no.someMap),
                ("a program of another type", no.otherType),
            ] {
                try list.expect(list.target.detach(fd), refused: .EINVAL, "detach of \(what)", leaving: three)
            }
            try list.expect(list.detach(4), refused: .ENOENT, "detach of C4, which is not attached", leaving: three)
            list.test.expect(list.detach(2), nil, "detach C2")
            try list.expect(list: [.c(1), .c(3)], revision: 5)
            list.test.expect(list.detach(1), nil, "detach C1")
            try list.expect(list: [.c(3)], revision: 6)
            list.test.expect(list.detach(3), nil, "detach C3")
            try list.expect(list: [], revision: 7)
            list.test.expect(list.detach(3), .ENOENT, "detach C3 again")
            try list.expect(list: [], revision: 7)
        },
        CgroupRow("M-212", "the only program of a list without ALLOW_MULTI is detached whatever is said", [], .always) {
            list in
            var revision: UInt64 = 1
            for kind: AttachFlags in [[], .allowOverride] {
                for (what, fd) in [
                    ("-1", CInt(-1)), ("descriptor 0", 0), ("another program", list.programs.fd(2)),
                    ("the program", list.programs.fd(1)),
                ] {
                    list.test.expect(try list.attachPlain(1, kind), nil, "C1 with \(kind)")
                    list.test.expect(list.target.detach(fd), nil, "detach of \(what)")
                    revision += 2
                    try list.expect(list: [], revision: revision)
                    list.test.expect(list.target.detach(fd), .ENOENT, "detach of \(what) again")
                    try list.expect(list: [], revision: revision)
                }
            }
        },
    ]

    static let limits: [CgroupRow] = [
        CgroupRow("M-203", "a cgroup takes 64 programs", full(63), leaves: full(64), .always) { try $0.attach(64) },
        CgroupRow(
            "M-203.refused", "a cgroup takes no 65th program", full(64), refused: .E2BIG, .always,
            calls: [
                ("C65", { try $0.attach(65) }), ("a link of C65", { try $0.link(65) }),
                ("C1, which is in the list", { try $0.attach(1) }),
            ]),
        CgroupRow(
            "M-203.position", "a cgroup takes no 65th program at any place", full(64), refused: .E2BIG,
            calls: [
                ("C65 BEFORE", { try $0.attach(65, .before) }), ("C65 AFTER C5", { try $0.attach(65, .after, .fd(5)) }),
                ("C65 PREORDER", { try $0.attach(65, .preorder) }),
            ]),
        CgroupRow("M-203.links", "links count among the 64", full(62) + [.l(63), .l(64)], .always) { list in
            try list.expect(
                try list.attach(65), refused: .E2BIG, "C65", leaving: full(62) + [.l(63), .l(64)])
            try list.closeLink(of: 63)
            list.test.expect(try list.attach(65), nil, "C65 after L63 has gone")
            try list.expect(list: full(62) + [.l(64), .c(65)], revision: 67)
        },
        CgroupRow("M-203.levels", "each cgroup has room for 64 of its own, and all of them run", full(4), .always) {
            list in
            let child = try list.child()
            try child.set(up: (5...66).map { .c($0) } + [.c(1), .c(2)])
            try child.expect(
                list: (5...66).map { .c($0) } + [.c(1), .c(2)], revision: 65,
                running: Array(5...66) + [1, 2] + [1, 2, 3, 4])
            list.test.expect(try child.attach(3), .E2BIG, "a 65th program in the child")
        },
        CgroupRow(
            "M-204", "a program of a full list cannot be replaced", full(64), refused: .E2BIG, .always,
            calls: [
                ("C5 by C65", { try $0.attach(65, .replace, replace: 5) }),
                ("C5 by itself", { try $0.attach(5, .replace, replace: 5) }),
            ]),
        CgroupRow("M-204.room", "a program of a list with one place free can be replaced", full(63), .always) { list in
            list.test.expect(try list.attach(65, .replace, replace: 5), nil, "C5 by C65")
            var expected = full(63)
            expected[4] = .c(65)
            try list.expect(list: expected, revision: 65)
        },
    ]

    private static func full(_ count: Int) -> [CgroupSlot] {
        (1...count).map { .c($0) }
    }
}
