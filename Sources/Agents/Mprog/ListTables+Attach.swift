// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension TcxTables {
    static let attach: [Row] = [
        Row("M-001", "a query of an empty list gives count 0 and revision 1") { try $0.expect(list: [], revision: 1) },
        Row("M-002", "attach without flags starts the list", [], leaves: [.p(1)]) { try $0.attach(1) },
        Row("M-003", "attach without flags appends", [.p(1)], leaves: [.p(1), .p(2)]) { try $0.attach(2) },
        Row("M-004", "BEFORE without anchor starts an empty list", [], leaves: [.p(1)]) { try $0.attach(1, .before) },
        Row("M-005", "AFTER without anchor starts an empty list", [], leaves: [.p(1)]) { try $0.attach(1, .after) },
        Row("M-006", "BEFORE without anchor goes to the front", [.p(1), .p(2)], leaves: [.p(3), .p(1), .p(2)]) {
            try $0.attach(3, .before)
        },
        Row("M-007", "AFTER without anchor goes to the end", [.p(1), .p(2)], leaves: [.p(1), .p(2), .p(3)]) {
            try $0.attach(3, .after)
        },
        Row("M-008", "BEFORE a descriptor goes right in front of it", [.p(1), .p(2)], leaves: [.p(1), .p(3), .p(2)]) {
            try $0.attach(3, .before, .fd(2))
        },
        Row("M-009", "BEFORE an id goes right in front of it", [.p(1), .p(2)], leaves: [.p(3), .p(1), .p(2)]) {
            try $0.attach(3, [.before, .id], .id(1))
        },
        Row("M-010", "AFTER a descriptor goes right behind it", [.p(1), .p(2)], leaves: [.p(1), .p(3), .p(2)]) {
            try $0.attach(3, .after, .fd(1))
        },
        Row("M-011", "AFTER an id goes right behind it", [.p(1), .p(2)], leaves: [.p(1), .p(2), .p(3)]) {
            try $0.attach(3, [.after, .id], .id(2))
        },
        Row("M-012", "ingress and egress of a device are lists of their own", [.p(1)]) { list in
            let other = MprogTarget(
                ifindex: list.target.ifindex, type: list.target.type == .tcxIngress ? .tcxEgress : .tcxIngress)
            list.test.expect(other.attach(list.programs.fd(1)), nil, "P1 attaches to the other direction too")
            let contents = try other.query().get()
            list.test.expect(contents.programs, equals: [list.programs.id(1)], "the other direction holds P1")
            list.test.expect(contents.revision, equals: 2, "revision of the other direction")
            list.test.expect(
                try list.contents().programs, equals: [list.programs.id(1)], "this direction still holds P1")
            list.test.expect(try list.contents().revision, equals: 2, "revision of this direction")
            try list.expect(ran: [1, 1])
        },
        Row("M-013", "two devices have lists of their own", [.p(1)]) { list in
            try Netlink.addDummy("other0")
            let other = MprogTarget(ifindex: try Netlink.index("other0"), type: list.target.type)
            list.test.expect(try other.query().get().count, equals: 0, "the other device's list is empty")
            list.test.expect(other.attach(list.programs.fd(1)), nil, "P1 attaches to the other device too")
            list.test.expect(try other.query().get().programs, equals: [list.programs.id(1)], "its list holds P1")
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-014", "BEFORE|AFTER on an empty list is refused and makes no list", [], refused: .ERANGE) {
            try $0.attach(1, [.before, .after])
        },
        Row("M-015", "BEFORE|AFTER without anchor is refused", [.p(1)], refused: .ERANGE) {
            try $0.attach(2, [.before, .after])
        },
        Row("M-016", "BEFORE|AFTER with an anchor is refused", [.p(1)], refused: .ERANGE) {
            try $0.attach(2, [.before, .after], .fd(1))
        },
        Row("M-017", "BEFORE|AFTER a program that is not attached is refused", [], refused: .ENOENT) {
            try $0.attach(1, [.before, .after], .fd(2))
        },
        Row("M-018", "BEFORE id 0 finds no program", [], refused: .ENOENT) {
            try $0.attach(1, [.before, .id])
        },
        Row("M-019", "AFTER id 0 finds no program", [], refused: .ENOENT) {
            try $0.attach(1, [.after, .id])
        },
        Row("M-020", "an id without a position is refused", [], refused: .EINVAL) {
            try $0.attach(1, .id, .id(2))
        },
        Row("M-021", "an id that no program has is not found", [], refused: .ENOENT) {
            try $0.attach(1, .id, .raw(0x7fff_fff0))
        },
        Row("M-022", "an anchor without a position is refused", [], refused: .EINVAL) {
            try $0.attach(1, [], .fd(2))
        },
        Row("M-023", "a program cannot go before itself", [], refused: .ENOENT) {
            try $0.attach(1, .before, .fd(1))
        },
        Row("M-024", "a program is in a list only once", [.p(1)]) { list in
            for (call, flags) in [
                ("attach again", AttachFlags()), ("BEFORE itself", .before), ("AFTER itself", .after),
            ] {
                try list.expect(
                    try list.attach(1, flags, flags.isEmpty ? .none : .fd(1)), refused: .EEXIST, call,
                    leaving: [.p(1)])
            }
        },
    ]

    static let anchors: [Row] = [
        Row("M-025", "an anchor that is not attached is not found", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, .before, .fd(3))
        },
        Row("M-026", "an anchor descriptor that is not open is refused", [.p(1)], refused: .EBADF) {
            try $0.attach(2, .before, .raw(9999))
        },
        Row("M-027", "a map is no anchor", [.p(1)], refused: .EINVAL) { try $0.attach(2, .before, .mapFD) },
        Row("M-028", "a program of another type is no anchor", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, .before, .otherTypeFD)
        },
        Row("M-029", "LINK with a program's descriptor is refused", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, [.before, .link], .fd(1))
        },
        Row("M-030", "LINK without a descriptor is refused", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, [.before, .link])
        },
        Row("M-031", "LINK id 0 finds no link", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, [.before, .link, .id])
        },
        Row("M-032", "LINK with an id that no link has is not found", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, [.before, .link, .id], .raw(0xffff_ffff))
        },
        Row("M-033", "a link of another device is not found in this list", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, [.before, .link], .foreignLinkFD(1))
        },
        Row("M-034", "a program goes BEFORE a link", [.l(1)], leaves: [.p(2), .l(1)]) {
            try $0.attach(2, [.before, .link], .linkFD(1))
        },
        Row("M-035", "a program goes AFTER a program that a link holds", [.l(1)], leaves: [.l(1), .p(2)]) {
            try $0.attach(2, .after, .fd(1))
        },
    ]

    static let links: [Row] = [
        Row("M-036", "a link goes BEFORE a program's descriptor", [.p(1)], leaves: [.l(2), .p(1)]) {
            try $0.link(2, .before, .fd(1))
        },
        Row("M-037", "a link goes AFTER a program's id", [.p(1)], leaves: [.p(1), .l(2)]) {
            try $0.link(2, [.after, .id], .id(1))
        },
        Row("M-038", "a link goes BEFORE a link's id", [.l(1)], leaves: [.l(2), .l(1)]) {
            try $0.link(2, [.before, .link, .id], .linkID(1))
        },
        Row("M-039", "a program that a link holds cannot be linked again", [.l(1)], refused: .EEXIST) { list in
            list.target.createLink(list.programs.fd(1)).errno
        },
        Row("M-040", "a program that a link holds cannot be attached", [.l(1)], refused: .EEXIST) {
            try $0.attach(1)
        },
        Row("M-041", "a program that is attached cannot be linked", [.p(1)], refused: .EEXIST) {
            try $0.link(1)
        },
    ]
}
