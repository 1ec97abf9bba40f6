// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
public import SystemPackage

/// Keys that the kernel keeps for the calling process: keyrings(7).
public enum Keys {
    public static let threadRing: Int32 = -1
    public static let processRing: Int32 = -2

    /// Adds a key to a keyring.
    ///
    /// - Parameters:
    ///   - type: `user`, or `keyring` without a payload.
    ///   - ring: of the process's own, made when it is not there; goes with the process.
    /// - Returns: its serial number.
    public static func add(
        _ type: String, _ description: String, payload: [UInt8], to ring: Int32 = processRing
    ) throws(Errno) -> Int32 {
        let serial = unsafe payload.withUnsafeBytes {
            unsafe clinux_add_key(type, description, $0.isEmpty ? nil : $0.baseAddress, $0.count, ring)
        }
        return try Errno.check(serial)
    }

    /// From now on nobody may use the key; it is kept for a while.
    public static func revoke(_ serial: Int32) throws(Errno) {
        if clinux_keyctl(3, UInt(UInt32(bitPattern: serial)), 0) < 0 { throw Errno.last }  // KEYCTL_REVOKE
    }
}
