// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let dentryXattr = Feature.kfunc("bpf_get_dentry_xattr", since: "6.12", config: ["CONFIG_BPF_LSM"])
    static let setXattr = Feature.kfunc("bpf_set_dentry_xattr", since: "6.15", config: ["CONFIG_BPF_LSM"])
    static let removeXattr = Feature.kfunc("bpf_remove_dentry_xattr", since: "6.15", config: ["CONFIG_BPF_LSM"])
    static let cgroupXattr = Feature.kfunc(
        "bpf_cgroup_read_xattr", since: "6.17", config: ["CONFIG_BPF_LSM", "CONFIG_CGROUPS"])
    /// Up to 6.16 the verifier takes dentry.d_inode to be never NULL, and a test for it to be always true.
    static let dentryInodeMayBeNull = Feature("dentry-inode-may-be-null", since: "6.17", config: ["CONFIG_BPF_LSM"]) {
        do throws(LoadError) {
            _ = try BPFObject("kfuncs/xattr_fail.bpf.o", programs: ["rename_unchecked"])
            return .absent(evidence: "new->d_inode->i_ino is accepted in lsm.s/inode_rename")
        } catch {
            guard error.log.contains("_or_null_") else { return .absent(evidence: "\(error)") }
            return .present
        }
    }
    static let socketXattr = Feature.kfunc("bpf_sock_read_xattr", since: "7.3", config: ["CONFIG_BPF_LSM"])
}

/// K-029 to K-039 of docs/semantics/kfuncs.md, beyond what the suite of files has.
public let xattrSuite = Suite(
    "kfuncs.xattr", "kfuncs that read, set and remove extended attributes", isolation: [.mount, .network],
    objects: [XattrProgram.object, "kfuncs/xattr_fail.bpf.o"]
) {
    xattrReadingCases
    xattrWritingCases
    xattrElsewhereCases
    refusedXattrPrograms.map { $0.asCase("kfuncs/xattr_fail.bpf.o", needs: [.bpfLSM]) }
}

private let reading = [Features.fileXattr, Features.dentryXattr, .bpfLSM]

/// The two functions that read, and what makes programs with them run.
private let readers: [(program: String, function: String, trigger: @Sendable (String) throws -> Void)] = [
    ("get_of_file", "bpf_get_file_xattr", { try XattrTrigger.open($0) }),
    ("get_of_dentry", "bpf_get_dentry_xattr", { try XattrTrigger.getxattr($0) }),
]

@CaseBuilder private var xattrReadingCases: [Case] {
    Case(
        "K-029.dentry", "bpf_get_dentry_xattr reads an attribute of user.", spec: ["K-029"], since: "6.12",
        needs: reading
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set("user.kfuncs", to: "a value", of: name)
        let program = try XattrProgram(test, "get_of_dentry", name: "user.kfuncs")
        let result = try program.result(of: "getxattr") { try XattrTrigger.getxattr(name) }
        test.expect(result, equals: 7, "length of the value")
        test.expect(try program.value(7), equals: "a value", "the value")
    }
    Case(
        "K-029.room", "a value that is longer than the dynptr is ERANGE, one as long is read", spec: ["K-029"],
        since: "6.12", needs: reading
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set("user.kfuncs", to: "a value", of: name)
        for (program, function, trigger) in readers {
            let program = try XattrProgram(test, program, name: "user.kfuncs", room: 6)
            let errno = try program.errno(of: "a dynptr of 6 bytes") { try trigger(name) }
            test.expect(errno, .ERANGE, "\(function) of 7 bytes into 6")
            test.expect(try program.value(7), equals: String(repeating: "\0", count: 7), "\(function) wrote nothing")
            try program.object.set("room", to: UInt32(7))
            let result = try program.result(of: "a dynptr of 7 bytes") { try trigger(name) }
            test.expect(result, equals: 7, "\(function) of 7 bytes into 7")
            test.expect(try program.value(8), equals: "a value\0", "what \(function) wrote")
        }
    }
    Case("K-029.absent", "an attribute that is not set is ENODATA", spec: ["K-029"], since: "6.12", needs: reading) {
        test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        for (program, function, trigger) in readers {
            let program = try XattrProgram(test, program, name: "user.absent")
            let errno = try program.errno(of: "user.absent") { try trigger(name) }
            test.expect(errno, .ENODATA, "\(function) of user.absent")
        }
    }
    Case("K-029.null", "a dynptr without memory is EINVAL", spec: ["K-029"], since: "6.12", needs: reading) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set("user.kfuncs", to: "a value", of: name)
        for (program, function, trigger) in readers {
            let program = try XattrProgram(test, program, name: "user.kfuncs", room: 65)
            let errno = try program.errno(of: "a NULL dynptr") { try trigger(name) }
            test.expect(errno, .EINVAL, "\(function) into a NULL dynptr")
        }
    }
    Case(
        "K-029.permission", "an attribute of a file that the task may not read is EACCES", spec: ["K-029"],
        since: "6.12", needs: reading
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set("user.kfuncs", to: "a value", of: name)
        _ = try Errno.check(unsafe chmod(name, 0o222))
        let program = try XattrProgram(test, "get_of_file", name: "user.kfuncs")
        let allowed = try program.result(of: "root's opening") { _ = FileHandle(try Descriptors.open(name, O_WRONLY)) }
        test.expect(allowed, equals: 7, "root reads what nobody may read")
        // Without root's capabilities from here on.
        _ = try Errno.check(seteuid(1000))
        let errno = try program.errno(of: "another user's opening") {
            _ = FileHandle(try Descriptors.open(name, O_WRONLY))
        }
        _ = try Errno.check(seteuid(0))
        test.expect(errno, .EACCES, "bpf_get_file_xattr of a file that is only writable")
    }
    Case(
        "K-030.names", "names that only look like those of user. or security.bpf. are EPERM", spec: ["K-030"],
        since: "6.12", needs: reading
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set("trusted.x", to: "a value", of: name)
        try FileAttributes.set("security.x", to: "a value", of: name)
        for attribute in [
            "trusted.x", "security.x", "user", "userx.kfuncs", "security.bpf", "security.bpfx.x",
            "system.posix_acl_access", "xuser.kfuncs", "USER.kfuncs",
        ] {
            for (program, function, trigger) in readers {
                let program = try XattrProgram(test, program, name: attribute)
                let errno = try program.errno(of: attribute) { try trigger(name) }
                test.expect(errno, .EPERM, "\(function) of \(attribute)")
            }
        }
    }
    Case(
        "K-031.value", "an attribute of security.bpf. is read from 6.15 on, and refused before", spec: ["K-031"],
        since: "6.12", needs: reading
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set("security.bpf.x", to: "a value", of: name)
        for (program, function, trigger) in readers {
            let program = try XattrProgram(test, program, name: "security.bpf.x")
            let result = try program.result(of: "security.bpf.x") { try trigger(name) }
            if KernelRelease.running < KernelRelease(6, 15) {
                test.expect(Errno(rawValue: -result), .EPERM, "\(function) of security.bpf.x")
            } else {
                test.expect(result, equals: 7, "length that \(function) returns for security.bpf.x")
                test.expect(try program.value(7), equals: "a value", "the value by \(function)")
            }
        }
    }
}
