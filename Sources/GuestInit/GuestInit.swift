// SPDX-License-Identifier: Apache-2.0
internal import CGuestInit
internal import CLinux
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// The guest's PID 1: sets the guest up, says hello on the control port and serves it until told to stop.
public enum GuestInit {
    /// Never returns: the machine powers off when the host says so or goes away.
    public static func run() -> Never {
        Console.open()
        var notes: [String] = []
        let early = guestinit_early_error()
        if early != 0 { notes.append("/proc cannot be mounted: \(Errno(rawValue: early).name)") }
        notes += Mounts.all()
        raiseLimits(&notes)
        do {
            // `-- job`: there is no host, and no port to wait for.
            if let words = JobMode.words {
                try JobMode.run(words, &notes)
                powerOff()
            }
            let ports = try Ports(loading: &notes)
            // `-- raw-copy BYTES` at the end of the kernel command line: what the port yields without the protocol.
            if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "raw-copy" {
                try RawCopy.run(Int(CommandLine.arguments[2]) ?? 0, ports.control)
                powerOff()
            }
            let server = try Server(ports: ports)
            try server.greet(notes: notes)
            try server.serve()
        } catch {
            Console.fatal("\(error)")
        }
        powerOff()
    }

    /// BPF memory is charged to RLIMIT_MEMLOCK up to Linux 5.10 (by memory cgroup since 5.11, commit d5299b67dd59).
    private static func raiseLimits(_ notes: inout [String]) {
        let limits = [
            ("MEMLOCK", CInt(CLINUX_RLIMIT_MEMLOCK), UInt.max),
            ("NOFILE", CInt(CLINUX_RLIMIT_NOFILE), 65536),
        ]
        for (name, resource, value) in limits where clinux_set_rlimit(resource, value) != 0 {
            notes.append("RLIMIT_\(name) cannot be raised: \(Errno.last.name)")
        }
    }

    /// Ends the machine. QEMU runs with -no-reboot, so a restart ends it also on a kernel without ACPI,
    /// where powering off only halts.
    static func powerOff() -> Never {
        _ = clinux_reboot(1)
        // Only a kernel that refuses reboot(2) to its PID 1 comes here; the host's limits end it.
        while true { pause() }
    }
}

/// The kernel's console: where init speaks before the host can hear it.
enum Console {
    /// Makes stdin, stdout and stderr the console, as an initramfs without /dev/console leaves them closed.
    static func open() {
        _ = unsafe mkdir("/dev", 0o755)
        // The device file may not exist before devtmpfs is mounted.
        _ = unsafe mknod("/dev/console", S_IFCHR | 0o600, gnu_dev_makedev(5, 1))
        let descriptor = unsafe Glibc.open("/dev/console", O_RDWR | O_NOCTTY)
        guard descriptor >= 0 else { return }
        for standard: CInt in 0...2 where standard != descriptor { dup2(descriptor, standard) }
        if descriptor > 2 { close(descriptor) }
    }

    /// A line that the host finds in the console when no hello came; docs/protocol.md, "before hello".
    static func fatal(_ reason: String) {
        let line = Array("bpftest-init: fatal: \(reason)\n".utf8)
        unsafe line.withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
    }
}

/// What init itself cannot do without.
struct InitError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
