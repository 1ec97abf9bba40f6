// SPDX-License-Identifier: Apache-2.0
internal import CLinux
public import SystemPackage

extension OwnedFD {
    /// Locks the open file for this descriptor alone (`flock(2)`), without waiting.
    ///
    /// The lock goes away with the descriptor, so also with the process.
    ///
    /// - Returns: nil with the lock taken; EAGAIN where another descriptor has it.
    public func tryLock() -> Errno? {
        clinux_try_lock(raw) == 0 ? nil : Errno.last
    }
}
