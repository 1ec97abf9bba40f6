// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// What a guest that was frozen must be told: its clock stood still, and other guests have the same random state.
///
/// Every first use of a kernel path costs a restored guest time, as its code has to be translated again: what can be
/// opened before the freeze is open.
final class Resumed {
    private let random: OwnedFD

    init() throws(Errno) {
        random = try Descriptors.open("/dev/urandom", O_WRONLY)
    }

    /// - Returns: what did not work, in words.
    func set(_ resumption: HostMessage.Resumption) -> String? {
        var time = timespec()
        time.tv_sec = Int(resumption.unixNanoseconds / 1_000_000_000)
        time.tv_nsec = Int(resumption.unixNanoseconds % 1_000_000_000)
        if unsafe clock_settime(CLOCK_REALTIME, &time) != 0 {
            return "the clock cannot be set: \(Errno.last.name)"
        }
        let added = unsafe resumption.entropy.withUnsafeBytes {
            unsafe clinux_add_entropy(random.raw, $0.baseAddress, $0.count)
        }
        return added == 0 ? nil : "the random number generator takes no entropy: \(Errno.last.name)"
    }
}
