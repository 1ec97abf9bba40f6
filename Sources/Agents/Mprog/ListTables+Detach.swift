// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    static let detach: [Row] = [
        Row("M-070", "nothing can be detached where there is no list") { list in
            list.test.expect(try list.detach(1), .ENOENT, "detach P1")
            list.test.expect(try list.detach(nil), .ENOENT, "detach without a program")
            try list.expect(list: [], revision: 1)
        },
        Row("M-071", "nothing can be detached from the empty list that clsact makes", on: Flavour.tcx) { list in
            try list.addClsact()
            try list.expect(try list.detach(nil), refused: .ENOENT, "detach without a program", leaving: [])
            try list.expect(try list.detach(1), refused: .ENOENT, "detach P1", leaving: [])
        },
        Row("M-072", "no list is noticed before a wrong revision") { list in
            try list.expect(
                try list.detach(1, revision: 7), refused: .ENOENT, "detach P1, revision 7", leaving: [])
            try list.expect(
                try list.detach(nil, revision: 7), refused: .ENOENT, "detach, revision 7", leaving: [])
        },
        Row("M-073", "a wrong revision of the list that clsact makes is stale", on: Flavour.tcx) { list in
            try list.addClsact()
            try list.expect(
                try list.detach(1, revision: 7), refused: .ESTALE, "detach P1, revision 7", leaving: [])
        },
        Row("M-073.none", "clsact makes no list of netkit's", on: Flavour.netkit) { list in
            try Netlink.addClsact(list.device)
            try list.expect(
                try list.detach(1, revision: 7), refused: .ENOENT, "detach P1, revision 7", leaving: [])
        },
        Row("M-074", "detach takes the program out", [.p(1), .p(2)], leaves: [.p(2)], revision: 4) {
            try $0.detach(1)
        },
        Row("M-074.mixed", "detach leaves each link in its place", [.l(1), .p(2), .l(3), .p(4), .l(5)]) { list in
            try list.test.require(success: try list.detach(2), "detach P2")
            try list.expect(list: [.l(1), .l(3), .p(4), .l(5)], revision: 7)
            try list.test.require(success: try list.detach(4), "detach P4")
            try list.expect(list: [.l(1), .l(3), .l(5)], revision: 8)
        },
        Row("M-075", "a program that is not attached cannot be detached", [.p(1)], refused: .ENOENT) {
            try $0.detach(2)
        },
        Row("M-076", "detach without a program takes the last", three, leaves: [.p(1), .p(2)]) { try $0.detach(nil) },
        Row("M-077", "detach BEFORE without anchor takes the first", three, leaves: [.p(2), .p(3)]) {
            try $0.detach(nil, .before)
        },
        Row("M-078", "detach AFTER without anchor takes the last", three, leaves: [.p(1), .p(2)]) {
            try $0.detach(nil, .after)
        },
        Row("M-079", "detach BEFORE an anchor takes its predecessor", three, leaves: [.p(1), .p(3)]) {
            try $0.detach(nil, .before, .fd(3))
        },
        Row("M-079.id", "detach BEFORE an id takes its predecessor", three, leaves: [.p(2), .p(3)]) {
            try $0.detach(nil, [.before, .id], .id(2))
        },
        Row("M-079.link", "detach BEFORE a link takes its predecessor", mixed, leaves: [.l(2), .p(3)]) {
            try $0.detach(nil, [.before, .link], .linkFD(2))
        },
        Row("M-080.link", "detach AFTER a link's id takes its successor", mixed, leaves: [.p(1), .l(2)]) {
            try $0.detach(nil, [.after, .link, .id], .linkID(2))
        },
        Row("M-080", "detach AFTER an anchor takes its successor", three, leaves: [.p(1), .p(3)]) {
            try $0.detach(nil, .after, .fd(1))
        },
        Row("M-081", "detach BEFORE the first takes the first itself", [.p(1), .p(2)], leaves: [.p(2)]) {
            try $0.detach(nil, .before, .fd(1))
        },
        Row("M-082", "detach AFTER the last takes the last itself", [.p(1), .p(2)], leaves: [.p(1)]) {
            try $0.detach(nil, .after, .fd(2))
        },
        Row("M-083", "detach of a program at the position that is said", [.p(1), .p(2)], leaves: [.p(2)]) {
            try $0.detach(1, .before, .fd(2))
        },
        Row("M-084", "detach of a program at another position is refused", [.p(2), .p(3), .p(4)], refused: .ERANGE) {
            try $0.detach(2, .before, .fd(4))
        },
        Row("M-085", "detach beside a program that is not attached is refused", [.p(2), .p(3)], refused: .ENOENT) {
            try $0.detach(2, .before, .fd(1))
        },
        Row("M-085.anchor", "detach looks at its anchor as attach does", three) { list in
            let calls: [(String, Int?, AttachFlags, Anchor, Errno)] = [
                ("a descriptor that is not open", 2, .before, .raw(9999), .EBADF),
                ("a map", 2, .before, .mapFD, .EINVAL),
                ("id 0", 2, [.after, .id], .none, .ENOENT),
                ("a program of another type", 2, .after, .otherTypeFD, .EINVAL),
                ("the link of a program of another type", 2, [.after, .link], .otherTypeLinkFD, .EINVAL),
                ("LINK with a program's descriptor", 2, [.before, .link], .fd(3), .EINVAL),
                ("LINK id 0", nil, [.before, .link, .id], .none, .ENOENT),
                ("a link of another device", nil, [.before, .link], .foreignLinkFD(2), .ENOENT),
                // Nothing is known of the type that the program to detach should have.
                ("a program of another type, without a program", nil, .before, .otherTypeFD, .ENOENT),
            ]
            for (call, number, flags, anchor, errno) in calls {
                try list.expect(try list.detach(number, flags, anchor), refused: errno, call, leaving: three)
            }
        },
        Row("M-086", "detach of the first program as BEFORE nothing is refused", [.p(1), .p(2)], refused: .ERANGE) {
            try $0.detach(1, .before)
        },
        Row("M-087", "detach of the last program as AFTER nothing is refused", [.p(1), .p(2)], refused: .ERANGE) {
            try $0.detach(2, .after)
        },
        Row("M-088", "detach of a program AFTER itself is refused", [.p(1), .p(2)], refused: .ERANGE) {
            try $0.detach(1, .after, .fd(1))
        },
        Row("M-089", "detach BEFORE|AFTER is refused", [.p(1)], refused: .ERANGE) {
            try $0.detach(nil, [.before, .after])
        },
        Row("M-090", "detach with REPLACE is refused", [.p(1)], refused: .EINVAL) {
            try $0.detach(1, .replace)
        },
        Row("M-091", "detach by an anchor without a position is refused", [.p(1)], refused: .EINVAL) {
            try $0.detach(nil, .id, .id(1))
        },
        Row("M-092", "an anchor beside the program to detach is looked up and not used", [.p(1)]) { list in
            try list.test.require(success: try list.detach(1, .id, .id(1)), "detach P1 with its own id as anchor")
            // The last program took the list with it: a new one starts at 1.
            try list.expect(list: [], revision: 1)
        },
        Row("M-093", "what a link holds is not detached by program", [.l(1)]) { list in
            let calls: [(String, Int?, AttachFlags)] = [
                ("detach P1", 1, []), ("detach without a program", nil, []), ("detach BEFORE", nil, .before),
            ]
            for (call, number, flags) in calls {
                try list.expect(
                    try list.detach(number, flags), refused: .EBUSY, call, leaving: [.l(1)])
            }
        },
        Row("M-094", "detach checks the revision", [.p(1)]) { list in
            try list.expect(
                try list.detach(1, revision: 1), refused: .ESTALE, "detach P1, revision 1", leaving: [.p(1)])
            list.test.expect(try list.detach(1, revision: 2), nil, "detach P1, revision 2")
            try list.expect(list: [], revision: 1)
        },
        Row("M-093.position", "a position that a link holds is not detached from", [.l(1), .p(2), .l(3)]) { list in
            let calls: [(String, AttachFlags, Anchor)] = [
                ("BEFORE", .before, .none), ("AFTER", .after, .none), ("BEFORE P2", .before, .fd(2)),
                ("AFTER P2", .after, .fd(2)), ("BEFORE L1", [.before, .link], .linkFD(1)),
            ]
            for (call, flags, anchor) in calls {
                try list.expect(
                    try list.detach(nil, flags, anchor), refused: .EBUSY, "detach \(call)",
                    leaving: [.l(1), .p(2), .l(3)])
            }
            list.test.expect(try list.detach(nil, .after, .fd(1)), nil, "detach AFTER L1's program")
            try list.expect(list: [.l(1), .l(3)], revision: 5)
        },
        Row("M-094.anchor", "detach notices a stale revision before a bad anchor", three, refused: .ESTALE) {
            try $0.detach(2, .before, .raw(9999), revision: 3)
        },
        Row("M-095", "detach without a program needs CAP_NET_ADMIN", [.p(1)]) { list in
            let worker = try Worker { _ in
                for capability in [Capability.netAdmin, .sysAdmin] {
                    if let errno = capability.drop() { return "not given up: \(errno.name)" }
                }
                return list.target.detach(0)?.name ?? "0"
            }
            list.test.expect(try worker.finish(), equals: "EPERM", "detach without a program")
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-096", "detach with a flag that means nothing to lists is refused", [.p(1)]) { list in
            for bit: UInt32 in [0, 1, 6, 7, 12, 14, 31] {
                for number in [1, nil] {
                    try list.expect(
                        try list.detach(number, AttachFlags(rawValue: 1 << bit)), refused: .EINVAL,
                        "detach \(number.map { "P\($0)" } ?? "without a program"), flags 1 << \(bit)", leaving: [.p(1)])
                }
            }
        },
        Row("M-097", "detach without a program stops at a link", [.p(1), .l(2), .p(3)]) { list in
            list.test.expect(try list.detach(nil), nil, "the first detach without a program")
            try list.expect(list: [.p(1), .l(2)], revision: 5)
            list.test.expect(try list.detach(nil), .EBUSY, "the second detach without a program")
            try list.expect(list: [.p(1), .l(2)], revision: 5)
        },
        Row("M-098", "a list goes with its last program, and its revision with it", [.p(1)], on: Flavour.tcx) { list in
            list.test.expect(try list.detach(1), nil, "detach P1")
            try list.expect(list: [], revision: 1)
            list.test.expect(try list.attach(1, revision: 1), nil, "attach P1, revision 1")
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-099", "clsact keeps the list, and its revision with it", [.p(1)], on: Flavour.tcx) { list in
            try list.addClsact()
            try list.expect(list: [.p(1)], revision: 2)
            list.test.expect(try list.detach(1), nil, "detach P1")
            try list.expect(list: [], revision: 3)
            list.test.expect(try list.attach(1, revision: 1), .ESTALE, "attach P1, revision 1")
            try list.expect(list: [], revision: 3)
            list.test.expect(try list.attach(2, revision: 3), nil, "attach P2, revision 3")
            try list.expect(list: [.p(2)], revision: 4)
        },
        Row("M-100", "an empty list goes with clsact", [.p(1)], on: Flavour.tcx) { list in
            try list.addClsact()
            list.test.expect(try list.detach(1), nil, "detach P1")
            try list.expect(list: [], revision: 3)
            try list.deleteClsact()
            try list.expect(list: [], revision: 1)
            list.test.expect(try list.attach(1, revision: 1), nil, "attach P1, revision 1")
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-100.filled", "a list outlives clsact while it holds a program", [.p(1)], on: Flavour.tcx) { list in
            try list.addClsact()
            try list.deleteClsact()
            try list.expect(list: [.p(1)], revision: 2)
            list.test.expect(try list.detach(1), nil, "detach P1")
            try list.expect(list: [], revision: 1)
        },
        Row("M-101", "clsact makes an empty list of revision 1", on: Flavour.tcx) { list in
            try list.addClsact()
            try list.expect(list: [], revision: 1)
            try list.expect(
                try list.attach(1, revision: 2), refused: .ESTALE, "attach P1, revision 2", leaving: [])
            list.test.expect(try list.attach(1, revision: 1), nil, "attach P1, revision 1")
            try list.expect(list: [.p(1)], revision: 2)
        },
    ]

    static let three: [Slot] = [.p(1), .p(2), .p(3)]
}
