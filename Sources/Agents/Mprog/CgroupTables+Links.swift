// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension CgroupTables {
    static let links: [CgroupRow] = [
        CgroupRow("M-213", "a cgroup that is removed leaves its links without cgroup", [], .always) { list in
            let child = try list.child()
            try child.set(up: [.c(1), .l(2)])
            try child.expect(list: [.c(1), .l(2)], revision: 3)
            let link = try child.link(of: 2)
            let before = try CgroupLinkInfo.of(link)
            list.test.expect(before.type, equals: 3, "the link's type, BPF_LINK_TYPE_CGROUP")
            list.test.expect(before.attachType, equals: AttachType.cgroupSockCreate.rawValue, "the link's attach type")
            list.test.expect(try link.fdinfo("cgroup_id"), equals: "\(try child.cgroup.id)", "cgroup_id of fdinfo")
            try list.expect(running: [])
            try list.test.require(success: child.cgroup.remove(), "rmdir")
            // The kernel lets go of a cgroup by and by.
            try list.test.eventually("the link has no cgroup any more") { try CgroupLinkInfo.of(link).cgroup == 0 }
            list.test.expect(try link.fdinfo("cgroup_id"), equals: "0", "cgroup_id of fdinfo")
            list.test.expect(link.update(to: list.programs.fd(3)), .noLink, "update")
            list.test.expect(
                link.update(to: list.programs.fd(3), flags: .replace, old: list.programs.fd(2)), .noLink,
                "update of the right program")
            list.test.expect(link.detach(), nil, "detach")
            list.test.expect(link.detach(), nil, "detach again")
            var gone = before
            gone.cgroup = 0
            list.test.expect(try CgroupLinkInfo.of(link), equals: gone, "the link's info")
        },
        CgroupRow("M-213.detach", "a link is detached once, and stays as an object", [.c(1), .l(2), .c(3)], .always) {
            list in
            let link = try list.link(of: 2)
            let id = try CgroupLinkInfo.of(link).id
            list.test.expect(link.detach(), nil, "detach")
            try list.expect(list: [.c(1), .c(3)], revision: 5)
            list.test.expect(link.detach(), nil, "detach again")
            try list.expect(list: [.c(1), .c(3)], revision: 5)
            list.test.expect(link.update(to: list.programs.fd(4)), .noLink, "update")
            list.test.expect(try CgroupLinkInfo.of(link).cgroup, equals: 0, "cgroup of the link")
            list.test.expect(try CgroupLinkInfo.of(link).id, equals: id, "id of the link")
            try list.closeLink(of: 2)
            try list.expect(list: [.c(1), .c(3)], revision: 5)
            try list.test.expect(linkIsGone: id)
        },
        CgroupRow("M-213.close", "the last descriptor of a link takes its program out", [.l(1), .l(2), .c(3)], .always)
        { list in
            let id = try CgroupLinkInfo.of(try list.link(of: 1)).id
            let second = try BPFCall.byID(.linkGetFDByID, id).get()
            let other = BPFLink(adopting: second)
            try list.closeLink(of: 1)
            try list.expect(list: [.l(1), .l(2), .c(3)], revision: 4)
            other.close()
            try list.expect(list: [.l(2), .c(3)], revision: 5)
            try list.test.expect(linkIsGone: id)
        },
        CgroupRow(
            "M-213.pinned", "a pinned link stays without descriptors, until it is unlinked", [.c(1), .l(2)], .always
        ) {
            list in
            let directory = try BPFDirectory(list.test)
            let link = try list.link(of: 2)
            let path = directory.path + "/link"
            try list.test.require(success: BPFPath.pin(link.raw, path), "the link is pinned")
            try list.closeLink(of: 2)
            try list.expect(list: [.c(1), .l(2)], revision: 3)
            let again = BPFLink(adopting: try BPFPath.get(path).get())
            list.test.expect(again.update(to: list.programs.fd(3)), nil, "update through the pinned file")
            again.close()
            try list.expect(list: [.c(1), .l(3)], revision: 4)
            list.test.expect(directory.remove("link"), nil, "unlink")
            // The file's inode goes a grace period after it.
            try list.test.eventually("the program has gone") { list.target.query().contents.count == 1 }
            try list.expect(list: [.c(1)], revision: 5)
        },
    ]

    static let updates: [CgroupRow] = [
        CgroupRow("M-214", "an update of a link to the program that it has counts as a change", [.l(1)]) { list in
            list.test.expect(try list.link(of: 1).update(to: list.programs.fd(1)), nil, "update to C1")
            try list.expect(list: [.l(1)], revision: 3)
        },
        CgroupRow("M-214.place", "an updated link keeps its place", [.c(1), .l(2), .c(3)], .always) { list in
            list.test.expect(try list.link(of: 2).update(to: list.programs.fd(4)), nil, "update of L2 to C4")
            try list.expect(list: [.c(1), .c(4), .c(3)], revision: 5)
            list.test.expect(
                try CgroupLinkInfo.of(try list.link(of: 2)).program, equals: list.programs.id(4), "program of the link")
            list.test.expect(
                try list.link(of: 2).update(to: list.programs.fd(5), flags: .replace, old: list.programs.fd(4)), nil,
                "update of the link from C4 to C5")
            try list.expect(list: [.c(1), .c(5), .c(3)], revision: 6)
            // A program that is attached by itself is no hindrance for a link.
            list.test.expect(try list.link(of: 2).update(to: list.programs.fd(1)), nil, "update of the link to C1")
            try list.expect(list: [.c(1), .c(1), .c(3)], revision: 7)
        },
        CgroupRow("M-214.refused", "an update that is refused leaves the link alone", [.l(1), .c(2)], .always) { list in
            let link = try list.link(of: 1)
            let no = list.programs
            let calls: [(String, CInt, AttachFlags, CInt, Errno)] = [
                ("REPLACE of another program", no.fd(3), .replace, no.fd(2), .EPERM),
                ("an old program without REPLACE", no.fd(3), [], no.fd(1), .EINVAL),
                ("BEFORE", no.fd(3), .before, 0, .EINVAL), ("MULTI", no.fd(3), .allowMulti, 0, .EINVAL),
                ("a program of another type", no.otherType, [], 0, .EINVAL), ("a map", no.someMap, [], 0, .EINVAL),
                ("a descriptor that is not open", 9999, [], 0, .EBADF),
                ("REPLACE of a descriptor that is not open", no.fd(3), .replace, 9999, .EBADF),
            ]
            for (call, program, flags, old, errno) in calls {
                try list.expect(
                    link.update(to: program, flags: flags, old: old), refused: errno, "update, \(call)",
                    leaving: [.l(1), .c(2)])
            }
        },
        CgroupRow("M-214.levels", "an updated link is replaced in all cgroups below", [.l(1), .c(2), .l(3)], .always) {
            list in
            let child = try list.child()
            let grandchild = try child.child()
            list.test.expect(try child.attachPlain(4, .allowOverride), nil, "C4 with OVERRIDE in the child")
            try grandchild.set(up: [.l(5), .c(6)])
            // C4 yields to what the grandchild has.
            try grandchild.expect(running: [5, 6, 1, 2, 3])
            list.test.expect(try list.link(of: 3).update(to: list.programs.fd(7)), nil, "update of L3 to C7")
            try grandchild.expect(running: [5, 6, 1, 2, 7])
            try child.expect(running: [4, 1, 2, 7])
            try list.expect(running: [1, 2, 7])
            list.test.expect(try list.link(of: 1).update(to: list.programs.fd(8)), nil, "update of L1 to C8")
            try grandchild.expect(running: [5, 6, 8, 2, 7])
            try child.expect(running: [4, 8, 2, 7])
            list.test.expect(try grandchild.link(of: 5).update(to: list.programs.fd(9)), nil, "update of L5 to C9")
            try grandchild.expect(running: [9, 6, 8, 2, 7])
            try child.expect(running: [4, 8, 2, 7])
        },
        CgroupRow(
            "M-214.preorder", "an updated link is replaced in its own place, PREORDER links too",
            [.l(1), .preL(2), .c(3), .preC(4), .preL(5), .l(6)], .preorderLinks
        ) { list in
            let child = try list.child()
            try child.set(up: [.preC(7), .l(8), .preL(9), .preL(10)])
            try child.expect(running: [2, 4, 5, 7, 9, 10, 8, 1, 3, 6])
            if !list.hasCarefulUpdates {
                list.test.expect(try list.link(of: 2).update(to: list.programs.fd(2)), nil, "update of L2 to C2")
                list.test.expect(try list.link(of: 5).update(to: list.programs.fd(30)), nil, "update of L5 to C30")
                let effective = child.target.query(.effective).contents.programs
                if effective.dropFirst(2).first != list.programs.id(30) {
                    throw list.test.skip(
                        "a link update of this kernel takes the place of another: PREORDER is not looked at")
                }
                list.test.expect(try list.link(of: 5).update(to: list.programs.fd(5)), nil, "update of the link to C5")
            }
            var expected = [2, 4, 5, 7, 9, 10, 8, 1, 3, 6]
            var own = [2, 4, 5, 1, 3, 6]
            var next = 20
            for number in [2, 5, 1, 6] {
                list.test.expect(
                    try list.link(of: number).update(to: list.programs.fd(next)), nil, "update of L\(number)")
                expected = expected.map { $0 == number ? next : $0 }
                own = own.map { $0 == number ? next : $0 }
                next += 1
                try child.expect(running: expected)
                try list.expect(running: own)
            }
            for number in [9, 10, 8] {
                list.test.expect(
                    try child.link(of: number).update(to: list.programs.fd(next)), nil, "update of L\(number)")
                expected = expected.map { $0 == number ? next : $0 }
                next += 1
                try child.expect(running: expected)
                try list.expect(running: own)
            }
        },
        CgroupRow("M-215", "a link is not updated to a program with another cgroup storage", [], .always) { list in
            let object = try BPFObject("mprog/cgroup_storage.bpf.o")
            let first = try object.program("first")
            let link = try list.target.createLink(first).get()
            let count = { (map: String) in
                try storage(of: BPFMap(borrowing: try object.map(map)), try list.cgroup.id)
            }
            _ = list.programs.makeSocket()
            try list.cgroup.join()
            _ = list.programs.makeSocket()
            list.test.expect(try count("one"), equals: 1, "sockets counted in the first storage")
            if !list.hasCarefulUpdates, link.update(to: try object.program("without")) == nil {
                throw list.test.skip("this kernel updates links whatever storage their programs have")
            }
            for (what, program) in [("another storage", "second"), ("none", "without")] {
                list.test.expect(
                    link.update(to: try object.program(program)), .EINVAL, "update to a program with \(what)")
                list.test.expect(
                    try CgroupLinkInfo.of(link).program, equals: try BPFInfo.programID(first).get(),
                    "program of the link")
            }
            _ = list.programs.makeSocket()
            list.test.expect(try count("one"), equals: 2, "sockets counted in the first storage")
            list.test.expect(
                link.update(to: try object.program("first_by_ten")), nil, "update to one with the same storage")
            _ = list.programs.makeSocket()
            list.test.expect(try count("one"), equals: 12, "sockets counted in the first storage, by the new program")
        },
    ]

    /// The first 64 bits of what a program keeps for a cgroup; `struct bpf_cgroup_storage_key`.
    private static func storage(of map: BPFMap, _ cgroup: UInt64) throws -> UInt64 {
        let key = cgroup.bytes + AttachType.cgroupSockCreate.rawValue.bytes + UInt32(0).bytes
        return UInt64(try map.lookup(key, size: 8).get())
    }
}
