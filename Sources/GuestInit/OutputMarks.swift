// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// Says on the console how much of a job's stdout has been passed on: `bpftest: output BYTES`.
///
/// Output and console reach the host on two ways, and only the console's own order tells after which byte a complaint of
/// the kernel came. While there are marks, init runs before everything else: it has passed on and marked what a program
/// wrote before the program goes on, where both share a processor; with more than one, a few microseconds later.
final class OutputMarks {
    private let log: OwnedFD

    init() throws(Errno) {
        log = try Descriptors.open("/dev/kmsg", O_WRONLY)
        Self.goFirst(true)
    }

    deinit {
        Self.goFirst(false)
    }

    func mark(_ bytes: UInt64) {
        let line = Array("<4>bpftest: output \(bytes)\n".utf8)
        // The log takes a line whole or not at all; without the mark the one before it counts.
        unsafe line.withUnsafeBytes { _ = unsafe write(log.raw, $0.baseAddress, $0.count) }
    }

    /// A kernel that refuses leaves init as it is: marks then may come late.
    private static func goFirst(_ yes: Bool) {
        _ = clinux_go_first(yes ? 1 : 0)
    }
}
