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

    /// Sets one of what a descriptor stands for, such as a socket.
    public static func set(_ name: String, to value: String, ofDescriptor raw: CInt) throws(Errno) {
        _ = try Errno.check(unsafe fsetxattr(raw, name, value, value.utf8.count, 0))
    }

    /// The value as text.
    public static func value(_ name: String, of path: String) -> Result<String, Errno> {
        var room = [UInt8](repeating: 0, count: 65536)
        let count = unsafe room.withUnsafeMutableBytes { unsafe getxattr(path, name, $0.baseAddress, $0.count) }
        if count < 0 { return .failure(Errno.last) }
        return .success(String(decoding: room[..<count], as: UTF8.self))
    }

    /// nil on success.
    public static func remove(_ name: String, of path: String) -> Errno? {
        unsafe removexattr(path, name) == 0 ? nil : Errno.last
    }
}
