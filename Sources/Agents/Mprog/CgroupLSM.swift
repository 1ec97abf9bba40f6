// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// M-218: LSM programs of a cgroup, all hooks of which are one attach type.
let cgroupLSMCases: [Case] = [
    Case(
        "M-218", "a query of a cgroup's LSM programs tells those of all hooks, with their flags, and no revision",
        since: "6.0", needs: [.cgroup2, .cgroupPrograms, .bpfLSM, .lsmCgroup]
    ) { test in
        // Without it there is no address to bind to, and nobody else need have done so.
        try Netlink.setUp("lo")
        let object = try BPFObject("mprog/cgroup_lsm.bpf.o")
        let cgroup = try Cgroup(test)
        let directory = try cgroup.open()
        let target = CgroupTarget(directory.raw, .lsmCgroup)
        let empty = target.query()
        test.expect(empty.errno, .EINVAL, "query with prog_ids and without prog_attach_flags, empty")
        var ids: [UInt32] = []
        for name in ["bind_one", "bind_two", "listen_three"] {
            let program = try object.program(name)
            ids.append(try BPFInfo.programID(program).get())
            try test.require(success: target.attach(program, .allowMulti), "attach \(name)")
        }
        try expect(test, target, ids, "three programs")
        try cgroup.join()
        let socket = try InternetSocket(.tcp)
        try socket.bind()
        try socket.listen()
        test.expect(try object.value(of: "ran"), equals: UInt32(123), "programs that ran for bind and listen, in order")
        test.expect(target.detach(try object.program("bind_one")), nil, "detach bind_one")
        try expect(test, target, Array(ids.dropFirst()), "two programs")
        try InternetSocket(.tcp).bind()
        test.expect(try object.value(of: "ran"), equals: UInt32(1232), "programs that ran for another bind")
        for name in ["bind_two", "listen_three"] {
            test.expect(target.detach(try object.program(name)), nil, "detach \(name)")
        }
        try expect(test, target, [], "none")
        try InternetSocket(.tcp).bind()
        test.expect(try object.value(of: "ran"), equals: UInt32(1232), "programs that ran when all were detached")
    },
    Case(
        "M-218.order", "LSM programs of one hook have positions and revisions of their own", spec: ["M-218"],
        since: "6.17", needs: [.cgroup2, .cgroupPrograms, .bpfLSM, .lsmCgroup, .cgroupPreorder, .cgroupOrdering]
    ) { test in
        // Without it there is no address to bind to, and nobody else need have done so.
        try Netlink.setUp("lo")
        let object = try BPFObject("mprog/cgroup_lsm.bpf.o")
        let cgroup = try Cgroup(test)
        let directory = try cgroup.open()
        let target = CgroupTarget(directory.raw, .lsmCgroup)
        let (one, two, three) = (
            try object.program("bind_one"), try object.program("bind_two"), try object.program("listen_three")
        )
        test.expect(target.attach(one, .allowMulti, revision: 1), nil, "attach bind_one, revision 1")
        test.expect(target.attach(three, .allowMulti, revision: 1), nil, "attach listen_three, revision 1 of its hook")
        let anchor = UInt32(bitPattern: one)
        test.expect(
            target.attach(two, [.allowMulti, .before], relative: UInt32(bitPattern: three)), .ENOENT,
            "attach bind_two BEFORE a program of another hook")
        test.expect(
            target.attach(two, [.allowMulti, .before], relative: anchor, revision: 1), .ESTALE,
            "attach bind_two, revision 1")
        test.expect(
            target.attach(two, [.allowMulti, .before], relative: anchor, revision: 2), nil,
            "attach bind_two BEFORE bind_one, revision 2")
        let ids = try [two, one, three].map { try BPFInfo.programID($0).get() }
        try expect(test, target, ids, "in order")
        try cgroup.join()
        let socket = try InternetSocket(.tcp)
        try socket.bind()
        try socket.listen()
        test.expect(try object.value(of: "ran"), equals: UInt32(213), "programs that ran for bind and listen, in order")
    },
]

/// States what a query tells.
private func expect(_ test: Test, _ target: CgroupTarget, _ ids: [UInt32], _ what: String) throws {
    let (contents, errno) = target.query(.programFlags)
    test.expect(errno, nil, "query, \(what)")
    test.expect(contents.programs, equals: ids, "ids, \(what)")
    test.expect(Int(contents.count), equals: ids.count, "count, \(what)")
    test.expect(
        contents.programFlags, equals: ids.map { _ in AttachFlags.allowMulti.rawValue }, "flags of programs, \(what)")
    test.expect(contents.flags, equals: [], "flags of all, \(what)")
    test.expect(contents.revision, equals: 0, "revision, \(what)")
    test.expect(target.query().errno, .EINVAL, "query with prog_ids and without prog_attach_flags, \(what)")
    let count = target.query(room: 0)
    test.expect(count.errno, nil, "query of the count, \(what)")
    test.expect(Int(count.contents.count), equals: ids.count, "count alone, \(what)")
    test.expect(count.contents.revision, equals: 0, "revision with the count alone, \(what)")
}

extension Feature {
    /// BPF_LSM_CGROUP (commit 69fd337a975c, 6.0): EINVAL where a query does not know it.
    static let lsmCgroup = Feature("lsm-cgroup", since: "6.0", config: ["CONFIG_CGROUP_BPF", "CONFIG_BPF_LSM"]) {
        do throws(Errno) {
            let directory = try Cgroup.root.open()
            guard let errno = CgroupTarget(directory.raw, .lsmCgroup).query(room: 0).errno else { return .present }
            throw errno
        } catch {
            return .absent(evidence: "BPF_PROG_QUERY of BPF_LSM_CGROUP: \(error.name) (\(error.rawValue))")
        }
    }
}
