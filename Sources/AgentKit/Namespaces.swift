// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// Namespaces of the calling process.
public enum Namespaces {
    public enum Kind: Sendable {
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
    }

    /// Leaves a namespace for a new one; nil on success.
    public static func unshare(_ kind: Kind) -> Errno? {
        clinux_unshare(kind.flag) == 0 ? nil : Errno.last
    }

    /// Enters the namespace behind a descriptor (/proc/PID/ns/…); nil on success.
    public static func enter(_ descriptor: CInt) -> Errno? {
        clinux_setns(descriptor, 0) == 0 ? nil : Errno.last
    }

    /// Keeps mounts from propagating to other mount namespaces; nil on success.
    public static func makeMountsPrivate() -> Errno? {
        unsafe mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0 ? nil : Errno.last
    }
}
