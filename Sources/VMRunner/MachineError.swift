// SPDX-License-Identifier: Apache-2.0
public import LinuxIO
public import SystemPackage

/// Why a machine could not do what was asked: the kernel's fault and ours are kept apart.
public enum MachineError: Error, Sendable {
    /// No usable QEMU on this machine.
    case qemu(String)
    /// The kernel did not come up: its fault, or its configuration's.
    case boot(BootFailure, console: [String])
    /// QEMU ended or stopped by itself, without the guest having asked for it.
    case qemuEnded(ProcessEnd, message: String, console: [String])
    /// The guest's words are not the protocol's: that machine is done with.
    case violation(String)
    /// A file could not be brought in or a job not started; the machine goes on.
    case refused(String)
    /// Nothing came in the time allowed.
    case timedOut(String, console: [String])
    /// A system call of ours failed.
    case system(String, Errno)
    /// The user said stop.
    case cancelled
}

/// How a kernel failed to boot.
public enum BootFailure: Sendable, Equatable {
    /// It panicked; the panic's own line.
    case panicked(String)
    /// It found no init in the guest image, or could not run it.
    case noInit(String)
    /// Init ran and gave up; its reason.
    case initFailed(String)
    /// The machine went down without a word.
    case ended
    /// Nothing came from init in the time allowed.
    case hung(after: Duration)
    /// Init speaks another version of the protocol.
    case wrongVersion(UInt32)
}

extension MachineError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .qemu(let what): what
        case .boot(let failure, _): "the kernel did not boot: \(failure)"
        case .qemuEnded(let end, let message, _):
            "QEMU ended by itself (\(end))" + (message.isEmpty ? "" : ": \(message)")
        case .violation(let what): "the guest broke the protocol: \(what)"
        case .refused(let what): "the guest refused: \(what)"
        case .timedOut(let what, _): "\(what)"
        case .system(let what, let errno): "\(what): \(errno) (\(errno.name))"
        case .cancelled: "cancelled"
        }
    }

    /// The last lines of the kernel's console, where they help.
    public var console: [String] {
        switch self {
        case .boot(_, let console), .qemuEnded(_, _, let console), .timedOut(_, let console): console
        default: []
        }
    }
}

extension BootFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .panicked(let line): line
        case .noInit(let line): "it found no init in the guest image (\(line))"
        case .initFailed(let reason): "init gave up: \(reason)"
        case .ended: "the machine went down without a message"
        case .hung(let limit): "no sign of init after \(limit.inSeconds) s (--boot-timeout)"
        case .wrongVersion(let version):
            "the guest image's init speaks protocol version \(version): rebuild it (make build)"
        }
    }
}

extension Duration {
    /// `4.2` for 4,200 ms.
    public var inSeconds: String {
        let milliseconds = components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
        let tenths = (milliseconds + 50) / 100
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}
