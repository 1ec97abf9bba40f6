// SPDX-License-Identifier: Apache-2.0
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// QEMU's arguments for a machine: a pure function of what it is made from.
public struct QEMUCommandLine: Sendable {
    /// Where the other ends of the machine's character devices are.
    public enum Wiring: Sendable {
        /// Connected sockets that QEMU inherits under these numbers.
        case inherited(Channels)
        /// For a person at a terminal: console on stdio, the rest as listening sockets in a directory.
        case terminal(directory: String)
    }

    /// Descriptor numbers inside QEMU.
    public struct Channels: Sendable {
        public var console: CInt
        public var qmp: CInt
        public var control: CInt
        public var output: CInt
        public var error: CInt
        /// The port of the wire; those of the cards follow it.
        public var wire: CInt

        public init(console: CInt, qmp: CInt, control: CInt, output: CInt, error: CInt, wire: CInt = 10) {
            self.wire = wire
            self.console = console
            self.qmp = qmp
            self.control = control
            self.output = output
            self.error = error
        }
    }

    /// How a machine comes to life.
    public enum Start: Sendable, Equatable {
        /// Its kernel boots.
        case boot(BootFiles)
        /// Its kernel boots; its memory is the file of that path, for a zygote to be made of it.
        case bootInFile(BootFiles, memory: String)
        /// It goes on where a frozen one stopped: the memory is a file that it must not change. The device state comes
        /// by a command on the monitor.
        case restore(memory: String)
    }

    public var qemu: QEMU
    public var settings: MachineSettings
    public var start: Start
    public var wiring: Wiring
    /// Shown by ps: whose machine this is.
    public var name: String?

    public init(qemu: QEMU, settings: MachineSettings, start: Start, wiring: Wiring, name: String? = nil) {
        self.name = name
        self.qemu = qemu
        self.settings = settings
        self.start = start
        self.wiring = wiring
    }

    /// argv, QEMU's own path first.
    public var arguments: [String] {
        var line = [qemu.path, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        if let name { line += ["-name", name] }
        if qemu.hasSandbox {
            line += ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        }
        // No devices that no guest here uses: each costs start-up time of QEMU and of the kernel.
        let machine = "q35,sata=off,smbus=off,vmport=off,hpet=off"
        switch start {
        case .boot: line += ["-machine", machine]
        case .bootInFile(_, let memory):
            line += ["-machine", machine + ",memory-backend=ram"]
            line += ["-object", "memory-backend-file,id=ram,size=\(settings.memoryMiB)M,mem-path=\(memory),share=on"]
        case .restore(let memory):
            line += ["-machine", machine + ",memory-backend=ram"]
            // rom=off: without it a file that is opened for reading makes memory that cannot be written (QEMU 8.2).
            line += [
                "-object",
                "memory-backend-file,id=ram,size=\(settings.memoryMiB)M,mem-path=\(memory),"
                    + "share=off,readonly=on,rom=off",
            ]
        }
        switch settings.accelerator {
        case .kvm: line += ["-accel", "kvm", "-cpu", "host"]
        // Kernels with these two clear and copy memory byte by byte, which is what emulation does slowest.
        case .tcg: line += ["-accel", "tcg", "-cpu", "max,erms=off,fsrm=off"]
        }
        line += ["-m", "\(settings.memoryMiB)", "-smp", "\(settings.cpus)"]
        switch start {
        case .boot(let files), .bootInFile(let files, _):
            line += ["-kernel", files.kernel.string, "-initrd", files.initramfs.string]
            line += ["-append", settings.commandLine]
        // Kernel and initramfs are in the memory already: not loading them saves a third of QEMU's own memory.
        case .restore: line += ["-incoming", "defer"]
        }
        line += characterDevice("console", "-serial", "chardev:console") { $0.console }
        line += characterDevice("qmp", "-mon", "chardev=qmp,mode=control") { $0.qmp }
        line += ["-device", "virtio-serial-pci,max_ports=\(settings.cards.isEmpty ? 4 : 5)"]
        line += port("control", PortName.control) { $0.control }
        line += port("stdout", PortName.standardOutput) { $0.output }
        line += port("stderr", PortName.standardError) { $0.error }
        // The kernel says through it where its own description is, without which a dump of its memory cannot be opened.
        line += ["-device", "vmcoreinfo"]
        line += cards()
        return line
    }

    private func cards() -> [String] {
        guard !settings.cards.isEmpty else { return [] }
        var line = port("wire", PortName.wire) { $0.wire }
        for (number, card) in settings.cards.enumerated() {
            // Nobody at a terminal drives the other end.
            var socket: CInt?
            if case .inherited(let channels) = wiring { socket = channels.wire + 1 + CInt(number) }
            line += card.arguments(number: number, socket: socket)
        }
        return line
    }

    private func port(_ id: String, _ name: String, _ number: (Channels) -> CInt) -> [String] {
        characterDevice(id, "-device", "virtserialport,chardev=\(id),name=\(name)", number)
    }

    private func characterDevice(
        _ id: String, _ option: String, _ value: String, _ number: (Channels) -> CInt
    ) -> [String] {
        let backend =
            switch wiring {
            case .inherited(let channels): "socket,id=\(id),fd=\(number(channels))"
            case .terminal where id == "console": "stdio,id=\(id),signal=on"
            case .terminal(let directory): "socket,id=\(id),path=\(directory)/\(id).sock,server=on,wait=off"
            }
        return ["-chardev", backend, option, value]
    }

    /// The line as a POSIX shell reads it.
    public var shellText: String {
        arguments.map(shellQuoted).joined(separator: " ")
    }
}

/// A word that a POSIX shell takes as it is.
public func shellQuoted(_ word: String) -> String {
    let plain = word.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: "/"), UInt8(ascii: ","), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "+"):
            true
        default: false
        }
    }
    if plain && !word.isEmpty { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}
