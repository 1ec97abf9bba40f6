// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let cgroups = [Features.cgroupXattr, Features.cgroupFromID, Feature.cgroup2]
private let sockets = [Features.socketXattr, Feature.bpfLSM]

/// Attributes of what is no file: cgroups and sockets.
@CaseBuilder var xattrElsewhereCases: [Case] {
    Case(
        "K-038.lsm", "LSM programs read attributes of user. of a cgroup, and no others", spec: ["K-038"], since: "6.17",
        needs: cgroups + [.bpfLSM]
    ) { test in
        try judge(test, ofCgroup: "of_cgroup_in_lsm") { program, _ in try XattrTrigger.open("/proc/self/status") }
    }
    Case(
        "K-038.syscall", "syscall programs read attributes of user. of a cgroup, and no others", spec: ["K-038"],
        since: "6.17", needs: cgroups
    ) { test in
        try judge(test, ofCgroup: "of_cgroup_in_syscall", attach: false) { program, _ in
            test.expect(try program.object.run("of_cgroup_in_syscall").get(), equals: 1, "the program runs")
        }
    }
    Case(
        "K-038.sendmsg", "cgroup/sendmsg4 programs read attributes of user. of a cgroup, and no others",
        spec: ["K-038"], since: "6.17", needs: cgroups
    ) { test in
        try judge(test, ofCgroup: "of_cgroup_in_sendmsg", attach: false) { program, cgroup in
            let folder = try cgroup.open()
            var attr = Attr(size: 64)
            attr.set(try program.object.program("of_cgroup_in_sendmsg"), at: 0)
            attr.set(folder.raw, at: 4)
            // BPF_CGROUP_UDP4_SENDMSG.
            attr.set(UInt32(14), at: 8)
            let link = BPFLink(adopting: try attr.call(.linkCreate).get())
            try cgroup.join()
            // A socket is of the cgroup that it was made in.
            let socket = try XattrTrigger.udpSocket()
            try XattrTrigger.send(socket.raw)
            link.close()
        }
    }
    for (kind, program) in [("sleepable", "of_socket"), ("not sleepable", "of_socket_not_sleepable")] {
        Case(
            kind == "sleepable" ? "K-039" : "K-039.not_sleepable",
            "LSM programs that are \(kind) read attributes of user. of a socket, and no others", spec: ["K-039"],
            since: "7.3", needs: sockets
        ) { test in
            let socket = try XattrTrigger.udpSocket()
            try FileAttributes.set("user.a", to: "of a socket", ofDescriptor: socket.raw)
            let read = { (name: String, room: UInt32) in
                let program = try XattrProgram(test, program, name: name, room: room)
                let result = try program.result(of: "connect") { try XattrTrigger.connect(socket.raw) }
                return (result: result, value: try program.value(11))
            }
            let whole = try read("user.a", 64)
            test.expect(whole.result, equals: 11, "length of the value")
            test.expect(whole.value, equals: "of a socket", "the value")
            for (name, room, errno) in refusals {
                test.expect(
                    try read(name, room).result, equals: -errno.rawValue, "\(name) into \(room) bytes: \(errno.name)")
            }
        }
    }
}

/// What is refused of a cgroup and of a socket alike.
private let refusals: [(name: String, room: UInt32, errno: Errno)] = [
    ("trusted.a", 64, .EPERM), ("security.a", 64, .EPERM), ("security.bpf.a", 64, .EPERM), ("user", 64, .EPERM),
    ("userx.a", 64, .EPERM), ("user.absent", 64, .ENODATA), ("user.a", 3, .ERANGE), ("user.a", 65, .EINVAL),
]

private func judge(
    _ test: Test, ofCgroup program: String, attach: Bool = true,
    _ trigger: @escaping (XattrProgram, Cgroup) throws -> Void
) throws {
    let cgroup = try Cgroup(test, "xattr")
    try FileAttributes.set("user.a", to: "of a cgroup", of: cgroup.path)
    try FileAttributes.set("trusted.a", to: "a secret", of: cgroup.path)
    let read = { (name: String, room: UInt32) in
        let loaded = try XattrProgram(test, program, name: name, room: room, attach: attach)
        try loaded.object.set("id_wanted", to: try cgroup.id)
        let result = try loaded.result(of: name) { try trigger(loaded, cgroup) }
        return (result: result, value: try loaded.value(11))
    }
    let whole = try read("user.a", 64)
    test.expect(whole.result, equals: 11, "length of the value")
    test.expect(whole.value, equals: "of a cgroup", "the value")
    for (name, room, errno) in refusals {
        test.expect(try read(name, room).result, equals: -errno.rawValue, "\(name) into \(room) bytes: \(errno.name)")
    }
}

/// tests-bpf/kfuncs/xattr_fail.bpf.c, program by program.
let refusedXattrPrograms: [Refused] = [
    Refused(
        "K-033.stack", "an attribute's name is not on the stack", "name_on_stack", needs: [Features.dentryXattr],
        Rejection(.EINVAL, "arg#1 doesn't point to a const string").then(
            .v7_2, .EINVAL, "R2 doesn't point to a const string")),
    Refused(
        "K-029.walked", "a dentry that was walked to is not trusted", "get_of_walked", needs: [Features.dentryXattr],
        .untrusted),
    Refused("K-029.nothing", "NULL is no dentry", "get_of_null", needs: [Features.dentryXattr], .maybeNull),
    Refused(
        "K-018.xattr", "bpf_get_file_xattr is not for tracepoint programs", "get_in_tracepoint",
        needs: [Features.fileXattr], .notAllowed("bpf_get_file_xattr")),
    Refused(
        "K-034.not_sleepable", "a program that cannot sleep sets no attribute", "set_not_sleepable", since: "6.15",
        needs: [Features.setXattr],
        Rejection(.EACCES, "program must be sleepable to call sleepable kfunc bpf_set_dentry_xattr")),
    Refused(
        "K-036.not_sleepable", "a program that cannot sleep removes no attribute", "remove_not_sleepable",
        since: "6.15", needs: [Features.removeXattr],
        Rejection(.EACCES, "program must be sleepable to call sleepable kfunc bpf_remove_dentry_xattr")),
    Refused(
        "K-037", "the inode that a file is renamed onto may be NULL", "rename_unchecked", since: "6.17",
        needs: [Features.dentryInodeMayBeNull],
        Rejection(.EACCES, "invalid mem access 'trusted_ptr_or_null_'")),
    Refused(
        "K-038.walked", "a cgroup that was walked to has no attributes for a program", "of_walked_cgroup",
        since: "6.17", needs: [Features.cgroupXattr], .notRCU),
    Refused(
        "K-039.tp_btf", "bpf_sock_read_xattr is not for tracepoint programs", "of_socket_in_tracepoint", since: "7.3",
        needs: [Features.socketXattr], .notAllowed("bpf_sock_read_xattr")),
    Refused(
        "K-039.null", "NULL is no socket", "of_null_socket", since: "7.3", needs: [Features.socketXattr], .maybeNull),
]
