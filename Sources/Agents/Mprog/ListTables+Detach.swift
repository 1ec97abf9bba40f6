// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension TcxTables {
    static let detach: [Row] = [
        Row("M-070", "nothing can be detached where there is no list") { list in
            list.test.expect(try list.detach(1), .ENOENT, "detach P1")
            list.test.expect(try list.detach(nil), .ENOENT, "detach without a program")
            try list.expect(list: [], revision: 1)
        },
        Row("M-071", "nothing can be detached from the empty list that clsact makes") { list in
            try Netlink.addClsact(list.device)
            try list.expect(try list.detach(nil), refused: .ENOENT, "detach without a program", leaving: [])
        },
        Row("M-072", "no list is noticed before a wrong revision") { list in
            try list.expect(
                try list.detach(1, revision: 7), refused: .ENOENT, "detach P1, revision 7", leaving: [])
        },
        Row("M-073", "a wrong revision of the list that clsact makes is stale") { list in
            try Netlink.addClsact(list.device)
            try list.expect(
                try list.detach(1, revision: 7), refused: .ESTALE, "detach P1, revision 7", leaving: [])
        },
        Row("M-074", "detach takes the program out", [.p(1), .p(2)], leaves: [.p(2)], revision: 4) {
            try $0.detach(1)
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
        Row("M-095", "detach without a program needs CAP_NET_ADMIN", [.p(1)]) { list in
            try list.test.require(success: Capability.netAdmin.drop(), "CAP_NET_ADMIN is given up")
            try list.test.require(success: Capability.sysAdmin.drop(), "CAP_SYS_ADMIN is given up")
            list.test.expect(try list.detach(nil), .EPERM, "detach without a program")
            // A query needs the capability as well; that nothing changed shows on a packet.
            try list.expect(ran: [1])
        },
    ]

    private static let three: [Slot] = [.p(1), .p(2), .p(3)]
}
