// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// What a guest that was frozen must be told: its clock stood still, and other guests have the same random state.
enum Resumed {
    /// - Returns: what did not work, in words.
    static func set(_ resumption: HostMessage.Resumption) -> String? {
        var time = timespec()
        time.tv_sec = Int(resumption.unixNanoseconds / 1_000_000_000)
        time.tv_nsec = Int(resumption.unixNanoseconds % 1_000_000_000)
        if unsafe clock_settime(CLOCK_REALTIME, &time) != 0 {
            return "the clock cannot be set: \(Errno.last.name)"
        }
        do {
            let random = try Descriptors.open("/dev/urandom", O_WRONLY)
            let added = unsafe resumption.entropy.withUnsafeBytes {
                unsafe clinux_add_entropy(random.raw, $0.baseAddress, $0.count)
            }
            if added != 0 { return "the random number generator takes no entropy: \(Errno.last.name)" }
        } catch {
            return "/dev/urandom cannot be opened: \(error.name)"
        }
        return nil
    }
}
