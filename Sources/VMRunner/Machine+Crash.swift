// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// What is taken from a machine whose kernel broke or answers no more.
extension Machine {
    /// Has QEMU keep the machine, paused, when its guest goes down: what is in its memory can still be looked at.
    ///
    /// The event SHUTDOWN then comes without `.ended`.
    public func keepWhenDown() {
        sendMonitor("set-action", arguments: #"{"shutdown":"pause"}"#)
    }

    /// Sends QEMU a command and waits for its answer.
    ///
    /// - Parameter others: gets what happens meanwhile.
    /// - Returns: the answer, where it is a text.
    /// - Throws: `.refused` with QEMU's reason; `.timedOut`; `.qemuEnded`.
    public func ask(
        _ command: String, arguments: [String: Any] = [:], limit: Duration = .seconds(20),
        others: (Event) -> Void = { _ in }
    ) throws(MachineError) -> String {
        guard let json = try? JSONSerialization.data(withJSONObject: arguments, options: .sortedKeys) else {
            throw .refused("the arguments of \(command) are no JSON")
        }
        let number = sendMonitor(command, arguments: String(decoding: json, as: UTF8.self))
        let deadline = ContinuousClock.now + limit
        while let event = try next(until: deadline) {
            switch event {
            case .monitor(.reply(number, let text)): return text ?? ""
            case .monitor(.failure(number, let reason)): throw .refused(reason)
            case .ended(let how):
                throw .qemuEnded(how, message: complaints, console: console.tail())
            default: others(event)
            }
        }
        throw .timedOut("QEMU did not answer \(command) in \(limit.inSeconds) s", console: console.tail())
    }

    /// The answer of a command of QEMU's monitor for people.
    ///
    /// - Parameter processor: whose registers and memory it is about.
    public func askMonitor(
        _ line: String, processor: Int = 0, others: (Event) -> Void = { _ in }
    ) throws(MachineError) -> String {
        try ask(
            "human-monitor-command", arguments: ["command-line": line, "cpu-index": processor], others: others)
    }

    /// Writes the guest's memory as a vmcore that crash(8) and drgn open: kdump's compressed format.
    ///
    /// The file comes into being by a rename: half of one is never seen under its name.
    /// - Parameters:
    ///   - path: the file; its folder must be there.
    ///   - byteLimit: a larger one is removed again.
    /// - Throws: what went wrong; nothing is left behind then.
    public func writeCore(
        to path: FilePath, byteLimit: Int, limit: Duration = .seconds(120), others: (Event) -> Void = { _ in }
    ) throws(MachineError) {
        let name = path.lastComponent?.string ?? "vmcore"
        let folder = path.removingLastComponent()
        Self.removeParts(in: folder)
        // The process is named: a later one knows whether it is still being written.
        let part = folder.appending(".\(name).\(getpid()).part")
        defer { _ = unsafe unlink(part.string) }
        let absolute = part.isAbsolute ? part : FilePath(FileManager.default.currentDirectoryPath).pushing(part)
        var request: [String: Any] = ["paging": false, "protocol": "file:\(absolute)", "format": "kdump-raw-zlib"]
        do {
            _ = try ask("dump-guest-memory", arguments: request, limit: limit, others: others)
        } catch .refused(let reason) where reason.contains("format") || reason.contains("kdump-raw") {
            // QEMU before 8.2 has the flattened form alone, which makedumpfile -R makes the other of.
            request["format"] = "kdump-zlib"
            _ = try ask("dump-guest-memory", arguments: request, limit: limit, others: others)
        }
        do {
            try Self.nameSystem(part)
        } catch {
            throw .system("\(part) cannot be completed", error)
        }
        var status = stat()
        guard unsafe stat(part.string, &status) == 0 else { throw .system("\(part) is not there", Errno.last) }
        guard status.st_size <= byteLimit else {
            throw .refused(
                "it would have \(status.st_size >> 20) MiB, more than the \(byteLimit >> 20) MiB that it may have")
        }
        guard unsafe rename(part.string, path.string) == 0 else {
            throw .system("\(path) cannot be written", Errno.last)
        }
    }

    /// Fills in what QEMU leaves out of the header: without a system's names libkdumpfile, and so drgn, does not know the
    /// machine that the memory is of.
    ///
    /// - Source: `struct disk_dump_header` of makedumpfile: the six names of `struct utsname` at 12, 65 bytes each; the
    ///   release from the kernel's own vmcoreinfo.
    private static func nameSystem(_ path: FilePath) throws(Errno) {
        // QEMU makes a file that is only to be read.
        _ = try Errno.check(unsafe chmod(path.string, 0o600))
        let file = try Descriptors.open(path.string, O_RDWR)
        var start = [UInt8](repeating: 0, count: 1 << 16)
        let count = try file.readExactly(start.count, into: &start)
        // Older QEMU's flattened form is put together by makedumpfile first.
        guard start.starts(with: Array("KDUMP   ".utf8)) else { return }
        let text = String(decoding: start[..<count], as: UTF8.self)
        let release = text.firstRange(of: "OSRELEASE=").map { text[$0.upperBound...].prefix { $0 != "\n" } }
        for (index, name) in ["Linux", "bpftest", String((release ?? "?").prefix(64)), "?", "x86_64"].enumerated() {
            let bytes = Array(name.utf8.prefix(64)) + [0]
            let written = unsafe bytes.withUnsafeBytes {
                unsafe pwrite(file.raw, $0.baseAddress, $0.count, off_t(12 + 65 * index))
            }
            _ = try Errno.check(written)
        }
    }

    /// Removes what processes that are gone were writing.
    private static func removeParts(in folder: FilePath) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        for name in names where name.hasPrefix(".") && name.hasSuffix(".part") {
            guard let pid = name.dropLast(5).split(separator: ".").last.flatMap({ Int32($0) }), pid != getpid(),
                Glibc.kill(pid, 0) != 0, Errno.last == .noSuchProcess
            else { continue }
            _ = unsafe unlink(folder.appending(name).string)
        }
    }
}
