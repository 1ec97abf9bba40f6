// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
public import SystemPackage

/// Capabilities of the calling process.
public enum Capability: CInt, Sendable {
    case netAdmin = 12
    case sysAdmin = 21
    case sysBoot = 22
    case perfmon = 38
    case bpf = 39

    /// Gives it up for good; nil on success.
    public func drop() -> Errno? {
        clinux_drop_capability(rawValue) == 0 ? nil : Errno.last
    }
}
