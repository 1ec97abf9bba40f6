// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// A program that is loaded for a case and held by nothing but what the case does with it: whether the kernel still has
/// it tells whether a reference is left.
final class OwnProgram {
    private let handle: FileHandle
    let id: UInt32

    /// A program that returns one value.
    init(_ type: ProgramType, _ attachType: AttachType, returning value: Int32) throws {
        let loaded = RawProgram.returning(value, type, expectedAttachType: attachType.rawValue).load()
        handle = try loaded.program.get()
        id = try BPFInfo.programID(handle.raw).get()
    }

    /// For sockets made in a cgroup.
    static func forSockets() throws -> OwnProgram {
        try OwnProgram(.cgroupSock, .cgroupSockCreate, returning: 1)
    }

    var fd: CInt { handle.raw }

    func close() { handle.close() }
}

extension Test {
    /// States that the kernel still has a program, or that it has let go of it.
    func expect(
        _ program: OwnProgram, isThere: Bool, _ when: String, file: String = #fileID, line: Int = #line
    ) throws {
        let exists =
            isThere
            ? try BPFInfo.exists(.program, program.id) : !(try BPFInfo.stillThere(.program, [program.id]).isEmpty)
        expect(exists, equals: isThere, "the program's id is in use \(when)", file: file, line: line)
    }

    /// States that the kernel has let go of a link.
    func expect(linkIsGone id: UInt32, file: String = #fileID, line: Int = #line) throws {
        expect(try BPFInfo.stillThere(.link, [id]), equals: [], "links that are left", file: file, line: line)
    }
}

/// A directory in a bpffs; emptied and removed when the case is over.
final class BPFDirectory {
    let path: String

    init(_ test: Test) throws {
        let root = "/sys/fs/bpf"
        path = "\(root)/bpftest-\(getpid())"
        // GuestInit mounts it; an agent that runs elsewhere does it itself.
        if unsafe mkdir(path, 0o700) != 0 {
            unsafe mkdir(root, 0o755)
            _ = try Errno.check(unsafe mount("bpf", root, "bpf", 0, nil))
            _ = try Errno.check(unsafe mkdir(path, 0o700))
        }
        test.atEnd { [self, test] in
            for name in ["link"] where unsafe access("\(path)/\(name)", F_OK) == 0 {
                test.expect(remove(name), nil, "\(name) is unlinked at the end")
            }
            test.expect(unsafe rmdir(path) == 0 ? nil : Errno.last, nil, "\(path) is removed at the end")
        }
    }

    /// unlink(2); nil on success.
    func remove(_ name: String) -> Errno? {
        unsafe unlink("\(path)/\(name)") == 0 ? nil : Errno.last
    }
}
