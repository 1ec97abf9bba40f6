// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension ListTables {
    /// M-116 to M-124: what flags, types and devices are taken.
    static let flags: [Row] = [
        Row("M-116", "attach with a flag that means nothing to lists is refused", [.p(1)]) { list in
            for bit: UInt32 in [0, 1, 6, 7, 8, 12, 14, 31] {
                for more: AttachFlags in [[], .before] {
                    let flags = more.union(AttachFlags(rawValue: 1 << bit))
                    try list.expect(
                        try list.attach(2, flags), refused: .EINVAL, "attach P2, flags \(flags.rawValue)",
                        leaving: [.p(1)])
                }
            }
        },
        Row("M-117", "a link with an unknown flag alone is refused", [.p(1)]) { list in
            for bit: UInt32 in [0, 1, 6, 7, 31] {
                try list.expect(
                    try list.link(2, AttachFlags(rawValue: 1 << bit)), refused: .EINVAL, "link, flags 1 << \(bit)",
                    leaving: [.p(1)])
            }
        },
        Row(
            "M-118", "a link with a position and bit 7 is created: the bit is ignored", [.p(1)], leaves: [.l(2), .p(1)]
        ) {
            try $0.link(2, AttachFlags(rawValue: AttachFlags.before.rawValue | 1 << 7))
        },
        Row(
            "M-119", "a link with a position and bit 31 is created: the bit is ignored", [.p(1)],
            leaves: [.l(2), .p(1)]
        ) { try $0.link(2, AttachFlags(rawValue: AttachFlags.before.rawValue | 1 << 31)) },
        Row("M-120", "bit 5 asks for an id, and id 0 is none", [], refused: .ENOENT) {
            try $0.attach(1, AttachFlags(rawValue: 1 << 5))
        },
        Row("M-121", "a list's program is not attached as another type", [.p(1)]) { list in
            let other = MprogTarget(ifindex: list.target.ifindex, type: .traceUprobeMulti)
            try list.expect(
                other.attach(list.programs.fd(2)), refused: .EINVAL, "attach as UPROBE_MULTI", leaving: [.p(1)])
            try list.expect(
                other.createLink(list.programs.fd(2)).errno, refused: .EINVAL, "link as UPROBE_MULTI",
                leaving: [.p(1)])
            try list.expect(
                other.detach(list.programs.fd(1)), refused: .EINVAL, "detach as UPROBE_MULTI", leaving: [.p(1)])
        },
        Row("M-122", "a program of another type is not attached", [.p(1)]) { list in
            let program = list.programs.otherType
            try list.expect(list.target.attach(program), refused: .EINVAL, "attach XDP", leaving: [.p(1)])
            try list.expect(
                list.target.createLink(program).errno, refused: .EINVAL, "link of XDP", leaving: [.p(1)])
            try list.expect(list.target.detach(program), refused: .EINVAL, "detach XDP", leaving: [.p(1)])
        },
        Row("M-122.fd", "what is no program is not attached", [.p(1)]) { list in
            for (descriptor, errno) in [(CInt(9999), Errno.EBADF), (-1, .EBADF), (list.programs.someMap, .EINVAL)] {
                try list.expect(
                    list.target.attach(descriptor), refused: errno, "attach descriptor \(descriptor)",
                    leaving: [.p(1)])
                try list.expect(
                    list.target.createLink(descriptor).errno, refused: errno, "link of descriptor \(descriptor)",
                    leaving: [.p(1)])
                try list.expect(
                    list.target.detach(descriptor), refused: errno, "detach descriptor \(descriptor)",
                    leaving: [.p(1)])
            }
        },
        Row("M-123", "a device that is not there is refused", [.p(1)]) { list in
            for ifindex: UInt32 in [0, 99999] {
                let nowhere = MprogTarget(ifindex: ifindex, type: list.flavour.type)
                let calls: [(String, Errno?)] = [
                    ("attach", nowhere.attach(list.programs.fd(2))),
                    ("link", nowhere.createLink(list.programs.fd(2)).errno),
                    ("detach P1", nowhere.detach(list.programs.fd(1))),
                    ("detach", nowhere.detach(0)),
                    ("query", nowhere.query().errno),
                ]
                for (call, answer) in calls {
                    try list.expect(answer, refused: .ENODEV, "\(call), ifindex \(ifindex)", leaving: [.p(1)])
                }
            }
        },
        Row("M-124", "an ifindex is the caller's network namespace's", [.p(1)]) { list in
            let away = try NetworkNamespace()
            let programs = list.programs
            try away.inside {
                if list.flavour.isNetkit { try Netkit.add("nk0", peer: "nk1") }
                try list.test.require(
                    try Netlink.index(list.device) == list.target.ifindex, "the devices have the same number")
                let empty = try list.target.query().get()
                list.test.expect(empty.count, equals: 0, "count of the other namespace's list")
                list.test.expect(empty.revision, equals: 1, "revision of the other namespace's list")
                list.test.expect(list.target.detach(programs.fd(1)), .ENOENT, "detach P1 in the other namespace")
                list.test.expect(list.target.attach(programs.fd(2)), nil, "attach P2 in the other namespace")
                let link = try list.target.createLink(programs.fd(3), .before).get()
                list.test.expect(
                    list.text(try list.target.query().get()), equals: "[L3,P2]", "the other namespace's list")
                link.close()
                list.test.expect(list.target.detach(programs.fd(2)), nil, "detach P2 in the other namespace")
            }
            try list.expect(list: [.p(1)], revision: 2)
        },
    ]
}

/// What kernels that have no tcx answer.
let withoutTcxSuite = Suite("mprog.before", "bpf_mprog: what kernels answer that do not have it") {
    Case("M-125", "attach types of lists are refused by a kernel that has none") { test in
        let list = MprogTarget(ifindex: 1, type: .tcxIngress)
        if list.query(room: 0).errno == nil { throw test.skip("the kernel has tcx") }
        let program = try RawProgram.returning(-1, .schedCls).load().program.get()
        for type in [AttachType.tcxIngress, .tcxEgress, .netkitPrimary, .netkitPeer] {
            let list = MprogTarget(ifindex: 1, type: type)
            test.expect(list.attach(program.raw), .EINVAL, "attach type \(type.rawValue)")
            test.expect(list.detach(program.raw), .EINVAL, "detach type \(type.rawValue)")
            test.expect(list.query().errno, .EINVAL, "query of type \(type.rawValue)")
            test.expect(list.createLink(program.raw).errno, .EINVAL, "link of type \(type.rawValue)")
        }
    }
}
