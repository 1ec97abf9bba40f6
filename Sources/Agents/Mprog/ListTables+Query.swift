// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    private static let four: [Slot] = [.p(1), .l(2), .p(3), .p(4)]
    private static var all: [WritableKeyPath<Query, [UInt32]?>] { [\.programs, \.programFlags, \.links, \.linkFlags] }
    /// An address that no process has anything at.
    private static let nowhere: UInt64 = 8

    /// M-126 to M-135: what a query writes and what it leaves alone.
    static let query: [Row] = [
        Row("M-126", "a query with room for none only counts", four) { list in
            try list.expect(Query(count: 0, arrays: all), count: 4, revision: 5, slots: [], "count 0")
        },
        Row("M-126.empty", "a query of an empty list writes no ids") { list in
            try list.expect(Query(count: 8, arrays: all), count: 0, revision: 1, slots: [], "count 8")
        },
        Row("M-127", "a query without an array only counts", four) { list in
            try list.expect(Query(count: 10, arrays: []), count: 4, revision: 5, slots: [], "no arrays")
        },
        Row("M-128", "a query with too little room fills it, counts all and says so", four) { list in
            for room in 1...3 {
                try list.expect(
                    Query(count: UInt32(room), arrays: all), .noSpace, count: 4, revision: 5,
                    slots: Array(four[..<room]), "count \(room)")
            }
            try list.expect(Query(count: 4, arrays: all), count: 4, revision: 5, slots: four, "count 4")
            try list.expect(Query(count: 5, arrays: all), count: 4, revision: 5, slots: four, "count 5")
        },
        Row("M-128.full", "a full list is told to the last program", slots(63)) { list in
            try list.expect(
                Query(count: 62, arrays: all, room: 70), .noSpace, count: 63, revision: 64, slots: slots(62), "count 62"
            )
            for count: UInt32 in [63, 64, 70] {
                try list.expect(
                    Query(count: count, arrays: all, room: 70), count: 63, revision: 64, slots: slots(63),
                    "count \(count)")
            }
        },
        Row("M-129", "a query tells which slots links hold", [.p(1), .l(2)]) { list in
            try list.expect(
                Query(count: 8, arrays: [\.programs, \.links]), count: 2, revision: 3, slots: [.p(1), .l(2)],
                "ids of programs and links")
            try list.expect(
                Query(count: 8, arrays: [\.programs]), count: 2, revision: 3, slots: [.p(1), .l(2)],
                "ids of programs alone")
        },
        Row("M-130", "without an array for programs no array is filled", [.p(1), .l(2)]) { list in
            try list.expect(
                Query(count: 8, arrays: [\.links, \.programFlags, \.linkFlags]), count: 2, revision: 3, slots: [],
                "all arrays but prog_ids")
        },
        Row("M-131", "a query with flags is refused and writes nothing", [.p(1)]) { list in
            for (queryFlags, attachFlags) in [(1, 0), (0, 1), (2, 0), (1 << 31, 0), (0, 1 << 3)] as [(UInt32, UInt32)] {
                var query = Query(count: 8, arrays: all)
                query.queryFlags = queryFlags
                query.attachFlags = attachFlags
                let call = "query_flags \(queryFlags), attach_flags \(attachFlags)"
                list.test.expect(query.run(list.target), .EINVAL, call)
                list.test.expect(query.count, equals: 8, "\(call): count")
                list.test.expect(query.revision, equals: UInt64(Query.untouched), "\(call): revision")
                list.test.expect(query.programs?.first, equals: Query.untouched, "\(call): prog_ids")
            }
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-132", "a query writes 0 as the flags of every slot", [.p(1)]) { list in
            try list.expect(
                Query(count: 8, arrays: [\.programs, \.programFlags]), count: 1, revision: 2, slots: [.p(1)],
                "prog_attach_flags")
            try list.expect(
                Query(count: 8, arrays: [\.programs, \.linkFlags]), count: 1, revision: 2, slots: [.p(1)],
                "link_attach_flags")
        },
        Row("M-133", "an address that cannot be written to is an error", [.p(1), .l(2)]) { list in
            for (name, offset) in [
                ("prog_ids", 16), ("prog_attach_flags", 32), ("link_ids", 40), ("link_attach_flags", 48),
            ] {
                var query = Query(count: 8, arrays: all)
                query.pointers = [offset: nowhere]
                list.test.expect(query.run(list.target), .EFAULT, "\(name) at address \(nowhere)")
                list.test.expect(query.count, equals: 2, "\(name): count, which is written before")
            }
            try list.expect(list: [.p(1), .l(2)], revision: 3)
        },
        Row("M-134", "a query needs CAP_NET_ADMIN or CAP_SYS_ADMIN in the initial user namespace", [.p(1)]) { list in
            let without = try Worker { _ in
                if let errno = Capability.netAdmin.drop() { return "not given up: \(errno.name)" }
                let first = list.target.query().errno?.name ?? "0"
                if let errno = Capability.sysAdmin.drop() { return "not given up: \(errno.name)" }
                return first + " " + (list.target.query().errno?.name ?? "0")
            }
            list.test.expect(
                try without.finish(), equals: "0 EPERM", "without CAP_NET_ADMIN, then without CAP_SYS_ADMIN too")
            let inside = try Worker { _ in
                if let errno = Namespaces.unshare(.user) { return "no user namespace: \(errno.name)" }
                return list.target.query().errno?.name ?? "0"
            }
            list.test.expect(try inside.finish(), equals: "EPERM", "with all capabilities of a user namespace")
            try list.expect(list: [.p(1)], revision: 2)
        },
        Row("M-135", "a query of a device that is not there is refused") { list in
            for ifindex: UInt32 in [0, 99999, 0xffff_ffff] {
                var query = Query(count: 8, arrays: all)
                let nowhere = MprogTarget(ifindex: ifindex, type: list.flavour.type)
                list.test.expect(query.run(nowhere), .ENODEV, "ifindex \(ifindex)")
                list.test.expect(query.count, equals: 8, "ifindex \(ifindex): count is not written")
            }
        },
    ]
}
