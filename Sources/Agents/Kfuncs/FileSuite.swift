// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let object = "kfuncs/file.bpf.o"
private let needs = [Features.exeFile, Features.pathDPath, Features.fileXattr, Feature.bpfLSM]

/// K-001 to K-033 of docs/semantics/kfuncs.md.
public let fileSuite = Suite(
    "kfuncs.file", "kfuncs of the VFS: exe files, paths, extended attributes", isolation: .mount,
    objects: [object, "kfuncs/file_fail.bpf.o"]
) {
    Case("K-001", "the exe file is acquired and released in lsm.s/file_open", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "exe_file")
        try opened.object.set("repeat", to: Int32(1))
        try opened.open("/proc/self/status")
        test.expect(try opened.object.value(of: "found", as: Int32.self), equals: 1, "exe files acquired")
    }
    Case("K-001.path", "the exe file is the one that the task runs", spec: ["K-001"], since: "6.12", needs: needs) {
        test in
        let opened = try FileOpening(test, "exe_file_path")
        try opened.open("/proc/self/status")
        var room = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/self/exe", &room, room.count)
        try test.require(count > 0, "/proc/self/exe is read")
        let own = String(decoding: room[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        test.expect(try opened.path(), equals: own, "path of the exe file")
        test.expect(try opened.result(), equals: Int32(own.utf8.count + 1), "length with the NUL")
    }
    Case("K-002", "the exe file is acquired where the program cannot sleep", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "exe_file_not_sleepable")
        try opened.open("/proc/self/status")
        test.expect(try opened.object.value(of: "found", as: Int32.self), equals: 1, "exe files acquired")
    }
    Case("K-003", "the exe file of an argument is acquired in lsm.s/task_alloc", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "exe_file_of_argument")
        let child = try Worker { _ in "" }
        _ = try child.finish()
        test.expect(try opened.object.value(of: "runs", as: Int32.self), equals: 1, "runs for one fork")
        test.expect(try opened.object.value(of: "found", as: Int32.self), equals: 1, "exe files acquired")
    }
    Case("K-019", "bpf_path_d_path writes the path and returns its length and one", since: "6.12", needs: needs) {
        test in
        let opened = try FileOpening(test, "d_path")
        let name = try opened.scratchFile()
        try opened.open(name)
        test.expect(try opened.path(), equals: name, "path of the file opened")
        test.expect(try opened.result(), equals: Int32(name.utf8.count + 1), "length with the NUL")
    }
    Case("K-019.root", "bpf_path_d_path of the root is a slash", spec: ["K-019"], since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "d_path")
        try opened.open("/")
        test.expect(try opened.path(), equals: "/", "path of the directory opened")
        test.expect(try opened.result(), equals: 2, "length with the NUL")
    }
    Case(
        "K-019.deep", "bpf_path_d_path writes a path of nearly 4096 bytes, through a mount", spec: ["K-019"],
        since: "6.12", needs: needs
    ) { test in
        let opened = try FileOpening(test, "d_path", attach: false)
        _ = try opened.scratchFile()
        var folder = FileScratch.folder
        while folder.utf8.count + 201 + 5 < 4096 {
            folder += "/" + String(repeating: "d", count: 200)
            _ = try Errno.check(unsafe mkdir(folder, 0o755))
        }
        let name = folder + "/file"
        _ = FileHandle(try Descriptors.open(name, O_WRONLY | O_CREAT))
        try opened.attach()
        try opened.open(name)
        test.expect(try opened.path(), equals: name, "path of the file opened")
        test.expect(try opened.result(), equals: Int32(name.utf8.count + 1), "length with the NUL")
    }
    Case(
        "K-019.pipe", "bpf_path_d_path names what has no place in a file system", spec: ["K-019"], since: "6.12",
        needs: needs
    ) { test in
        let pipe = try Descriptors.pipe()
        let reading = FileHandle(pipe.first)
        let writing = FileHandle(pipe.second)
        var status = stat()
        _ = try Errno.check(unsafe fstat(reading.raw, &status))
        let opened = try FileOpening(test, "d_path")
        try opened.open("/proc/self/fd/\(reading.raw)")
        let name = "pipe:[\(status.st_ino)]"
        test.expect(try opened.path(), equals: name, "path of the pipe opened")
        test.expect(try opened.result(), equals: Int32(name.utf8.count + 1), "length with the NUL")
        writing.close()
    }
    Case("K-024", "bpf_path_d_path into no room is EINVAL", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "d_path_in_room")
        try opened.object.set("room", to: UInt64(0))
        try opened.open("/proc/self/status")
        test.expect(try opened.error(), .EINVAL, "bpf_path_d_path with size 0")
    }
    Case(
        "K-025", "bpf_path_d_path into too little room is ENAMETOOLONG, into just enough the path", since: "6.12",
        needs: needs
    ) { test in
        let opened = try FileOpening(test, "d_path_in_room")
        let name = try opened.scratchFile()
        for size in [1, 2, 4, name.utf8.count] {
            try opened.object.set("room", to: UInt64(size))
            try opened.open(name)
            test.expect(try opened.error(), .ENAMETOOLONG, "bpf_path_d_path with size \(size) of \(name)")
        }
        try opened.object.set("room", to: UInt64(name.utf8.count + 1))
        try opened.open(name)
        test.expect(try opened.result(), equals: Int32(name.utf8.count + 1), "length with the NUL")
        test.expect(try opened.path(), equals: name, "path of the file opened")
    }
    Case("K-026", "bpf_path_d_path says that a file is deleted", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "d_path", attach: false)
        let name = try opened.scratchFile()
        let descriptor = FileHandle(try Descriptors.open(name, O_RDONLY))
        try test.require(unsafe unlink(name) == 0, "the file is unlinked")
        try opened.attach()
        try opened.open("/proc/self/fd/\(descriptor.raw)")
        test.expect(try opened.path(), equals: name + " (deleted)", "path of the file opened")
    }
    Case(
        "K-027", "100000 acquires and releases leave the exe file's reference count as it was", since: "6.12",
        needs: needs + [Features.iterNum]
    ) { test in
        let counting = try FileOpening(test, "exe_file_count")
        let references = {
            try counting.open("/proc/self/status")
            return try counting.object.value(of: "count", as: Int64.self)
        }
        let before = try references()
        let churning = try FileOpening(test, "exe_file")
        try churning.object.set("repeat", to: Int32(100_000))
        try churning.open("/proc/self/status")
        test.expect(try churning.object.value(of: "found"), equals: Int32(100_000), "pairs of acquire and release")
        churning.detach()
        test.expect(try references(), equals: before, "references after the loop")
        // That the count shows references at all: a child holds the file for as long as it lives.
        let child = try Worker { stop in
            try stop.wait()
            return ""
        }
        test.expect(try references() > before, "a running child adds references")
        _ = try child.finish()
        test.expect(try references(), equals: before, "references at the end")
    }
    Case("K-028", "a kernel thread has no exe file", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "exe_file_of_kthread")
        try opened.object.set("found", to: Int32(-1))
        try opened.open("/proc/self/status")
        test.expect(try opened.object.value(of: "found", as: Int32.self), equals: 0, "0: NULL")
    }
    Case("K-029", "bpf_get_file_xattr reads an attribute of user.", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "xattr_user")
        let name = try opened.scratchFile(attribute: ("user.kfuncs", "a value"))
        try opened.open(name)
        test.expect(try opened.result(), equals: 7, "length of the value")
        let value = try opened.object.bytes(of: "value").prefix(7)
        test.expect(String(decoding: value, as: UTF8.self), equals: "a value", "the value")
    }
    Case("K-030", "bpf_get_file_xattr refuses trusted.", since: "6.12", needs: needs) { test in
        let opened = try FileOpening(test, "xattr_trusted")
        try opened.open(try opened.scratchFile(attribute: ("trusted.x", "a value")))
        test.expect(try opened.error(), .EPERM, "bpf_get_file_xattr of trusted.x")
    }
    Case(
        "K-031", "bpf_get_file_xattr refuses security.bpf. in 6.12 and looks for it from 6.15 on", since: "6.12",
        needs: needs
    ) { test in
        let opened = try FileOpening(test, "xattr_security_bpf")
        try opened.open(try opened.scratchFile())
        // security.bpf. was let in in 6.15: then it is looked for, and is not set here.
        let expected: Errno = KernelRelease.running < KernelRelease(6, 15) ? .EPERM : .ENODATA
        test.expect(try opened.error(), expected, "bpf_get_file_xattr of security.bpf.x, which is not set")
    }
    refusedFilePrograms.map { $0.asCase("kfuncs/file_fail.bpf.o", needs: needs) }
}
