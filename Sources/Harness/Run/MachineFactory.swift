// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// Makes the source of one kernel's machines: finds its zygote, or boots the kernel and freezes it.
///
/// Used by one thread, once; the source it makes is for all.
final class MachineFactory {
    private let qemu: QEMU
    private let kernel: PreparedKernel
    private let agents: [Agent]
    private let files: [GuestFile]
    private let options: RunOptions
    private let memory: AcceleratorMemory
    private let zygotes: ZygoteStore?
    private let work: WorkFolder
    private let cancellation: Cancellation
    private let log: @Sendable (String) -> Void
    private var machines = 0
    private(set) var accelerator: Accelerator
    /// Why this accelerator: for the report.
    private(set) var reason: String

    /// - Parameters:
    ///   - further: files that all machines have, frozen with them.
    ///   - zygotes: nil: every machine is booted.
    init(
        qemu: QEMU, kernel: PreparedKernel, agents: [Agent], further: [GuestFile] = [], guestFiles: GuestFiles,
        options: RunOptions,
        memory: AcceleratorMemory, zygotes: ZygoteStore?, work: WorkFolder, cancellation: Cancellation,
        log: @escaping @Sendable (String) -> Void
    ) throws(HarnessError) {
        self.qemu = qemu
        self.kernel = kernel
        self.agents = agents
        self.options = options
        self.memory = memory
        self.zygotes = zygotes
        self.work = work
        self.cancellation = cancellation
        self.log = log
        (accelerator, reason) = memory.choice(options.accelerator, qemu: qemu)
        var files = agents.map { GuestFile(.file($0.file), as: $0.guestPath, mode: 0o755) }
        for object in try guestFiles.allObjects() {
            files.append(GuestFile(.file(object.file), as: "\(Self.objects)/\(object.name)"))
        }
        self.files = files + further
    }

    static let objects = "/run/bpftest/objects"

    /// What agents are started with, prepared or not.
    static let environment = [
        "BPFTEST_OBJECTS=\(objects)", "BPFTEST_ANNOTATED=\(ObjectFile.folder)", "PATH=/usr/bin:/bin", "HOME=/root",
    ]

    /// What all machines of the kernel are restored from, or booted with.
    ///
    /// - Parameter first: gets the machine that was booted to see that it can be done, with everything in it, where machines
    ///   are booted; else it is ended.
    /// - Throws: as a boot does; trouble with freezing or the cache only costs time, and is logged.
    func source(first: (Machine) -> Void = { $0.kill() }) throws(MachineError) -> MachineSource {
        guard let zygotes, Zygote.isSupported(by: qemu) else {
            if zygotes != nil { log("QEMU \(qemu.version) cannot freeze machines (8.2 can): each is booted") }
            return try bootedSource(first)
        }
        if let found = try stored(zygotes) { return restoring(found) }
        let before = accelerator
        do {
            return restoring(
                try zygotes.make(try key(zygotes), cancellation) { () throws(MachineError) in
                    let made = try self.freeze()
                    // KVM turned out not to work: the name under which it was to be kept is wrong now.
                    return (made, self.accelerator == before)
                })
        } catch .boot(let failure, let console) {
            throw .boot(failure, console: console)
        } catch .cancelled {
            throw .cancelled
        } catch {
            log("\(kernel.build.release): no zygote (\(error)): each machine is booted")
            return try bootedSource(first)
        }
    }

    private func stored(_ zygotes: ZygoteStore) throws(MachineError) -> Zygote? {
        zygotes.find(try key(zygotes), settings: settings)
    }

    private func key(_ zygotes: ZygoteStore) throws(MachineError) -> ZygoteKey {
        try ZygoteKey(qemu: qemu, settings: settings, files: kernel.files, pushed: files, release: kernel.build.release)
    }

    private func restoring(_ zygote: Zygote) -> MachineSource {
        MachineSource(
            qemu: qemu, release: kernel.build.release, settings: zygote.settings, boot: kernel.files, files: files,
            bootLimit: options.bootLimit, zygote: zygote, work: work, cancellation: cancellation, reason: reason,
            notes: zygote.notes)
    }

    /// A source that boots; one machine is booted to see that it can be done.
    private func bootedSource(_ first: (Machine) -> Void) throws(MachineError) -> MachineSource {
        let (machine, hello) = try bootWithFallback(.boot(kernel.files))
        try machine.push(files)
        first(machine)
        return MachineSource(
            qemu: qemu, release: kernel.build.release, settings: settings, boot: kernel.files, files: files,
            bootLimit: options.bootLimit, zygote: nil, work: work, cancellation: cancellation, reason: reason,
            notes: hello.notes)
    }

    /// Boots the kernel, brings everything in, starts the agents and brings it to rest.
    private func freeze() throws(MachineError) -> Zygote {
        do {
            return try freeze(prepared: true)
        } catch .boot(let failure, let console) {
            throw .boot(failure, console: console)
        } catch .cancelled {
            throw .cancelled
        } catch {
            // Getting ready already exercises the kernel: one that breaks there is still to be tested case by case.
            log("\(kernel.build.release): an agent cannot be started in advance (\(error))")
            return try freeze(prepared: false)
        }
    }

    private func freeze(prepared: Bool) throws(MachineError) -> Zygote {
        let mould: Zygote.Mould
        do {
            mould = try Zygote.Mould(memoryMiB: options.settings.memoryMiB)
        } catch {
            throw .system("no memory for a zygote", error)
        }
        let (machine, hello) = try bootWithFallback(.bootToFreeze(kernel.files, mould))
        let notes =
            hello.notes + Self.splats(machine.console.lines, options.crashes.allowlist).map { "while booting: \($0)" }
        try machine.push(files)
        if prepared {
            let before = machine.console.lineCount
            for (number, agent) in agents.enumerated() {
                let job = Job(
                    id: UInt32.max - UInt32(number), arguments: [agent.guestPath, "prepare"],
                    environment: Self.environment, workingDirectory: "/tmp/bpftest-prepared-\(number)")
                // Ours opens a hundred objects: seconds, and many of them on a loaded machine. Nobody else's is waited for.
                let limit = Duration.seconds(agent.isBuiltIn ? 120 : 20)
                let isReady = try machine.prepare(job, limit: limit, slow: (.seconds(30), { self.tellOfWait(limit) }))
                if !isReady, agent.isBuiltIn {
                    log("\(kernel.build.release): the agent cannot be started in advance")
                }
            }
            // It belongs to the cases that do the same, and must come while they run.
            let new = machine.console.lines.suffix(machine.console.lineCount - before)
            if let splat = Self.splats(Array(new), options.crashes.allowlist).first {
                throw .refused("the kernel complained: \(splat)")
            }
        }
        try machine.freeze()
        do {
            return try Zygote(mould, settings: machine.settings, notes: notes)
        } catch {
            throw .system("no descriptors for a zygote", error)
        }
    }

    private func tellOfWait(_ limit: Duration) {
        log(
            "\(kernel.build.release): suites take longer than 30 s to get ready, once for all cases; "
                + "\(limit.components.seconds) s are the limit (--no-zygotes goes without)")
    }

    /// The titles of the kernel's complaints among lines of its console.
    private static func splats(_ lines: [String], _ allowlist: SplatAllowlist) -> [String] {
        var reader = ConsoleReader(allowlist: allowlist)
        for line in lines { reader.read(line) }
        return reader.complaints.map(\.title)
    }

    private var settings: MachineSettings {
        var settings = options.settings
        settings.accelerator = accelerator
        settings.securityModules = settings.securityModules ?? kernel.build.securityModules
        return settings
    }

    private func bootWithFallback(_ start: Machine.Start) throws(MachineError) -> (Machine, GuestMessage.Hello) {
        do {
            return try boot(start, verbose: false)
        } catch {
            guard accelerator == .kvm, options.accelerator == nil, let why = Self.accountForKVM(error) else {
                throw try explained(error)
            }
            accelerator = .tcg
            reason = "tcg, as kvm does not work here: \(why)"
            memory.remember(broken: why, qemu: qemu)
        }
        do {
            return try boot(start, verbose: false)
        } catch {
            throw try explained(error)
        }
    }

    /// Trouble that /dev/kvm of a nested or para-virtual host is known for, as against a kernel that breaks by itself: a
    /// line, without the registers that QEMU may print behind it.
    static func accountForKVM(_ error: MachineError) -> String? {
        switch error {
        case .qemuEnded(let end, let message, _):
            message.isEmpty ? "QEMU ended (\(end))" : String(message.prefix { $0 != ";" && !$0.isNewline })
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
            _ = try boot(.boot(kernel.files), verbose: true)
        } catch .boot(let again, let lines) {
            // The same once more, or the reason that the first boot did not tell.
            return .boot(again == .ended ? failure : again, console: lines)
        } catch {
            return error
        }
        // It came up this time: what is known is that it did not before.
        return error
    }

    private func boot(
        _ start: Machine.Start, verbose: Bool
    ) throws(MachineError) -> (Machine, GuestMessage.Hello) {
        var settings = settings
        settings.verboseConsole = verbose
        machines += 1
        let console = work.path.appending("console-\(kernel.build.release)-boot-\(machines).log")
        let machine = try Machine(
            qemu: qemu, settings: settings, start: start, name: work.name, consoleFile: console.string,
            cancellation: cancellation)
        let hello = try machine.boot(limit: options.bootLimit)
        return (machine, hello)
    }
}
