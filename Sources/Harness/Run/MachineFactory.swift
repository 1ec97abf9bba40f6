// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
public import VMRunner

/// Makes machines that are ready for agents: booted, with agent and objects in them.
final class MachineFactory {
    private let qemu: QEMU
    private let kernel: PreparedKernel
    private let files: [GuestFile]
    private let options: RunOptions
    private let memory: AcceleratorMemory
    private let work: WorkFolder
    private let cancellation: Cancellation
    private var machines = 0
    private(set) var accelerator: Accelerator
    /// Why this accelerator: for the report.
    private(set) var reason: String

    init(
        qemu: QEMU, kernel: PreparedKernel, agents: [Agent], guestFiles: GuestFiles, options: RunOptions,
        memory: AcceleratorMemory, work: WorkFolder, cancellation: Cancellation
    ) throws(HarnessError) {
        self.qemu = qemu
        self.kernel = kernel
        self.options = options
        self.memory = memory
        self.work = work
        self.cancellation = cancellation
        (accelerator, reason) = memory.choice(options.accelerator, qemu: qemu)
        var files = agents.map { GuestFile(.file($0.file), as: $0.guestPath, mode: 0o755) }
        for object in try guestFiles.allObjects() {
            files.append(GuestFile(.file(object.file), as: "\(Self.objects)/\(object.name)"))
        }
        self.files = files
    }

    static let objects = "/run/bpftest/objects"

    /// Boots a machine and brings everything in.
    ///
    /// - Returns: the machine, and what its init had to complain about.
    func make() throws(MachineError) -> (machine: Machine, notes: [String]) {
        let (machine, hello) = try bootWithFallback()
        try machine.push(files)
        return (machine, hello.notes)
    }

    private func bootWithFallback() throws(MachineError) -> (Machine, GuestMessage.Hello) {
        do {
            return try boot(verbose: false)
        } catch {
            guard accelerator == .kvm, options.accelerator == nil, let why = Self.accountForKVM(error) else {
                throw try explained(error)
            }
            accelerator = .tcg
            reason = "tcg, as kvm does not work here: \(why)"
            memory.remember(broken: why, qemu: qemu)
        }
        do {
            return try boot(verbose: false)
        } catch {
            throw try explained(error)
        }
    }

    /// Trouble that /dev/kvm of a nested or para-virtual host is known for, as against a kernel that breaks by itself.
    private static func accountForKVM(_ error: MachineError) -> String? {
        switch error {
        case .qemuEnded(let end, let message, _):
            message.isEmpty ? "QEMU ended (\(end))" : String(message.prefix { $0 != ";" })
        case .boot(.hung, let console) where console.isEmpty: "the kernel stayed silent"
        default: nil
        }
    }

    /// A boot that failed in silence is made once more with every message on the console: its last lines say where.
    private func explained(_ error: MachineError) throws(MachineError) -> MachineError {
        guard case .boot(let failure, let console) = error, console.count < 5 else { return error }
        switch failure {
        case .hung, .ended: break
        case .panicked, .noInit, .initFailed, .wrongVersion: return error
        }
        do {
            _ = try boot(verbose: true)
        } catch .boot(let again, let lines) {
            // The same once more, or the reason that the first boot did not tell.
            return .boot(again == .ended ? failure : again, console: lines)
        } catch {
            return error
        }
        // It came up this time: what is known is that it did not before.
        return error
    }

    private func boot(verbose: Bool) throws(MachineError) -> (Machine, GuestMessage.Hello) {
        var settings = options.settings
        settings.accelerator = accelerator
        settings.verboseConsole = verbose
        settings.securityModules = settings.securityModules ?? kernel.build.securityModules
        machines += 1
        let console = work.path.appending("console-\(kernel.build.release)-\(machines).log")
        let machine = try Machine(
            qemu: qemu, settings: settings, files: kernel.files, consoleFile: console.string,
            cancellation: cancellation)
        let hello = try machine.boot(limit: options.bootLimit)
        return (machine, hello)
    }
}

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
