// SPDX-License-Identifier: Apache-2.0
public import SystemPackage

/// What executes the guest's instructions.
public enum Accelerator: String, Sendable, Codable, CaseIterable {
    /// The host's processor, through /dev/kvm.
    case kvm
    /// QEMU's own translator: works everywhere, slower.
    case tcg
}

/// The hardware of a virtual machine, and what its kernel is told.
public struct MachineSettings: Sendable, Equatable {
    public var memoryMiB = 256
    public var cpus = 1
    public var accelerator = Accelerator.tcg
    /// Network cards; their far ends are driven by the guest through a port of its own (docs/drivers.md).
    public var cards: [NetworkCard] = []
    /// Added to the end of the kernel command line, so that they win over the defaults.
    public var kernelArguments: [String] = []
    /// Every kernel message on the console, from the first moment on: for a boot that hangs in silence.
    public var verboseConsole = false
    /// The list for `lsm=`, where BPF LSM programs need `bpf` added to the kernel's own; nil leaves it alone.
    public var securityModules: String?

    public init() {}

    /// The kernel command line.
    ///
    /// The console is the serial port. `panic=-1` with QEMU's -no-reboot makes a panic end the machine at once, and
    /// `oops=panic` keeps a kernel from going on with broken state. `loglevel=5` lets warnings (WARN, KASAN, lockdep:
    /// KERN_WARNING and above) through and saves the 0.5 s that the chatter of a boot costs under TCG.
    public var commandLine: String {
        var words = ["console=ttyS0", "panic=-1", "oops=panic"]
        words.append(contentsOf: verboseConsole ? ["ignore_loglevel", "earlyprintk=ttyS0"] : ["loglevel=5"])
        // Agents announce their cases on the console: more than ten lines in five seconds.
        words.append("printk.devkmsg=on")
        // A machine that hangs is sent an NMI that nobody expects: it answers with where it is.
        words.append("unknown_nmi_panic")
        // A BPF attach waits for an RCU grace period: expedited ones keep a case in milliseconds.
        words.append("rcupdate.rcu_expedited=1")
        // An emulated processor that gets no time for a while makes the kernel panic over its own test of the timer
        // ("IO-APIC + timer doesn't work!"); guests of KVM skip that test by themselves.
        if accelerator == .tcg { words.append("no_timer_check") }
        // Init loads their drivers, which other machines do without.
        if !cards.isEmpty { words.append("bpftest.cards=\(cards.count)") }
        if let securityModules { words.append("lsm=\(securityModules)") }
        return (words + kernelArguments).joined(separator: " ")
    }
}

/// What a machine boots from.
public struct BootFiles: Sendable, Equatable {
    /// bzImage, or a vmlinux with a PVH note.
    public var kernel: FilePath
    /// The guest image: an uncompressed cpio archive with init and modules.
    public var initramfs: FilePath

    public init(kernel: FilePath, initramfs: FilePath) {
        self.kernel = kernel
        self.initramfs = initramfs
    }
}
