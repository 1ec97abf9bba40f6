// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    /// M-144 to M-149 and M-173: how long a link and a program stay attached.
    static let life: [Row] = [
        Row("M-144", "a link is detached once, and to detach it again does nothing", [.l(1)]) { list in
            let link = try list.madeLink(1)
            var info = try link.deviceInfo().get()
            list.test.expect(info.ifindex != 0, "the link names its device")
            list.test.expect(link.detach(), nil, "detach")
            try list.expect(list: [], revision: 1)
            list.test.expect(link.detach(), nil, "detach again")
            try list.expect(list: [], revision: 1)
            info.ifindex = 0
            list.test.expect(try link.deviceInfo().get(), equals: info, "what the link says of itself")
            list.test.expect(try link.fdinfo("ifindex"), equals: "0", "ifindex of its fdinfo")
        },
        Row("M-144.between", "a link that is detached leaves its neighbours", [.p(1), .l(2), .p(3)]) { list in
            let link = try list.madeLink(2)
            list.test.expect(link.detach(), nil, "detach")
            try list.expect(list: [.p(1), .p(3)], revision: 5)
            list.test.expect(link.detach(), nil, "detach again")
            try list.expect(list: [.p(1), .p(3)], revision: 5)
            link.close()
            try list.expect(list: [.p(1), .p(3)], revision: 5)
        },
        Row("M-145", "a link that was detached is not updated", [.l(1), .p(2)]) { list in
            let link = try list.madeLink(1)
            list.test.expect(link.detach(), nil, "detach")
            let calls: [(String, Int, AttachFlags, CInt)] = [
                ("another program", 3, [], 0), ("the program that it had", 1, [], 0),
                ("REPLACE of the program that it had", 3, .replace, list.programs.fd(1)),
                ("REPLACE of another program", 3, .replace, list.programs.fd(2)),
            ]
            for (call, number, flags, old) in calls {
                list.test.expect(
                    link.update(to: list.programs.fd(number), flags: flags, old: old), .noLink, "update: \(call)")
                try list.expect(list: [.p(2)], revision: 4)
            }
        },
        Row("M-146", "a link goes with its last descriptor", [.l(1), .p(2), .l(3)]) { list in
            let link = try list.madeLink(1)
            let id = try BPFInfo.linkID(link.raw).get()
            let second = BPFLink(adopting: try BPFCall.byID(.linkGetFDByID, id).get())
            link.close()
            let held = try list.contents()
            list.test.expect(held.links.first, equals: id, "the first link's id, one of two descriptors closed")
            try list.expect(ran: [1, 2, 3])
            second.close()
            try list.expect(list: [.p(2), .l(3)], revision: 5)
            list.test.expect(try BPFInfo.exists(.link, id), equals: false, "the link's id is in use")
        },
        Row("M-146.only", "the list's only link takes the list with it", [.l(1)]) { list in
            let link = try list.madeLink(1)
            let id = try BPFInfo.linkID(link.raw).get()
            link.close()
            try list.expect(list: [], revision: 1)
            list.test.expect(try BPFInfo.exists(.link, id), equals: false, "the link's id is in use")
        },
        Row("M-147", "a pinned link stays without descriptors until it is unlinked", [.p(1), .l(2)]) { list in
            let directory = try BPFDirectory(list.test)
            let link = try list.madeLink(2)
            let info = try link.deviceInfo().get()
            let path = directory.path + "/link"
            try list.test.require(success: BPFPath.pin(link.raw, path), "the link is pinned")
            link.close()
            list.test.expect(try list.contents().links, equals: [0, info.id], "link ids while it is pinned")
            try list.expect(ran: [1, 2])
            let again = BPFLink(adopting: try BPFPath.get(path).get())
            list.test.expect(try again.deviceInfo().get(), equals: info, "what the link says through the pinned file")
            again.close()
            list.test.expect(try list.contents().links, equals: [0, info.id], "link ids, opened and closed again")
            list.test.expect(directory.remove("link"), nil, "unlink")
            // The file's inode goes a grace period after its name.
            let left = try BPFInfo.stillThere(.link, [info.id])
            list.test.expect(left, equals: [], "links that are left")
            // The link's number goes before its place in the list.
            try list.test.eventually("the link has left the list") { try list.contents().links.count == 1 }
            try list.expect(list: [.p(1)], revision: 4)
        },
        Row("M-148", "a link keeps its program", [.l(1), .p(2)]) { list in
            let id = list.programs.id(1)
            list.programs.close(1)
            list.test.expect(try BPFInfo.exists(.program, id), equals: true, "the program's id is in use")
            try list.expect(list: [.l(1), .p(2)], revision: 3)
            let link = try list.madeLink(1)
            list.test.expect(link.detach(), nil, "detach")
            try list.expect(list: [.p(2)], revision: 4)
            list.test.expect(
                try BPFInfo.exists(.program, id), equals: true, "the id is in use, the link being detached")
            link.close()
            list.test.expect(try BPFInfo.stillThere(.program, [id]), equals: [], "programs without their link")
        },
        Row("M-148.updated", "a link that is updated keeps the new program and lets the old one go", [.l(1)]) { list in
            let (old, new) = (list.programs.id(1), list.programs.id(2))
            let link = try list.madeLink(1)
            list.test.expect(link.update(to: list.programs.fd(2)), nil, "update to P2")
            list.programs.close(1)
            list.programs.close(2)
            list.test.expect(try BPFInfo.stillThere(.program, [old]), equals: [], "programs that were replaced")
            list.test.expect(try BPFInfo.exists(.program, new), equals: true, "the new program's id is in use")
            try list.expect(ran: [2])
            link.close()
            list.test.expect(try BPFInfo.stillThere(.program, [new]), equals: [], "programs without their link")
        },
        Row("M-149", "a list keeps its programs", [.p(1), .p(2)]) { list in
            let id = list.programs.id(1)
            list.programs.close(1)
            list.test.expect(try BPFInfo.exists(.program, id), equals: true, "the program's id is in use")
            try list.expect(list: [.p(1), .p(2)], revision: 3)
            let again = FileHandle(adopting: try BPFCall.byID(.progGetFDByID, id).get())
            list.test.expect(list.target.detach(again.raw), nil, "detach by a descriptor from the id")
            again.close()
            try list.expect(list: [.p(2)], revision: 4)
            list.test.expect(try BPFInfo.stillThere(.program, [id]), equals: [], "programs that were detached")
        },
        Row("M-149.replaced", "a list lets go of a program that is replaced", [.p(1), .p(2)]) { list in
            let id = list.programs.id(1)
            list.test.expect(try list.attach(3, .replace, replace: list.programs.fd(1)), nil, "P1 by P3")
            list.programs.close(1)
            list.test.expect(try BPFInfo.stillThere(.program, [id]), equals: [], "programs that were replaced")
            try list.expect(list: [.p(3), .p(2)], revision: 4)
        },
        Row("M-173", "links of one program in both directions go each by itself", [.l(1)], on: Flavour.tcx) { list in
            let other = list.oppositeList()
            let second = try other.createLink(list.programs.fd(1)).get()
            let id = try BPFInfo.linkID(second.raw).get()
            list.test.expect(
                try second.deviceInfo().get(),
                equals: DeviceLinkInfo(
                    type: 11, id: id, program: list.programs.id(1), ifindex: other.ifindex,
                    attachType: other.type.rawValue), "what the second link says of itself")
            try list.expect(ran: [1, 1])
            try list.madeLink(1).close()
            list.test.expect(try list.contents().count, equals: 0, "count of the first direction")
            let contents = try other.query().get()
            list.test.expect(contents.links, equals: [id], "links of the other direction")
            list.test.expect(contents.revision, equals: 2, "revision of the other direction")
            try list.expect(ran: [1])
            list.test.expect(second.update(to: list.programs.fd(2)), nil, "update of the second link")
            try list.expect(ran: [2])
            second.close()
            list.test.expect(try other.query().get().count, equals: 0, "count of the other direction")
            try list.expect(list: [], revision: 1)
        },
    ]

    /// M-174 to M-176: a full list.
    static let fullDetach: [Row] = [
        Row("M-174", "a full list refuses to give up its last program unnamed", all63) { list in
            list.test.expect(try list.detach(nil), .ERANGE, "detach without program and flags")
            try list.expect(list: all63, revision: 64)
        },
        Row("M-175", "a full list refuses to give up what comes after a position", all63) { list in
            list.test.expect(try list.detach(nil, .after), .ERANGE, "detach AFTER")
            list.test.expect(try list.detach(nil, .after, .fd(63)), .ERANGE, "detach AFTER the last")
            list.test.expect(try list.detach(nil, [.after, .id], .id(63)), .ERANGE, "detach AFTER|ID the last")
            try list.expect(list: all63, revision: 64)
            list.test.expect(try list.detach(nil, .after, .fd(62)), nil, "detach AFTER the last but one")
            try list.expect(list: all63.dropLast(), revision: 65)
            // With a place free it is as everywhere.
            list.test.expect(try list.detach(nil), nil, "detach without program and flags, 62 being left")
            try list.expect(list: all63.dropLast(2), revision: 66)
        },
        Row("M-176", "a full list gives up its last program by name, and its first", all63) { list in
            list.test.expect(try list.detach(63), nil, "detach of the last")
            try list.expect(list: all63.dropLast(), revision: 65)
            list.test.expect(try list.attach(63), nil, "attach it again")
            list.test.expect(try list.detach(nil, .before), nil, "detach BEFORE")
            try list.expect(list: Array(all63.dropFirst()), revision: 67)
        },
    ]

    private static let all63: [Slot] = (1...63).map { .p($0) }
}
