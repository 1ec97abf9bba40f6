// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Loading as a user without the capabilities that BPF asks for, in the calling process.
struct Unprivileged {
    private static let sysctl = "/proc/sys/kernel/unprivileged_bpf_disabled"
    /// NET_ADMIN, SYS_ADMIN, PERFMON, BPF.
    private static let dropped: UInt64 = 1 << 12 | 1 << 21 | 1 << 38 | 1 << 39

    private let before: UInt64

    /// Lets unprivileged users load programs where that can be had; undone when the case is over.
    ///
    /// - Returns: why it cannot.
    static func allow(_ test: Test) -> String? {
        do throws(Errno) {
            // Without mitigations the verifier says other things to unprivileged users.
            let words = String(decoding: try readFile("/proc/cmdline"), as: UTF8.self).split(
                whereSeparator: \.isWhitespace)
            if words.contains("mitigations=off") { return "the kernel runs with mitigations=off" }
            let old = try readFile(sysctl)
            if old.first == 0x30 { return nil }
            try write([0x30, 0x0a])
            // Nothing to be done about it if it fails: the case's machine then keeps what it was given.
            test.atEnd { try? write(old) }
            return nil
        } catch {
            return "kernel.unprivileged_bpf_disabled cannot be set to 0: \(error.name)"
        }
    }

    private static func write(_ bytes: [UInt8]) throws(Errno) {
        let file = FileHandle(try Descriptors.open(sysctl, O_WRONLY))
        try file.writeAll(bytes)
        file.close()
    }

    /// Takes the capabilities out of the effective set.
    ///
    /// - Parameter kept: those that the program's annotations give back.
    init(keeping kept: UInt64) throws(Errno) {
        var set: UInt64 = 0
        _ = try Errno.check(unsafe clinux_effective_capabilities(&set))
        before = set
        _ = try Errno.check(clinux_set_effective_capabilities(set & ~Self.dropped | kept))
    }

    /// Gives them back.
    func end() throws(Errno) {
        _ = try Errno.check(clinux_set_effective_capabilities(before))
    }
}
