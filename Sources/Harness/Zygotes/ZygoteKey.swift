// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// The name of a zygote: a hash of everything that it is made from.
///
/// Two XXH64 of different seeds: 128 bits against accidents. The cache is the user's own, so there is no attacker.
struct ZygoteKey: Sendable, Equatable {
    let release: String
    let settings: MachineSettings
    let qemu: String
    private let hash: String

    /// Grows when zygotes of an older bpftest must not be used.
    private static let version = "zygote 1"

    init(
        qemu: QEMU, settings: MachineSettings, files: BootFiles, pushed: [GuestFile], release: String
    ) throws(MachineError) {
        self.release = release
        self.settings = settings
        self.qemu = qemu.version
        var key = ByteWriter()
        key.append(Self.version)
        key.append("protocol \(guestProtocolVersion)")
        // A QEMU that was built anew with the old version's number is another one.
        key.append("\(qemu.version) \(Self.stamp(qemu.path))")
        let line = QEMUCommandLine(
            qemu: qemu, settings: settings, start: .restore(memory: ""),
            wiring: .inherited(QEMUCommandLine.Channels(console: 3, qmp: 4, control: 5, output: 6, error: 7)))
        key.append(line.arguments)
        key.append(settings.commandLine)
        // What KVM shows of the host's processor is in the frozen guest's memory.
        if settings.accelerator == .kvm { key.append(Self.host) }
        for file in [files.kernel, files.initramfs] { key.append(try Self.content(file)) }
        for file in pushed {
            key.append(file.path)
            key.append(file.mode)
            switch file.source {
            case .file(let path): key.append(try Self.content(path))
            case .bytes(let bytes): key.append(XXH64.hash(bytes))
            }
        }
        hash = [UInt64(0), 1].map { seed in
            var sum = XXH64(seed: seed)
            unsafe key.bytes.withUnsafeBytes { unsafe sum.update($0) }
            let text = String(sum.digest, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
    }

    /// The folder's name.
    var name: String { "\(release)-\(hash)" }

    private static func stamp(_ path: String) -> String {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return "?" }
        return "\(status.st_size) \(status.st_mtim.tv_sec) \(status.st_mtim.tv_nsec)"
    }

    private static var host: String {
        let cpu = (try? readFile("/proc/cpuinfo", limit: 4096)) ?? []
        let kernel = (try? readFile("/proc/sys/kernel/osrelease")) ?? []
        let lines = String(decoding: cpu, as: UTF8.self).split(separator: "\n").filter {
            $0.hasPrefix("model name") || $0.hasPrefix("flags")
        }
        return lines.prefix(2).joined(separator: "\n") + String(decoding: kernel, as: UTF8.self)
    }

    /// Two hashes of a file's content.
    private static func content(_ path: FilePath) throws(MachineError) -> [UInt8] {
        do {
            let file = try Descriptors.open(path.string, O_RDONLY)
            var first = XXH64(seed: 0)
            var second = XXH64(seed: 1)
            var chunk = [UInt8](repeating: 0, count: 1 << 20)
            while true {
                let count = try file.read(into: &chunk)
                if count == 0 { break }
                unsafe chunk.withUnsafeBytes { raw in
                    let part = unsafe UnsafeRawBufferPointer(rebasing: raw[..<count])
                    unsafe first.update(part)
                    unsafe second.update(part)
                }
            }
            var writer = ByteWriter()
            writer.append(first.digest)
            writer.append(second.digest)
            return writer.bytes
        } catch {
            throw .system("\(path) cannot be read", error)
        }
    }
}
