// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTest {
    /// BPF_LINK_UPDATE of the link that was made for a program.
    func update(_ link: Int, to program: CInt, _ flags: AttachFlags = [], old: CInt = 0) throws -> Errno? {
        try madeLink(link).update(to: program, flags: flags, old: old)
    }
}

extension ListTables {
    /// M-136 to M-143: what a link is updated to.
    static let updates: [Row] = [
        Row("M-136", "a link is updated to another program", [.l(1)], leaves: [.updated(1, to: 2)]) {
            try $0.update(1, to: $0.programs.fd(2))
        },
        Row("M-136.then", "an updated link is what positions and detachment find", [.p(4), .l(1)]) { list in
            list.test.expect(try list.update(1, to: list.programs.fd(2)), nil, "L1 to P2")
            list.test.expect(try list.attach(3, .before, .fd(1)), .ENOENT, "BEFORE the old program")
            list.test.expect(try list.detach(1), .ENOENT, "detach the old program")
            list.test.expect(try list.detach(2), .EBUSY, "detach the new program")
            list.test.expect(try list.attach(2), .EEXIST, "attach the new program")
            try list.expect(list: [.p(4), .updated(1, to: 2)], revision: 4)
            list.test.expect(try list.attach(3, [.before, .link], .linkFD(1)), nil, "BEFORE the link")
            list.test.expect(try list.attach(5, .after, .fd(2)), nil, "AFTER the new program")
            list.test.expect(try list.attach(1), nil, "attach the old program")
            try list.expect(list: [.p(4), .p(3), .updated(1, to: 2), .p(5), .p(1)], revision: 7)
        },
        Row("M-136.gone", "the old program of an updated link is let go, the new one is held", [.l(1), .p(3)]) { list in
            list.test.expect(try list.update(1, to: list.programs.fd(2)), nil, "L1 to P2")
            let ids = [list.programs.id(1), list.programs.id(2)]
            list.programs.close(1)
            list.programs.close(2)
            list.test.expect(try BPFInfo.stillThere(.program, [ids[0]]), equals: [], "id of P1, closed")
            list.test.expect(try BPFInfo.exists(.program, ids[1]), "P2 is there as long as its link")
            try list.expect(list: [.updated(1, to: 2), .p(3)], revision: 4)
        },
        Row("M-137", "a link updated to its own program stays, and so does the revision", [.l(1)]) { list in
            list.test.expect(try list.update(1, to: list.programs.fd(1)), nil, "L1 to P1")
            try list.expect(list: [.l(1)], revision: 2)
            list.test.expect(
                try list.update(1, to: list.programs.fd(1), .replace, old: list.programs.fd(1)), nil,
                "L1 from P1 to P1")
            try list.expect(list: [.l(1)], revision: 2)
        },
        Row("M-138", "a link is not updated to a program of its list", [.l(1), .p(2)], refused: .EEXIST) {
            try $0.update(1, to: $0.programs.fd(2))
        },
        Row("M-138.link", "a link is not updated to another link's program", [.l(1), .l(2)], refused: .EEXIST) {
            try $0.update(1, to: $0.programs.fd(2))
        },
        Row("M-139", "a link is not updated when it holds another program than said", [.l(1)]) { list in
            for number in [2, 3] {
                try list.expect(
                    try list.update(1, to: list.programs.fd(2), .replace, old: list.programs.fd(number)),
                    refused: .EPERM, "L1 from P\(number) to P2", leaving: [.l(1)])
            }
            // What was said is looked at even where nothing would change.
            try list.expect(
                try list.update(1, to: list.programs.fd(1), .replace, old: list.programs.fd(2)), refused: .EPERM,
                "L1 from P2 to P1", leaving: [.l(1)])
        },
        Row(
            "M-139.right", "a link is updated when it holds the program that was said", [.l(1)],
            leaves: [.updated(1, to: 2)]
        ) { try $0.update(1, to: $0.programs.fd(2), .replace, old: $0.programs.fd(1)) },
        Row("M-139.bad", "what is no program is not what a link held", [.l(1)]) { list in
            for (old, errno) in [(CInt(9999), Errno.EBADF), (list.programs.someMap, .EINVAL)] {
                try list.expect(
                    try list.update(1, to: list.programs.fd(2), .replace, old: old), refused: errno,
                    "old descriptor \(old)", leaving: [.l(1)])
            }
        },
        Row("M-140", "an old program without REPLACE is refused", [.l(1)], refused: .EINVAL) {
            try $0.update(1, to: $0.programs.fd(2), old: $0.programs.fd(1))
        },
        Row("M-141", "a link is not updated to a program of another type", [.l(1)], refused: .EINVAL) {
            try $0.update(1, to: $0.programs.otherType)
        },
        Row("M-141.bad", "a link is not updated to what is no program", [.l(1)]) { list in
            for (new, errno) in [(CInt(9999), Errno.EBADF), (list.programs.someMap, .EINVAL)] {
                try list.expect(try list.update(1, to: new), refused: errno, "new descriptor \(new)", leaving: [.l(1)])
            }
        },
        Row("M-142", "a link update takes no flag but REPLACE", [.l(1)]) { list in
            for bit: UInt32 in [0, 1, 3, 4, 5, 6, 13, 31] {
                try list.expect(
                    try list.update(1, to: list.programs.fd(2), AttachFlags(rawValue: 1 << bit)), refused: .EINVAL,
                    "flags 1 << \(bit)", leaving: [.l(1)])
            }
        },
        Row("M-143", "an updated link keeps its position", mixed, leaves: [.p(1), .updated(2, to: 4), .p(3)]) {
            try $0.update(2, to: $0.programs.fd(4))
        },
        Row("M-143.ends", "links keep the first and the last position when updated", [.l(1), .p(2), .l(3)]) { list in
            list.test.expect(try list.update(3, to: list.programs.fd(4)), nil, "L3 to P4")
            try list.expect(list: [.l(1), .p(2), .updated(3, to: 4)], revision: 5)
            list.test.expect(try list.update(1, to: list.programs.fd(3)), nil, "L1 to P3, which is free")
            try list.expect(list: [.updated(1, to: 3), .p(2), .updated(3, to: 4)], revision: 6)
        },
    ]
}
