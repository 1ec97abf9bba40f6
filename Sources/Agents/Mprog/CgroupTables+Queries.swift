// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension CgroupTables {
    static let queries: [CgroupRow] = [
        CgroupRow("M-216", "a query writes nothing beyond the size that it is told", [.c(1), .c(2)]) { list in
            for size in [28, 32, 40, 48, 56, 60, 63] {
                var attr = queryAttr(list)
                list.test.expect(attr.call(.progQuery, telling: size), nil, "query, size \(size)")
                list.test.expect(attr.get(at: 24), equals: UInt32(2), "count, size \(size)")
                list.test.expect(attr.get(at: 12), equals: AttachFlags.allowMulti.rawValue, "flags, size \(size)")
                list.test.expect(attr.get(at: 56), equals: UInt64.max, "what is beyond size \(size)")
            }
            var attr = queryAttr(list)
            list.test.expect(attr.call(.progQuery, telling: 64), nil, "query, size 64")
            list.test.expect(attr.get(at: 56), equals: UInt64(3), "revision, size 64")
            list.test.expect(attr.get(at: 64), equals: UInt64.max, "what is beyond size 64")
        },
        CgroupRow(
            "M-216.room", "a query with too little room writes what fits and says ENOSPC", [.c(1), .l(2), .c(3)],
            .always
        ) {
            list in
            let ids = [1, 2, 3].map { list.programs.id($0) }
            for room in [1, 2] {
                let (contents, errno) = list.target.query(room: room)
                list.test.expect(errno, .noSpace, "query with room for \(room)")
                list.test.expect(contents.programs, equals: Array(ids[..<room]), "ids with room for \(room)")
                list.test.expect(contents.count, equals: 3, "count with room for \(room)")
                list.test.expect(contents.flags, equals: .allowMulti, "flags with room for \(room)")
                if list.countsRevisions { list.test.expect(contents.revision, equals: 4, "revision, room for \(room)") }
            }
            for room in [3, 4] {
                let (contents, errno) = list.target.query(room: room)
                list.test.expect(errno, nil, "query with room for \(room)")
                list.test.expect(contents.programs, equals: ids, "ids with room for \(room)")
                list.test.expect(contents.count, equals: 3, "count with room for \(room)")
            }
            let (contents, errno) = list.target.query(room: 0)
            list.test.expect(errno, nil, "query without room")
            list.test.expect(contents.count, equals: 3, "count without room")
        },
        CgroupRow("M-216.types", "each attach type of a cgroup is a list of its own", [.c(1)], .always) { list in
            let other = CgroupTarget(list.target.cgroup, .cgroupInetEgress)
            list.test.expect(other.query().contents.count, equals: 0, "count of the list for packets")
            list.test.expect(other.attach(list.programs.otherType), nil, "a program for packets, without flags")
            let (contents, errno) = other.query()
            list.test.expect(errno, nil, "query of the list for packets")
            list.test.expect(
                contents.programs, equals: [try BPFInfo.programID(list.programs.otherType).get()],
                "the list for packets")
            list.test.expect(contents.flags, equals: [], "flags of the list for packets")
            if list.countsRevisions {
                list.test.expect(contents.revision, equals: 2, "revision of the list for packets")
            }
            try list.expect(list: [.c(1)], revision: 2)
            let third = CgroupTarget(list.target.cgroup, .cgroupInetIngress)
            list.test.expect(third.attach(list.programs.otherType, .allowMulti), nil, "the same for received packets")
            list.test.expect(
                third.query().contents.flags, equals: .allowMulti, "flags of the list for received packets")
            list.test.expect(other.query().contents.flags, equals: [], "flags of the list for sent packets")
            list.test.expect(third.detach(list.programs.otherType), nil, "detach from received packets")
            list.test.expect(other.query().contents.count, equals: 1, "count of the list for sent packets")
            list.test.expect(
                other.attach(list.programs.fd(2), .allowMulti), .EINVAL, "a program for sockets, for packets")
            list.test.expect(other.detach(list.programs.otherType), nil, "detach")
            try list.expect(list: [.c(1)], revision: 2)
        },
        CgroupRow("M-216.flags", "a query tells each program's flags, and link ids never", [.c(1), .l(2)], .always) {
            list in
            guard let reason = programFlagsAbsent(list) else {
                let (contents, errno) = list.target.query(.programFlags)
                list.test.expect(errno, nil, "query with prog_attach_flags")
                list.test.expect(
                    contents.programFlags, equals: [AttachFlags.allowMulti.rawValue, AttachFlags.allowMulti.rawValue],
                    "flags of the programs")
                if list.countsRevisions {
                    var attr = queryAttr(list)
                    let ids = [UInt32](repeating: 77, count: 8)
                    var programs = ids
                    let links = ids
                    let answer = unsafe programs.withUnsafeMutableBytes { programs in
                        unsafe links.withUnsafeBytes { links in
                            attr.set(UInt64(UInt(bitPattern: programs.baseAddress)), at: 16)
                            attr.set(UInt32(8), at: 24)
                            attr.set(UInt64(UInt(bitPattern: links.baseAddress)), at: 40)
                            attr.set(UInt64(0), at: 56)
                            return attr.call(.progQuery, telling: 64)
                        }
                    }
                    list.test.expect(answer, nil, "query with link_ids")
                    list.test.expect(programs[1], equals: list.programs.id(2), "the second program")
                    list.test.expect(links, equals: ids, "link_ids, which are not written")
                }
                return
            }
            list.test.expect(
                KernelRelease.running < KernelRelease(6, 0), "prog_attach_flags from 6.0 on; here \(reason)")
        },
        CgroupRow("M-216.refused", "a query that is wrong is refused", [.c(1)], .always) { list in
            for flags: UInt32 in [2, 3, 1 << 31] {
                var attr = queryAttr(list)
                attr.set(flags, at: 8)
                attr.set(UInt64(0), at: 56)
                list.test.expect(attr.call(.progQuery, telling: 64), .EINVAL, "query_flags \(flags)")
            }
            var attr = queryAttr(list)
            attr.set(UInt64(8), at: 16)
            attr.set(UInt32(4), at: 24)
            attr.set(UInt64(0), at: 56)
            list.test.expect(attr.call(.progQuery, telling: 64), .EFAULT, "ids to where no memory is")
            attr = queryAttr(list)
            attr.set(CInt(-1), at: 0)
            list.test.expect(attr.call(.progQuery, telling: 56), .EBADF, "query of no cgroup")
        },
        CgroupRow("M-217", "an effective query tells no flags of programs", [.c(1)], .always) { list in
            list.test.expect(
                list.target.query([.effective, .programFlags]).errno, .EINVAL, "effective query with flags")
            list.test.expect(
                list.target.query([.effective, .programFlags], room: 0).errno, nil,
                "effective query without room, which gives no array")
        },
    ]

    static let descriptors: [CgroupRow] = [
        CgroupRow("M-219", "a cgroup of version 1 takes no BPF programs", [], .always) { list in
            try list.test.require(success: Namespaces.unshare(.mount), "a mount namespace is made")
            try list.test.require(success: Namespaces.makeMountsPrivate(), "its mounts are made private")
            let path = "v1-\(getpid())"
            _ = try Errno.check(unsafe mkdir(path, 0o755))
            list.test.atEnd {
                unsafe umount(path)
                unsafe rmdir(path)
            }
            let name = "none,name=bpftest\(getpid())"
            let mounted = unsafe name.withCString { unsafe mount("cgroup", path, "cgroup", 0, $0) }
            try list.test.require(success: mounted == 0 ? nil : Errno.last, "a hierarchy of version 1 is mounted")
            let directory = FileHandle(try Descriptors.open(path, O_RDONLY | O_DIRECTORY))
            try refuse(list, directory.raw, "a cgroup of version 1")
        },
        CgroupRow("M-220", "what is no cgroup's directory takes no programs", [.c(1)], .always) { list in
            let files = [
                ("a regular file", "/proc/self/exe"), ("a file of a cgroup", list.cgroup.path + "/cgroup.procs"),
                ("another directory", "/proc"),
            ]
            for (what, path) in files {
                let file = FileHandle(try Descriptors.open(path, O_RDONLY))
                try refuse(list, file.raw, what)
            }
            try refuse(list, 9999, "a descriptor that is not open")
            try refuse(list, -1, "-1")
            try list.expect(list: [.c(1)], revision: 2)
        },
        CgroupRow("M-221", "links take positions and PREORDER and no other flags", [.l(1)]) { list in
            for bit: UInt32 in [0, 1, 2, 7, 8, 12, 14, 31] {
                let flags = AttachFlags(rawValue: 1 << bit)
                try list.expect(
                    try list.link(2, flags), refused: .EINVAL, "a link, flags \(flags), bit \(bit)", leaving: [.l(1)])
                try list.expect(
                    try list.link(2, flags.union(.before)), refused: .EINVAL, "a link, BEFORE and bit \(bit)",
                    leaving: [.l(1)])
            }
        },
        CgroupRow("M-221.attach", "programs take no flags that nobody knows", [.c(1)], .always) { list in
            for bit: UInt32 in [7, 8, 12, 14, 16, 31] {
                try list.expect(
                    try list.attach(2, AttachFlags(rawValue: 1 << bit)), refused: .EINVAL, "MULTI and bit \(bit)",
                    leaving: [.c(1)])
            }
        },
        CgroupRow("M-222", "links take flags only where the kernel has positions", [.l(1)], .always) { list in
            if list.countsRevisions {
                list.test.expect(try list.link(2, .before), nil, "a link BEFORE")
                try list.expect(list: [.l(2), .l(1)], revision: 3)
            } else {
                for flags: AttachFlags in [.before, .after, .allowMulti, .replace, .id, .link] {
                    try list.expect(try list.link(2, flags), refused: .EINVAL, "a link \(flags)", leaving: [.l(1)])
                }
            }
        },
        CgroupRow("M-223", "kernels without positions take neither anchor nor revision", [.c(1)], .always) { list in
            try list.expect(
                try list.attach(2, [], .fd(1)), refused: .EINVAL, "an anchor without position", leaving: [.c(1)])
            if list.countsRevisions {
                try list.expect(try list.attach(2, revision: 1), refused: .ESTALE, "revision 1", leaving: [.c(1)])
                list.test.expect(try list.attach(2, .before, .fd(1)), nil, "BEFORE C1")
                try list.expect(list: [.c(2), .c(1)], revision: 3)
            } else {
                for revision: UInt64 in [1, 2] {
                    try list.expect(
                        try list.attach(2, revision: revision), refused: .EINVAL, "revision \(revision)",
                        leaving: [.c(1)])
                }
                for flags: AttachFlags in [.before, .after, .id, .link] {
                    try list.expect(try list.attach(2, flags), refused: .EINVAL, "flags \(flags)", leaving: [.c(1)])
                }
            }
        },
    ]

    /// Every call that takes a cgroup answers EBADF.
    private static func refuse(_ list: CgroupList, _ descriptor: CInt, _ what: String) throws {
        let target = CgroupTarget(descriptor, .cgroupSockCreate)
        for flags: AttachFlags in [[], .allowOverride, .allowMulti] {
            list.test.expect(target.attach(list.programs.fd(2), flags), .EBADF, "attach to \(what) with \(flags)")
        }
        list.test.expect(target.detach(list.programs.fd(2)), .EBADF, "detach from \(what)")
        list.test.expect(target.createLink(list.programs.fd(2)).errno, .EBADF, "a link to \(what)")
        list.test.expect(target.query().errno, .EBADF, "query of \(what)")
    }

    /// BPF_PROG_QUERY for the count, with marks behind the fields that it has.
    private static func queryAttr(_ list: CgroupList) -> Attr {
        var attr = Attr(size: 72)
        attr.set(list.target.cgroup, at: 0)
        attr.set(list.target.type.rawValue, at: 4)
        attr.set(UInt64.max, at: 56)
        attr.set(UInt64.max, at: 64)
        return attr
    }

    /// Why prog_attach_flags (6.0) are not known; nil where they are.
    private static func programFlagsAbsent(_ list: CgroupList) -> String? {
        list.target.query(.programFlags).errno.map { "BPF_PROG_QUERY with prog_attach_flags: \($0.name)" }
    }
}
