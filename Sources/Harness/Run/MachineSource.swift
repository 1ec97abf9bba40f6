// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import Synchronization
internal import SystemPackage
internal import VMRunner

/// Where a kernel's machines come from: each is pristine, with agents and objects in it.
final class MachineSource: Sendable {
    private let qemu: QEMU
    private let release: String
    let settings: MachineSettings
    private let boot: BootFiles
    private let files: [GuestFile]
    private let bootLimit: Duration
    /// nil: machines are booted.
    let zygote: Zygote?
    private let work: WorkFolder
    private let cancellation: Cancellation
    /// Why this accelerator: for the report.
    let reason: String
    /// What the guest's init had to complain about.
    let notes: [String]
    private let machines = Atomic<Int>(0)

    init(
        qemu: QEMU, release: String, settings: MachineSettings, boot: BootFiles, files: [GuestFile],
        bootLimit: Duration, zygote: Zygote?, work: WorkFolder, cancellation: Cancellation, reason: String,
        notes: [String]
    ) {
        self.qemu = qemu
        self.release = release
        self.settings = settings
        self.boot = boot
        self.files = files
        self.bootLimit = bootLimit
        self.zygote = zygote
        self.work = work
        self.cancellation = cancellation
        self.reason = reason
        self.notes = notes
    }

    /// A machine that lives as long as the calling thread at most.
    ///
    /// A restored one is on its way when this returns: what it is sent reaches it when it runs.
    func machine() throws(MachineError) -> Machine {
        let number = machines.add(1, ordering: .relaxed).newValue
        let console = work.path.appending("console-\(release)-\(number).log").string
        if let zygote {
            return try Machine(
                qemu: qemu, settings: settings, start: .restore(zygote), name: work.name, consoleFile: console,
                cancellation: cancellation)
        }
        let machine = try Machine(
            qemu: qemu, settings: settings, start: .boot(boot), name: work.name, consoleFile: console,
            cancellation: cancellation)
        _ = try machine.boot(limit: bootLimit)
        try machine.push(files)
        return machine
    }
}
