// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let writing = [Features.setXattr, Features.removeXattr, Feature.bpfLSM]
private let attribute = "security.bpf.foo"

/// bpf_set_dentry_xattr and bpf_remove_dentry_xattr.
@CaseBuilder var xattrWritingCases: [Case] {
    Case("K-034", "bpf_set_dentry_xattr sets an attribute of security.bpf.", since: "6.15", needs: writing) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        let program = try XattrProgram(test, "set_in_getxattr", name: attribute, value: "a value")
        let result = try program.result(of: "getxattr") { try XattrTrigger.getxattr(name) }
        test.expect(result, equals: 0, "bpf_set_dentry_xattr of \(attribute)")
        program.detach()
        test.expect(try FileAttributes.value(attribute, of: name).get(), equals: "a value", "the value in user space")
    }
    Case(
        "K-034.remove", "bpf_remove_dentry_xattr removes an attribute of security.bpf., once", spec: ["K-034"],
        since: "6.15", needs: writing
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set(attribute, to: "a value", of: name)
        try FileAttributes.set("security.bpf.other", to: "another", of: name)
        let program = try XattrProgram(test, "remove_in_getxattr", name: attribute)
        let result = try program.result(of: "getxattr") { try XattrTrigger.getxattr(name) }
        test.expect(result, equals: 0, "bpf_remove_dentry_xattr of \(attribute)")
        let again = try program.errno(of: "getxattr") { try XattrTrigger.getxattr(name) }
        test.expect(again, .ENODATA, "bpf_remove_dentry_xattr of what is gone")
        program.detach()
        test.expect(FileAttributes.value(attribute, of: name).errno, .ENODATA, "the attribute in user space")
        test.expect(
            try FileAttributes.value("security.bpf.other", of: name).get(), equals: "another", "the attribute beside it"
        )
    }
    Case(
        "K-034.flags", "bpf_set_dentry_xattr creates or replaces as its flags say", spec: ["K-034"], since: "6.15",
        needs: writing
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        let program = try XattrProgram(test, "set_in_getxattr", name: attribute, value: "first")
        let create: Int32 = 1
        let replace: Int32 = 2
        let set = { (flags: Int32, value: String) in
            try program.object.set("flags_wanted", to: flags)
            try program.object.setBytes(of: "value", to: Array(value.utf8))
            return try program.errno(of: "getxattr") { try XattrTrigger.getxattr(name) }
        }
        test.expect(try set(replace, "first"), .ENODATA, "XATTR_REPLACE of what is not there")
        test.expect(try set(create, "first"), nil, "XATTR_CREATE of what is not there")
        test.expect(try set(create, "other"), .EEXIST, "XATTR_CREATE of what is there")
        test.expect(try FileAttributes.value(attribute, of: name).get(), equals: "first", "what was created")
        test.expect(try set(replace, "third"), nil, "XATTR_REPLACE of what is there")
        program.detach()
        test.expect(try FileAttributes.value(attribute, of: name).get(), equals: "third", "what replaced it")
    }
    Case(
        "K-034.permission", "an attribute of a file that the task may not write is EACCES", spec: ["K-034"],
        since: "6.15", needs: writing
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        _ = try Errno.check(unsafe chmod(name, 0o444))
        for program in ["set_in_getxattr", "remove_in_getxattr"] {
            let program = try XattrProgram(test, program, name: attribute, value: "a value")
            _ = try Errno.check(seteuid(1000))
            let errno = try program.errno(of: "another user's getxattr") { try XattrTrigger.getxattr(name) }
            _ = try Errno.check(seteuid(0))
            test.expect(errno, .EACCES, "of a file that is only readable")
        }
        test.expect(FileAttributes.value(attribute, of: name).errno, .ENODATA, "nothing was set")
    }
    Case(
        "K-034.null", "bpf_set_dentry_xattr of a dynptr without memory is EINVAL", spec: ["K-034"], since: "6.15",
        needs: writing
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        let program = try XattrProgram(test, "set_in_getxattr", name: attribute, room: 65)
        let errno = try program.errno(of: "a NULL dynptr") { try XattrTrigger.getxattr(name) }
        test.expect(errno, .EINVAL, "bpf_set_dentry_xattr of a NULL dynptr")
        program.detach()
        test.expect(FileAttributes.value(attribute, of: name).errno, .ENODATA, "nothing was set")
    }
    Case(
        "K-035", "only attributes of security.bpf. are set and removed, others are EPERM", since: "6.15", needs: writing
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        for other in ["user.foo", "trusted.foo", "security.foo"] {
            try FileAttributes.set(other, to: "before", of: name)
        }
        for other in [
            "user.foo", "trusted.foo", "security.foo", "security.bpf", "security.bpfx.foo", "user", "system.x",
        ] {
            for program in ["set_in_getxattr", "remove_in_getxattr"] {
                let program = try XattrProgram(test, program, name: other, value: "a value")
                let errno = try program.errno(of: other) { try XattrTrigger.getxattr(name) }
                test.expect(errno, .EPERM, "\(other)")
            }
        }
        for other in ["user.foo", "trusted.foo", "security.foo"] {
            test.expect(try FileAttributes.value(other, of: name).get(), equals: "before", "\(other) is as it was")
        }
    }
    for (hook, program, action) in lockedHooks {
        Case(
            "K-036.\(hook)", "an attribute is set in \(hook), where the inode is locked already", spec: ["K-036"],
            since: "6.15", needs: writing
        ) { test in
            try FileScratch.mount()
            let name = try FileScratch.file()
            try FileAttributes.set("user.there", to: "x", of: name)
            let open = FileHandle(try Descriptors.open(name, O_RDONLY))
            let program = try XattrProgram(test, program, name: attribute, value: "a value")
            let result = try program.result(of: hook) { try action(name) }
            test.expect(result, equals: 0, "bpf_set_dentry_xattr in \(hook)")
            program.detach()
            test.expect(
                try FileAttributes.value(attribute, of: "/proc/self/fd/\(open.raw)").get(), equals: "a value",
                "the value in user space")
        }
    }
    Case(
        "K-036.remove", "an attribute is removed in inode_setxattr, where the inode is locked already",
        spec: ["K-036"], since: "6.15", needs: writing
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        try FileAttributes.set(attribute, to: "a value", of: name)
        let program = try XattrProgram(test, "remove_in_setxattr", name: attribute)
        let result = try program.result(of: "setxattr") { try FileAttributes.set("user.x", to: "x", of: name) }
        test.expect(result, equals: 0, "bpf_remove_dentry_xattr in inode_setxattr")
        program.detach()
        test.expect(FileAttributes.value(attribute, of: name).errno, .ENODATA, "the attribute in user space")
        test.expect(try FileAttributes.value("user.x", of: name).get(), equals: "x", "what the caller set")
    }
    Case(
        "K-037.checked", "the inode that a file is renamed onto is read after a test for NULL", spec: ["K-037"],
        since: "6.17", needs: [.bpfLSM, Features.dentryInodeMayBeNull]
    ) { test in
        try FileScratch.mount()
        let name = try FileScratch.file()
        let other = try FileScratch.file("other")
        var status = stat()
        _ = try Errno.check(unsafe stat(other, &status))
        let program = try XattrProgram(test, "rename_checked", name: attribute)
        let onto = FileScratch.folder + "/new"
        _ = try program.result(of: "a rename onto nothing") { _ = try Errno.check(unsafe rename(name, onto)) }
        test.expect(try program.object.value(of: "found", as: Int32.self), equals: 0, "inode where nothing is")
        _ = try program.result(of: "a rename onto a file") { _ = try Errno.check(unsafe rename(onto, other)) }
        test.expect(try program.object.value(of: "found", as: Int32.self), equals: 1, "inode where a file is")
        test.expect(
            try program.object.value(of: "found_inode", as: UInt64.self), equals: UInt64(status.st_ino),
            "the number of that inode")
    }
}

/// Hooks that are called with the inode locked, and what calls them.
private let lockedHooks: [(hook: String, program: String, action: @Sendable (String) throws -> Void)] = [
    ("inode_setxattr", "set_in_setxattr", { try FileAttributes.set("user.x", to: "x", of: $0) }),
    (
        "inode_removexattr", "set_in_removexattr",
        { name in if let errno = FileAttributes.remove("user.there", of: name) { throw errno } }
    ),
    ("inode_setattr", "set_in_setattr", { _ = try Errno.check(unsafe chmod($0, 0o600)) }),
    ("inode_unlink", "set_in_unlink", { _ = try Errno.check(unsafe unlink($0)) }),
]
