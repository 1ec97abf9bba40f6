// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
public import SystemPackage

/// The temporary files of one bpftest process, gone with it.
///
/// A process that was killed leaves its folder behind; the next one that starts sweeps it.
public final class WorkFolder: Sendable {
    public let path: FilePath
    /// bpftest-PID-START: names its machines too.
    var name: String { path.lastComponent?.string ?? "" }
    private static let prefix = "bpftest-"

    /// - Parameter environment: `TMPDIR` says where.
    public init(environment: [String: String]) throws(HarnessError) {
        let root = FilePath(environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp")
        Self.sweep(root)
        guard let start = Self.startTime(ProcessInfo.processInfo.processIdentifier) else {
            throw .infrastructure("/proc/self/stat cannot be read: is /proc mounted?")
        }
        path = root.appending("\(Self.prefix)\(ProcessInfo.processInfo.processIdentifier)-\(start)")
        do {
            try FileManager.default.createDirectory(
                atPath: path.string, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw .infrastructure("\(path) cannot be made: \(Folders.reason(error)) (TMPDIR names another place)")
        }
    }

    public func remove() {
        // What cannot be removed now is swept by the next run.
        try? FileManager.default.removeItem(atPath: path.string)
    }

    /// Removes the folders of processes that are gone. A process is known by its id and its start time together.
    private static func sweep(_ root: FilePath) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: root.string)) ?? [] {
            let parts = name.split(separator: "-")
            guard name.hasPrefix(prefix), parts.count == 3, let pid = Int32(parts[1]) else { continue }
            if startTime(pid).map(String.init) != String(parts[2]) {
                // Another user's folder stays: that user's next run sweeps it.
                try? FileManager.default.removeItem(atPath: root.appending(name).string)
            }
        }
    }

    /// Field 22 of /proc/PID/stat: clock ticks since the host's start.
    static func startTime(_ pid: Int32) -> UInt64? {
        guard let bytes = try? readFile("/proc/\(pid)/stat") else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        // The name in parentheses may hold anything; the fields behind it do not.
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }
}
