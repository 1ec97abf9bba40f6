// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import LinuxIO
internal import SystemPackage
public import VMRunner

/// Whether KVM works on this host: found out by running, kept for as long as the host runs.
public struct AcceleratorMemory: Sendable {
    private struct Record: Codable {
        var boot: String
        var qemu: String
        var reason: String
    }

    private let file: FilePath
    private let boot: String

    public init(folders: Folders) {
        file = folders.cache.appending("kvm.json")
        let bytes = (try? readFile("/proc/sys/kernel/random/boot_id")) ?? []
        boot = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// What to begin with, and why.
    public func choice(_ wanted: Accelerator?, qemu: QEMU) -> (Accelerator, String) {
        if let wanted { return (wanted, "\(wanted), as asked for") }
        guard FileManager.default.fileExists(atPath: "/dev/kvm") else { return (.tcg, "tcg, as there is no /dev/kvm") }
        guard FileManager.default.isReadableFile(atPath: "/dev/kvm"),
            FileManager.default.isWritableFile(atPath: "/dev/kvm")
        else { return (.tcg, "tcg, as this user may not open /dev/kvm") }
        if let data = FileManager.default.contents(atPath: file.string),
            let record = try? JSONDecoder().decode(Record.self, from: data),
            record.boot == boot, record.qemu == qemu.version
        {
            return (.tcg, "tcg, as kvm did not work since this host was started: \(record.reason)")
        }
        return (.kvm, "kvm")
    }

    func remember(broken reason: String, qemu: QEMU) {
        let record = Record(boot: boot, qemu: qemu.version, reason: reason)
        // Not being able to remember costs one more attempt next time, and nothing else.
        guard let data = try? JSONEncoder().encode(record) else { return }
        try? FileManager.default.createDirectory(
            atPath: file.removingLastComponent().string, withIntermediateDirectories: true)
        try? data.write(to: URL(fileURLWithPath: file.string), options: .atomic)
    }
}
