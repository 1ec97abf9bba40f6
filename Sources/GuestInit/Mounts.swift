// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// The file systems that BPF tests expect, where everybody expects them.
enum Mounts {
    private struct Mount {
        var type: String
        var path: String
        var options = ""
        /// Flags of mount(2); code on these file systems is executed (/tmp, /run) or not.
        var flags = MS_NOSUID | MS_NODEV
    }

    private static var table: [Mount] {
        [
            Mount(type: "sysfs", path: "/sys"),
            Mount(type: "devtmpfs", path: "/dev", flags: MS_NOSUID),
            Mount(type: "tmpfs", path: "/run", options: "mode=755"),
            Mount(type: "tmpfs", path: "/tmp", options: "mode=1777"),
            Mount(type: "bpf", path: "/sys/fs/bpf", options: "mode=700"),
            Mount(type: "cgroup2", path: "/sys/fs/cgroup"),
            Mount(type: "debugfs", path: "/sys/kernel/debug"),
            Mount(type: "tracefs", path: "/sys/kernel/tracing"),
            Mount(type: "securityfs", path: "/sys/kernel/security"),
        ]
    }

    /// Mounts all of them.
    ///
    /// - Returns: what could not be mounted, a sentence each: a kernel without tracefs can still run most cases.
    static func all() -> [String] {
        var notes: [String] = []
        for mount in table {
            makeDirectories(mount.path)
            let result = unsafe Glibc.mount(
                mount.type, mount.path, mount.type, UInt(mount.flags), mount.options)
            if result != 0 {
                let error = Errno.last
                notes.append("\(mount.type) cannot be mounted on \(mount.path): \(error.name)")
            }
        }
        return notes
    }

    /// Makes a directory and its parents; what exists already is left alone.
    static func makeDirectories(_ path: String) {
        var prefix = ""
        for component in path.split(separator: "/") {
            prefix += "/" + component
            // A failure shows where the directory is used, with its own error.
            _ = unsafe mkdir(prefix, 0o755)
        }
    }
}
