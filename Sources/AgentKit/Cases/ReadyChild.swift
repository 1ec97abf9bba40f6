// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// The process of a case, the leader of a process group: forked for it, or in advance and waiting to be told which.
final class ReadyChild: @unchecked Sendable {
    // SAFETY: agents have one thread.
    let pid: Int32
    /// Where the child reports.
    let report: FileHandle
    /// Readable when the child has ended.
    let process: FileHandle
    private let control: FileHandle?
    /// Keeps the child's network namespace.
    private var network: FileHandle?

    /// Forks.
    ///
    /// - Parameter body: run in the child, with the writing end of the report.
    convenience init(_ body: (FileHandle) -> Never) throws(Errno) {
        try self.init(waits: false) { writing, _ in body(writing) }
    }

    /// Forks.
    ///
    /// - Parameters:
    ///   - waits: the child calls `nextCase` before it does anything that belongs to a case; this returns when it has
    ///     come to that.
    ///   - body: run in the child; `nextCase` waits for `begin` and returns its id, nil when none will come.
    init(waits: Bool, _ body: (FileHandle, _ nextCase: () -> String?) -> Never) throws(Errno) {
        let reports = try Descriptors.pipe()
        let controls = try Descriptors.pipe()
        report = FileHandle(reports.first)
        let writing = FileHandle(reports.second)
        let ours = FileHandle(controls.second)
        let theirs = FileHandle(controls.first)
        pid = try Errno.check(clinux_fork())
        if pid == 0 {
            setpgid(0, 0)
            ours.close()
            report.close()
            body(writing) { Self.nextCase(theirs, writing) }
        }
        // Also done by the child: whoever comes first, the group exists before anybody signals it.
        setpgid(pid, pid)
        writing.close()
        theirs.close()
        process = FileHandle(try Descriptors.process(pid))
        control = waits ? ours : nil
        if !waits {
            ours.close()
            return
        }
        var answer: [UInt8] = [0]
        guard try report.read(into: &answer) == 1 else { throw .noChildProcess }
        network = FileHandle(try Descriptors.open("/proc/\(pid)/ns/net", O_RDONLY))
    }

    /// Tells a child that waits which case is its own.
    func begin(_ id: String) throws(Errno) {
        try control?.writeAll(Array(id.utf8) + [0])
    }

    private static func nextCase(_ control: FileHandle, _ report: FileHandle) -> String? {
        do {
            // Says that it waits.
            try report.writeAll([0x0a])
            var id: [UInt8] = []
            var byte: [UInt8] = [0]
            while try control.read(into: &byte) == 1 {
                if byte[0] == 0 { return String(decoding: id, as: UTF8.self) }
                id.append(byte[0])
            }
        } catch {
            // The parent is gone: nobody wants the case.
        }
        return nil
    }

    /// Called when the child's result has been passed on: the end of its network namespace is work that the kernel would
    /// do before, as soon as the child ends.
    func letGo() {
        network = nil
    }
}
