// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    static let revisions: [Row] = [
        Row("M-042", "the right revision of an empty list is 1", [], leaves: [.p(1)]) {
            try $0.attach(1, revision: 1)
        },
        Row("M-043", "a wrong revision of an empty list is stale", [], refused: .ESTALE) {
            try $0.attach(1, revision: 2)
        },
        Row("M-042.link", "a link takes the right revision of an empty list", [], leaves: [.l(1)]) {
            try $0.link(1, revision: 1)
        },
        Row("M-043.link", "a link with a wrong revision of an empty list makes no list", [], refused: .ESTALE) {
            try $0.link(1, revision: 2)
        },
        Row("M-044.link", "a link with an older or a newer revision is stale", [.p(1)]) { list in
            for revision: UInt64 in [1, 3, 1 << 32 + 2] {
                try list.expect(
                    try list.link(2, revision: revision), refused: .ESTALE, "link, revision \(revision)",
                    leaving: [.p(1)])
            }
            list.test.expect(try list.link(2, revision: 2), nil, "link, revision 2")
            try list.expect(list: [.p(1), .l(2)], revision: 3)
        },
        Row("M-044.replace", "REPLACE looks at the revision", [.p(1), .p(2)]) { list in
            for revision: UInt64 in [1, 2, 4] {
                try list.expect(
                    try list.attach(3, .replace, replace: list.programs.fd(1), revision: revision), refused: .ESTALE,
                    "REPLACE, revision \(revision)", leaving: [.p(1), .p(2)])
            }
            list.test.expect(
                try list.attach(3, .replace, replace: list.programs.fd(1), revision: 3), nil, "REPLACE, revision 3")
            try list.expect(list: [.p(3), .p(2)], revision: 4)
        },
        Row("M-044", "an older and a newer revision are both stale", [.p(1)]) { list in
            for revision: UInt64 in [1, 3] {
                try list.expect(
                    try list.attach(2, revision: revision), refused: .ESTALE, "expected revision \(revision)",
                    leaving: [.p(1)])
            }
        },
        Row("M-045", "the current revision is accepted and counted on", [.p(1)], leaves: [.p(1), .p(2)], revision: 3) {
            try $0.attach(2, revision: 2)
        },
        Row("M-046", "a stale revision is noticed before a double program", [.p(1)], refused: .ESTALE) {
            try $0.attach(1, revision: 1)
        },
        Row("M-047", "a stale revision is noticed before a bad anchor", [.p(1)], refused: .ESTALE) {
            try $0.attach(2, .before, .raw(9999), revision: 1)
        },
        Row("M-048", "expected revision 0 is no expectation", [.p(1)], leaves: [.p(1), .p(2)], revision: 3) {
            try $0.attach(2, revision: 0)
        },
        Row("M-049", "revisions are compared in all 64 bits", [.p(1)], refused: .ESTALE) {
            try $0.attach(2, revision: 1 << 32 + 2)
        },
    ]

    static let replace: [Row] = [
        Row("M-050", "REPLACE puts a program in another's place", [.p(1), .p(2)], leaves: [.p(3), .p(2)], revision: 4) {
            try $0.attach(3, .replace, replace: $0.programs.fd(1))
        },
        Row(
            "M-050.mixed", "REPLACE leaves links and neighbours alone", [.l(1), .p(2), .l(3)],
            leaves: [.l(1), .p(4), .l(3)]
        ) { try $0.attach(4, .replace, replace: $0.programs.fd(2)) },
        Row("M-050.then", "after REPLACE the new program is the anchor, not the old one", three) { list in
            list.test.expect(try list.attach(4, .replace, replace: list.programs.fd(2)), nil, "REPLACE P2 by P4")
            list.test.expect(try list.attach(5, .before, .fd(2)), .ENOENT, "BEFORE the old program")
            try list.expect(list: [.p(1), .p(4), .p(3)], revision: 5)
            list.test.expect(try list.attach(5, .after, .fd(4)), nil, "AFTER the new program")
            list.test.expect(try list.attach(2), nil, "the old program comes back")
            try list.expect(list: [.p(1), .p(4), .p(5), .p(3), .p(2)], revision: 7)
            list.test.expect(try list.detach(4), nil, "the new program goes")
            try list.expect(list: [.p(1), .p(5), .p(3), .p(2)], revision: 8)
        },
        Row("M-051", "REPLACE with a position that agrees (AFTER)", [.p(1), .p(2)], leaves: [.p(1), .p(3)]) {
            try $0.attach(3, [.replace, .after], .fd(1), replace: $0.programs.fd(2))
        },
        Row("M-052", "REPLACE with a position that agrees (BEFORE)", [.p(1), .p(2)], leaves: [.p(3), .p(2)]) {
            try $0.attach(3, [.replace, .before], .fd(2), replace: $0.programs.fd(1))
        },
        Row("M-053", "REPLACE with a position that disagrees is refused", [.p(1), .p(2)], refused: .ERANGE) {
            try $0.attach(3, [.replace, .after], .fd(2), replace: $0.programs.fd(1))
        },
        Row("M-054", "a program cannot replace itself", [.p(1)], refused: .EEXIST) {
            try $0.attach(1, .replace, replace: $0.programs.fd(1))
        },
        Row("M-055", "a program that is not attached cannot be replaced", [.p(1)], refused: .ENOENT) {
            try $0.attach(3, .replace, replace: $0.programs.fd(2))
        },
        Row("M-056", "REPLACE of what is no program is refused", [.p(1)]) { list in
            try list.expect(
                try list.attach(2, .replace, replace: 9999), refused: .EBADF, "a descriptor that is not open",
                leaving: [.p(1)])
            try list.expect(
                try list.attach(2, .replace, replace: list.programs.someMap), refused: .EINVAL, "a map",
                leaving: [.p(1)])
        },
        Row("M-056.type", "REPLACE of a program of another type is refused", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, .replace, replace: $0.programs.otherType)
        },
        Row("M-057", "REPLACE of descriptor 0, which is no program, is refused", [.p(1)], refused: .EINVAL) {
            try $0.attach(2, .replace, replace: 0)
        },
        Row("M-058", "REPLACE of a program that a link holds is refused", [.l(1)], refused: .EBUSY) {
            try $0.attach(2, .replace, replace: $0.programs.fd(1))
        },
        Row("M-058.mixed", "REPLACE of a link's program among others is refused", mixed, refused: .EBUSY) {
            try $0.attach(4, .replace, replace: $0.programs.fd(2))
        },
        Row("M-059", "REPLACE by a program that is in the list is refused", [.p(1), .p(2)], refused: .EEXIST) {
            try $0.attach(2, .replace, replace: $0.programs.fd(1))
        },
        Row("M-060", "REPLACE|BEFORE without anchor never fits the first program", [.p(1)], refused: .ERANGE) {
            try $0.attach(2, [.replace, .before], replace: $0.programs.fd(1))
        },
        Row("M-061", "a link is not created with REPLACE", [.p(1)], refused: .ENOENT) {
            try $0.link(2, .replace, .fd(1))
        },
        Row("M-060.last", "REPLACE|AFTER without anchor never fits the last program", three, refused: .ERANGE) {
            try $0.attach(4, [.replace, .after], replace: $0.programs.fd(3))
        },
        Row("M-062", "an anchor of REPLACE without a position is looked up and not used", [.p(1)], leaves: [.p(2)]) {
            try $0.attach(2, .replace, .fd(1), replace: $0.programs.fd(1))
        },
        Row("M-068", "REPLACE under traffic: every packet meets the old or the new program", [.p(1), .p(2), .p(3)]) {
            try replaceUnderTraffic($0)
        },
    ]

    static let full: [Row] = [
        Row("M-063", "a program of a full list can be replaced", slots(63)) { list in
            try list.test.require(
                success: try list.attach(64, .replace, replace: list.programs.fd(6)), "REPLACE in slot 5 of 63")
            var expected = slots(63)
            expected[5] = .p(64)
            try list.expect(list: expected, revision: 65)
        },
        Row("M-064", "a list takes 63 programs", slots(62), leaves: slots(63)) { try $0.attach(63) },
        Row("M-064.front", "the 63rd program goes to the front", slots(62), leaves: [.p(63)] + slots(62)) {
            try $0.attach(63, .before)
        },
        Row(
            "M-064.middle", "the 63rd program goes into the middle", slots(62),
            leaves: Array(slots(62)[..<31]) + [.p(63)] + slots(62)[31...]
        ) { try $0.attach(63, .after, .fd(31)) },
        Row("M-064.link", "the 63rd slot takes a link, and all others keep theirs", [.l(1)] + slots(62)[1...]) { list in
            list.test.expect(try list.link(63, [.before, .link], .linkFD(1)), nil, "L63 BEFORE L1")
            try list.expect(list: [.l(63), .l(1)] + slots(62)[1...], revision: 64)
        },
        Row("M-065", "a list takes no 64th program", slots(63)) { list in
            let calls: [(String, AttachFlags, Anchor)] = [
                ("no flags", [], .none), ("BEFORE", .before, .none), ("AFTER", .after, .none),
                ("BEFORE P5", .before, .fd(5)), ("AFTER P5", .after, .fd(5)),
            ]
            for (call, flags, anchor) in calls {
                try list.expect(
                    try list.attach(64, flags, anchor), refused: .ERANGE, "64th program, \(call)", leaving: slots(63))
            }
        },
        Row("M-066", "a program of a full list is refused as double", slots(63), refused: .EEXIST) {
            try $0.attach(7)
        },
        Row("M-067", "a full list takes no link, and none is left behind", slots(63)) { list in
            for flags: AttachFlags in [[], .before, .after] {
                try list.expect(
                    try list.link(64, flags), refused: .ERANGE, "link of a 64th program, flags \(flags)",
                    leaving: slots(63))
            }
        },
    ]

    static func slots(_ count: Int) -> [Slot] {
        (1...count).map { .p($0) }
    }

    /// A second process replaces P2 by P4 and back while packets are sent: no packet may miss the middle program, run
    /// both of its holders, or lose a neighbour. Bounded by packets and by replacements, so that both really happen.
    private static func replaceUnderTraffic(_ list: ListTest) throws {
        let replacements = 60
        let worker = try Worker { stop in
            var holder = 2
            var done = 0
            while done < replacements || !stop.isSet {
                let next = holder == 2 ? 4 : 2
                let errno = try list.attach(next, .replace, replace: list.programs.fd(holder))
                if let errno { return "replacement \(done): \(errno.name)" }
                holder = next
                done += 1
            }
            return "done \(done)"
        }
        list.test.atEnd { worker.kill() }
        var seen: Set<[Int]> = []
        var packets = 0
        while packets < 400 || (seen.count < 2 && packets < 20_000) {
            list.programs.forget()
            try list.test.require(try list.exchange(), "packet \(packets) arrives")
            let trace = list.programs.trace
            try list.test.require(
                trace == [1, 2, 3] || trace == [1, 4, 3], "packet \(packets) ran P1, one of P2 and P4, P3; ran \(trace)"
            )
            seen.insert(trace)
            packets += 1
        }
        let answer = try worker.finish()
        list.test.expect(answer.hasPrefix("done"), "every replacement succeeds; \(answer)")
        list.test.expect(seen.count, equals: 2, "kinds of packets seen, with the old and with the new program")
    }
}
