// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// A tmpfs of the case's own, which has extended attributes whatever the root file system is; gone with the case's
/// mount namespace.
enum FileScratch {
    static let folder = "/tmp/kfuncs"

    static func mount() throws {
        unsafe mkdir("/tmp", 0o755)
        unsafe mkdir(folder, 0o755)
        _ = try Errno.check(unsafe Glibc.mount("none", folder, "tmpfs", 0, nil))
    }

    /// Makes an empty file.
    ///
    /// - Returns: its path.
    static func file(_ name: String = "file", mode: UInt32 = 0o644) throws -> String {
        let path = folder + "/" + name
        _ = FileHandle(try Descriptors.open(path, O_WRONLY | O_CREAT, mode: mode))
        return path
    }
}
