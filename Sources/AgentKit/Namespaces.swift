// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// Namespaces of the calling process.
public enum Namespaces {
    public enum Kind: Sendable, CaseIterable {
        case network, mount, process, user, cgroup, ipc, hostname

        var flag: CInt {
            switch self {
            case .network: 0x4000_0000
            case .mount: 0x0002_0000
            case .process: 0x2000_0000
            case .user: 0x1000_0000
            case .cgroup: 0x0200_0000
            case .ipc: 0x0800_0000
            case .hostname: 0x0400_0000
            }
        }

        /// Its name in /proc/PID/ns.
        public var name: String {
            switch self {
            case .network: "net"
            case .mount: "mnt"
            case .process: "pid"
            case .user: "user"
            case .cgroup: "cgroup"
            case .ipc: "ipc"
            case .hostname: "uts"
            }
        }
    }

    /// Leaves a namespace for a new one; nil on success.
    public static func unshare(_ kind: Kind) -> Errno? {
        unshare([kind])
    }

    /// Leaves namespaces for new ones, all at once; nil on success. A new pid namespace is for the children.
    public static func unshare(_ kinds: [Kind]) -> Errno? {
        clinux_unshare(kinds.reduce(0) { $0 | $1.flag }) == 0 ? nil : Errno.last
    }

    /// Enters the namespace behind a descriptor (/proc/PID/ns/…); nil on success.
    public static func enter(_ descriptor: CInt) -> Errno? {
        clinux_setns(descriptor, 0) == 0 ? nil : Errno.last
    }

    /// Keeps mounts from propagating to other mount namespaces; nil on success.
    public static func makeMountsPrivate() -> Errno? {
        unsafe mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0 ? nil : Errno.last
    }

    /// A descriptor of one of a process's namespaces.
    ///
    /// - Parameter pid: nil for the calling process.
    public static func open(_ kind: Kind, of pid: Int32? = nil) throws(Errno) -> FileHandle {
        FileHandle(try Descriptors.open("/proc/\(pid.map(String.init) ?? "self")/ns/\(kind.name)", O_RDONLY))
    }

    /// What a namespace is known by: the device and the inode number of its file (namespaces(7)).
    public struct Identity: Sendable, Equatable {
        /// As the kernel counts them, major << 20 | minor, not as stat(2) packs them.
        public var device: UInt64
        public var inode: UInt64

        public init(device: UInt64, inode: UInt64) {
            self.device = device
            self.inode = inode
        }
    }

    public static func identity(_ kind: Kind, of pid: Int32? = nil) throws(Errno) -> Identity {
        var status = stat()
        _ = try Errno.check(unsafe stat("/proc/\(pid.map(String.init) ?? "self")/ns/\(kind.name)", &status))
        let device = UInt64(gnu_dev_major(status.st_dev)) << 20 | UInt64(gnu_dev_minor(status.st_dev))
        return Identity(device: device, inode: UInt64(status.st_ino))
    }

    /// In a new user namespace: makes root of it what was root outside. Called by the process that has made it.
    public static func mapRoot() throws(Errno) {
        // Without privileges in the parent namespace a group map is taken only after this.
        try write("deny", to: "setgroups")
        try write("0 0 1", to: "uid_map")
        try write("0 0 1", to: "gid_map")
    }

    private static func write(_ text: String, to file: String) throws(Errno) {
        try Descriptors.open("/proc/self/\(file)", O_WRONLY).writeAll(Array(text.utf8))
    }

    /// The cookie of the caller's network namespace: SO_NETNS_COOKIE of a socket in it (5.14).
    public static func networkCookie() throws(Errno) -> UInt64 {
        let socket = FileHandle(
            adopting: try Errno.check(socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)))
        var cookie: UInt64 = 0
        _ = try Errno.check(unsafe clinux_netns_cookie(socket.raw, &cookie))
        return cookie
    }
}

extension Feature {
    /// SO_NETNS_COOKIE (commit e8b9eab99232, 5.14).
    public static let networkCookie = Feature("netns-cookie-option", since: "5.14") {
        do throws(Errno) {
            _ = try Namespaces.networkCookie()
            return .present
        } catch {
            return .absent(evidence: "getsockopt of SO_NETNS_COOKIE: \(error.name) (\(error.rawValue))")
        }
    }
}
