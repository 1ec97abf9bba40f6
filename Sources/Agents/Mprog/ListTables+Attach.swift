// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    static let attach: [Row] = [
        Row("M-001", "a query of an empty list gives count 0 and revision 1") { try $0.expect(list: [], revision: 1) },
        Row("M-002", "attach without flags starts the list", [], leaves: [.p(1)]) { try $0.attach(1) },
        Row("M-003", "attach without flags appends", [.p(1)], leaves: [.p(1), .p(2)]) { try $0.attach(2) },
        Row("M-003.walk", "programs that come, go and change stand where they were put") { try walk($0) },
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
        Row(
            "M-008.mixed", "what is put between programs and links leaves each link in its place",
            [.p(1), .l(2), .p(3)],
            leaves: [.p(1), .p(4), .l(2), .p(3)]
        ) { try $0.attach(4, .before, .fd(2)) },
        Row(
            "M-008.none", "BEFORE without anchor moves the links", [.p(1), .l(2), .p(3)],
            leaves: [.p(4), .p(1), .l(2), .p(3)]
        ) { try $0.attach(4, .before) },
        Row("M-010", "AFTER a descriptor goes right behind it", [.p(1), .p(2)], leaves: [.p(1), .p(3), .p(2)]) {
            try $0.attach(3, .after, .fd(1))
        },
        Row("M-011", "AFTER an id goes right behind it", [.p(1), .p(2)], leaves: [.p(1), .p(2), .p(3)]) {
            try $0.attach(3, [.after, .id], .id(2))
        },
        Row(
            "M-010.mixed", "what is put behind a link moves the links that follow", [.l(1), .p(2), .l(3)],
            leaves: [.l(1), .p(4), .p(2), .l(3)]
        ) { try $0.attach(4, .after, .fd(1)) },
        Row("M-012", "the two lists of a device are lists of their own", [.p(1)]) { list in
            let other = list.oppositeList()
            list.test.expect(other.attach(list.programs.fd(1)), nil, "P1 attaches to the other list too")
            let contents = try other.query().get()
            list.test.expect(contents.programs, equals: [list.programs.id(1)], "the other list holds P1")
            list.test.expect(contents.revision, equals: 2, "revision of the other list")
            try list.expect(query: [.p(1)], revision: 2)
            // What is sent over lo leaves through it and comes in again; over netkit it passes one list.
            try list.expect(ran: list.flavour.isNetkit ? [1] : [1, 1])
            list.test.expect(other.detach(list.programs.fd(1)), nil, "P1 is detached from the other list")
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-012.link", "links to the two lists of a device are apart", [.l(1)]) { list in
            let other = list.oppositeList()
            let link = try other.createLink(list.programs.fd(1)).get()
            list.test.expect(
                try link.deviceInfo().get().attachType, equals: other.type.rawValue, "attach type of the other link")
            let contents = try other.query().get()
            list.test.expect(contents.programs, equals: [list.programs.id(1)], "the other list holds P1")
            list.test.expect(
                contents.links, equals: [try BPFInfo.linkID(link.raw).get()], "the other list's link")
            try list.expect(query: [.l(1)], revision: 2)
            try list.expect(ran: list.flavour.isNetkit ? [1] : [1, 1])
            link.close()
            list.test.expect(try other.query().get().count, equals: 0, "the other list, its link closed")
            try list.expect(list: [.l(1)], revision: 2)
        },
        Row("M-013", "two devices have lists of their own", [.p(1)]) { list in
            let other = try list.otherDevice()
            list.test.expect(try other.query().get().count, equals: 0, "the other device's list is empty")
            list.test.expect(other.attach(list.programs.fd(1)), nil, "P1 attaches to the other device too")
            list.test.expect(try other.query().get().programs, equals: [list.programs.id(1)], "its list holds P1")
            try list.expect(list: [.p(1)], revision: 2)
            list.test.expect(other.detach(list.programs.fd(1)), nil, "P1 is detached from the other device")
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-014", "BEFORE|AFTER on an empty list is refused and makes no list", [], refused: .ERANGE) {
            try $0.attach(1, [.before, .after])
        },
        Row("M-014.link", "a link BEFORE|AFTER on an empty list is refused and makes no list", [], refused: .ERANGE) {
            try $0.link(1, [.before, .after])
        },
        Row("M-015", "BEFORE|AFTER without anchor is refused", [.p(1)], refused: .ERANGE) {
            try $0.attach(2, [.before, .after])
        },
        Row("M-016", "BEFORE|AFTER with an anchor is refused", [.p(1)], refused: .ERANGE) {
            try $0.attach(2, [.before, .after], .fd(1))
        },
        Row("M-016.link", "a link BEFORE|AFTER an anchor is refused", [.p(1), .l(2)], refused: .ERANGE) {
            try $0.link(3, [.before, .after], .fd(1))
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
        Row("M-020.link", "a link as anchor without a position is refused", [.l(1)]) { list in
            try list.expect(try list.attach(2, .link, .linkFD(1)), refused: .EINVAL, "LINK fd", leaving: [.l(1)])
            try list.expect(
                try list.attach(2, [.link, .id], .linkID(1)), refused: .EINVAL, "LINK id", leaving: [.l(1)])
            try list.expect(try list.link(2, .link, .linkFD(1)), refused: .EINVAL, "link, LINK fd", leaving: [.l(1)])
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
        Row("M-023.after", "a program cannot go behind itself", [], refused: .ENOENT) {
            try $0.attach(1, .after, .fd(1))
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
        Row("M-024.each", "no program of a list is put into it again", mixed) { list in
            for number in 1...3 {
                try list.expect(
                    try list.attach(number), refused: .EEXIST, "attach P\(number) again", leaving: mixed)
                list.test.expect(
                    list.target.createLink(list.programs.fd(number)).errno, .EEXIST, "link of P\(number)")
            }
            try list.expect(list: mixed, revision: 4)
        },
    ]

    /// Programs and a link between them.
    static let mixed: [Slot] = [.p(1), .l(2), .p(3)]

    static let anchors: [Row] = [
        Row("M-025", "an anchor that is not attached is not found", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, .before, .fd(3))
        },
        Row("M-025.after", "AFTER an anchor that is not attached is refused", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, .after, .fd(3))
        },
        Row("M-026", "an anchor descriptor that is not open is refused", [.p(1)], refused: .EBADF) {
            try $0.attach(2, .before, .raw(9999))
        },
        Row("M-026.link", "a link's descriptor that is not open is refused", [.p(1)], refused: .EBADF) {
            try $0.attach(2, [.before, .link], .raw(9999))
        },
        Row("M-027", "a map is no anchor", [.p(1)], refused: .EINVAL) { try $0.attach(2, .before, .mapFD) },
        Row("M-028", "a program of another type is no anchor", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, .before, .otherTypeFD)
        },
        Row("M-028.id", "the id of a program of another type is no anchor", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, [.after, .id], .otherTypeID)
        },
        Row("M-028.link", "the link of a program of another type is no anchor", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, [.before, .link], .otherTypeLinkFD)
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
        Row("M-033.after", "a program does not go AFTER a link of another device", [.p(1)], refused: .ENOENT) {
            try $0.attach(2, [.after, .link], .foreignLinkFD(1))
        },
        Row("M-034", "a program goes BEFORE a link", [.l(1)], leaves: [.p(2), .l(1)]) {
            try $0.attach(2, [.before, .link], .linkFD(1))
        },
        Row("M-034.id", "a program goes BEFORE a link's id", mixed, leaves: [.p(1), .p(4), .l(2), .p(3)]) {
            try $0.attach(4, [.before, .link, .id], .linkID(2))
        },
        Row("M-034.after", "a program goes AFTER a link", mixed, leaves: [.p(1), .l(2), .p(4), .p(3)]) {
            try $0.attach(4, [.after, .link], .linkFD(2))
        },
        Row("M-035", "a program goes AFTER a program that a link holds", [.l(1)], leaves: [.l(1), .p(2)]) {
            try $0.attach(2, .after, .fd(1))
        },
    ]

    static let links: [Row] = [
        Row("M-025.link", "a link beside a program that is not attached is refused", [.p(1)], refused: .ENOENT) {
            try $0.link(2, .before, .fd(3))
        },
        Row("M-036", "a link goes BEFORE a program's descriptor", [.p(1)], leaves: [.l(2), .p(1)]) {
            try $0.link(2, .before, .fd(1))
        },
        Row("M-037", "a link goes AFTER a program's id", [.p(1)], leaves: [.p(1), .l(2)]) {
            try $0.link(2, [.after, .id], .id(1))
        },
        Row("M-038", "a link goes BEFORE a link's id", [.l(1)], leaves: [.l(2), .l(1)]) {
            try $0.link(2, [.before, .link, .id], .linkID(1))
        },
        Row("M-038.after", "a link goes AFTER a link's descriptor", mixed, leaves: [.p(1), .l(2), .l(4), .p(3)]) {
            try $0.link(4, [.after, .link], .linkFD(2))
        },
        Row("M-038.front", "links go to the front and to the end", mixed) { list in
            try list.test.require(success: try list.link(4, .before), "L4 BEFORE")
            try list.test.require(success: try list.link(5, .after), "L5 AFTER")
            try list.test.require(success: try list.link(6), "L6")
            try list.expect(list: [.l(4), .p(1), .l(2), .p(3), .l(5), .l(6)], revision: 7)
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
