// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
public import LinuxIO
public import SystemPackage

/// A booted machine at rest, from which any number of others go on: guest memory and device state as open files.
///
/// Known by its descriptors and not by paths: what was checked when it was opened cannot be exchanged afterwards, and
/// files that are removed meanwhile stay readable to those who use them.
public final class Zygote: Sendable {
    /// The guest's memory, as large as the machine's.
    public let memory: OwnedFD
    /// QEMU's migration stream: devices and what is not in the guest's memory.
    public let state: OwnedFD
    /// What it was made with: a machine must be like it.
    public let settings: MachineSettings
    /// What the guest's init had to complain about.
    public let notes: [String]

    public init(
        memory: consuming OwnedFD, state: consuming OwnedFD, settings: MachineSettings, notes: [String]
    ) {
        self.memory = memory
        self.state = state
        self.settings = settings
        self.notes = notes
    }

    /// Whether a QEMU can freeze machines: `file:` addresses for migration are there since 8.2, `rom=off` too.
    public static func isSupported(by qemu: QEMU) -> Bool {
        let parts = qemu.version.split(separator: ".").map { Int($0) ?? 0 }
        return parts.count > 1 && (parts[0], parts[1]) >= (8, 2)
    }

    /// The files that a machine is to be frozen into: memory without names, gone with its last user, so that nothing is
    /// left behind whatever happens meanwhile.
    public final class Mould: Sendable {
        let memory: OwnedFD
        let state: OwnedFD

        public init(memoryMiB: Int) throws(Errno) {
            memory = try Zygote.unnamedFile("bpftest-memory", size: memoryMiB << 20)
            state = try Zygote.unnamedFile("bpftest-state", size: 0)
        }

        /// Forgets what a machine has written so far.
        func clear() throws(Errno) {
            var status = stat()
            _ = try Errno.check(unsafe fstat(memory.raw, &status))
            _ = try Errno.check(ftruncate(memory.raw, 0))
            _ = try Errno.check(ftruncate(memory.raw, status.st_size))
        }
    }

    /// What a machine left in a mould.
    public convenience init(_ mould: Mould, settings: MachineSettings, notes: [String]) throws(Errno) {
        self.init(
            memory: try mould.memory.duplicate(), state: try mould.state.duplicate(), settings: settings, notes: notes)
    }

    private static func unnamedFile(_ name: String, size: Int) throws(Errno) -> OwnedFD {
        let closeOnExec: CUnsignedInt = 1  // MFD_CLOEXEC, which Glibc's module leaves out
        let file = OwnedFD(adopting: try Errno.check(unsafe clinux_memfd_create(name, closeOnExec)))
        _ = try Errno.check(ftruncate(file.raw, size))
        return file
    }
}
