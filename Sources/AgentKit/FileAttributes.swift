// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// Extended attributes of files: xattr(7).
public enum FileAttributes {
    public static func set(_ name: String, to value: String, of path: String) throws(Errno) {
        _ = try Errno.check(unsafe setxattr(path, name, value, value.utf8.count, 0))
    }
}
