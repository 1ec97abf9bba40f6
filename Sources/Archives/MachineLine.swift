// SPDX-License-Identifier: Apache-2.0

/// QEMU's arguments for an archive's machine, without QEMU's own path: a pure function of the manifest.
///
/// The same hardware as a run's machine, but for the ports to a host that is not there: the console is stdout, stdin is
/// not read, and there is no network, no disk, no file of the host's but kernel and guest image.
public struct MachineLine: Sendable {
    /// QEMU's record/replay.
    public enum Tape: Sendable, Equatable {
        case record(String)
        case replay(String)
    }

    public var machine: Manifest.Machine
    /// Files as QEMU finds them.
    public var kernel: String
    public var initramfs: String
    public var accelerator: String
    /// QEMU has `-sandbox`.
    public var hasSandbox = true
    public var tape: Tape?
    /// `-chardev` of the console.
    public var console = "stdio,id=console,signal=off"
    /// A socket for gdb: the machine waits for it before its first instruction.
    public var gdb: String?
    /// An image for the snapshots that going backwards takes.
    public var snapshots: String?
    /// Further words for the kernel's command line, in front of those for init.
    public var append: [String] = []
    /// Words for init.
    public var job = ["job"]
    /// Shown by ps: whose machine this is.
    public var name: String?

    public init(_ machine: Manifest.Machine, kernel: String, initramfs: String, accelerator: String? = nil) {
        self.machine = machine
        self.kernel = kernel
        self.initramfs = initramfs
        self.accelerator = accelerator ?? machine.accelerator
    }

    /// What a run's machines have (VMRunner, QEMUCommandLine).
    static let board = "q35,sata=off,smbus=off,vmport=off,hpet=off"
    static let emulated = "max,erms=off,fsrm=off"
    public static let sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

    /// Lines of the kernel's log are known by their time stamps.
    public var commandLine: String {
        ([machine.commandLine, "printk.time=1"] + append + ["--"] + job).joined(separator: " ")
    }

    public var arguments: [String] {
        var line = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        if let name { line += ["-name", name] }
        if hasSandbox { line += ["-sandbox", Self.sandbox] }
        line += ["-machine", Self.board]
        line += accelerator == "kvm" ? ["-accel", "kvm", "-cpu", "host"] : ["-accel", "tcg", "-cpu", Self.emulated]
        line += ["-m", "\(machine.memoryMiB)", "-smp", "\(machine.cpus)"]
        line += ["-kernel", kernel, "-initrd", initramfs, "-append", commandLine]
        line += ["-chardev", console, "-serial", "chardev:console"]
        switch tape {
        case .record(let file): line += ["-icount", "shift=auto,rr=record,rrfile=\(Self.value(file))"]
        case .replay(let file): line += ["-icount", "shift=auto,rr=replay,rrfile=\(Self.value(file))"]
        case nil: break
        }
        if let snapshots { line += ["-drive", "file=\(Self.value(snapshots)),format=qcow2,if=none,id=rr"] }
        if let gdb { line += ["-S", "-gdb", "unix:\(Self.value(gdb)),server=on,wait=off"] }
        return line
    }

    /// A comma in a value is written twice.
    private static func value(_ text: String) -> String {
        text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}

/// A word that a POSIX shell takes as it is.
func shellWord(_ word: String) -> String {
    let plain = word.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2b...0x2f, 0x3a, 0x3d, 0x5f: true
        default: false
        }
    }
    if plain, !word.isEmpty { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}
