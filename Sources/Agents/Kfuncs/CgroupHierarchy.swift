// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// A named hierarchy of cgroups of version 1, without controllers; gone with the case.
final class Cgroup1Hierarchy {
    private static let folder = "/tmp/kfuncs-cgroup1"
    static let name = "bpftest"
    /// The kernel's id of the hierarchy.
    let number: Int32

    init(_ test: Test) throws {
        if let errno = Self.mount() { throw errno }
        unsafe mkdir(Self.folder + "/inside", 0o755)
        test.atEnd {
            // A hierarchy that is left behind is taken over by the next mount.
            try? Self.write("0", to: "/cgroup.procs")
            unsafe rmdir(Self.folder + "/inside")
            unsafe umount(Self.folder)
        }
        let lines = String(decoding: try readFile("/proc/self/cgroup"), as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.contains(":name=\(Self.name):") }),
            let number = line.split(separator: ":").first.flatMap({ Int32($0) })
        else { throw test.abort("the hierarchy has no line in /proc/self/cgroup") }
        self.number = number
    }

    /// Moves the calling process to one of its cgroups; "" is the root.
    func join(_ name: String) throws {
        try Self.write("0", to: "/\(name)/cgroup.procs")
    }

    func id(_ name: String) throws -> UInt64 {
        var status = stat()
        _ = try Errno.check(unsafe stat(Self.folder + "/" + name, &status))
        return UInt64(status.st_ino)
    }

    private static func write(_ text: String, to file: String) throws {
        try Descriptors.open(folder + file, O_WRONLY).writeAll(Array(text.utf8))
    }

    /// nil on success.
    static func mount() -> Errno? {
        unsafe mkdir("/tmp", 0o755)
        unsafe mkdir(folder, 0o755)
        return unsafe Glibc.mount("none", folder, "cgroup", 0, "none,name=\(name)") == 0 ? nil : Errno(rawValue: errno)
    }

    static func unmount() {
        unsafe umount(folder)
    }
}

extension Feature {
    /// Named hierarchies of version 1.
    static let cgroup1 = Feature("cgroup1", since: "2.6.24", config: ["CONFIG_CGROUPS"]) {
        guard let errno = Cgroup1Hierarchy.mount() else {
            Cgroup1Hierarchy.unmount()
            return .present
        }
        return .absent(evidence: "mount of a named cgroup hierarchy: \(errno.name) (\(errno.rawValue))")
    }
}
