// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// What this machine has and lacks for running tests, and how to get it.
public struct Doctor: Sendable {
    /// One thing looked at.
    public struct Finding: Sendable, Equatable {
        public enum Level: String, Sendable {
            case ok
            /// Works without, in a lesser way.
            case advice
            /// Nothing runs without.
            case missing
        }

        public var level: Level
        public var subject: String
        public var detail: String
        /// What to type or to do; nil where nothing is wrong.
        public var remedy: String?
    }

    let environment: [String: String]
    let folders: Folders

    public init(environment: [String: String], folders: Folders) {
        self.environment = environment
        self.folders = folders
    }

    /// Looks at everything; starts no virtual machine and changes nothing but for making the cache folder.
    public func examine() async -> [Finding] {
        var findings = emulator()
        findings += [guestFiles(), memory(), processors(), cache()]
        findings += tools()
        findings.append(await clang())
        findings.append(kernels())
        return findings
    }

    // MARK: The virtual machine

    private func emulator() -> [Finding] {
        let qemu: QEMU
        do {
            qemu = try QEMU.find(environment: environment)
        } catch {
            return [
                Finding(level: .missing, subject: "QEMU", detail: "\(error)", remedy: Self.install("qemu-system-x86"))
            ]
        }
        var found = [Finding(level: .ok, subject: "QEMU", detail: "\(qemu.version) (\(qemu.path))")]
        if !Zygote.isSupported(by: qemu) {
            found[0].level = .advice
            found[0].remedy =
                "8.2 or later restores machines instead of booting each: scripts/setup takes it from the release's "
                + "backports"
        }
        found.append(
            qemu.hasSandbox
                ? Finding(level: .ok, subject: "QEMU sandbox", detail: "seccomp filters are used")
                : Finding(
                    level: .advice, subject: "QEMU sandbox", detail: "this QEMU was built without seccomp",
                    remedy: "a guest that breaks out of QEMU has the rights of this user: use a QEMU with -sandbox"))
        let (accelerator, reason) = AcceleratorMemory(folders: folders).choice(nil, qemu: qemu)
        let isClosed = unsafe access("/dev/kvm", F_OK) == 0 && access("/dev/kvm", R_OK | W_OK) != 0
        found.append(
            accelerator == .kvm
                ? Finding(level: .ok, subject: "KVM", detail: "/dev/kvm can be opened; whether it works, a run tells")
                : Finding(
                    level: .advice, subject: "KVM", detail: reason,
                    remedy: isClosed ? "adduser \(NSUserName()) kvm" : "not needed, only faster"))
        return found
    }

    private func guestFiles() -> Finding {
        do {
            let files = try GuestFiles.locate(environment: environment)
            return Finding(level: .ok, subject: "guest files", detail: files.directory.string)
        } catch {
            return Finding(level: .missing, subject: "guest files", detail: "\(error)", remedy: "make build")
        }
    }

    // MARK: The machine

    private func memory() -> Finding {
        let text = (try? readFile("/proc/meminfo")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        guard let available = Self.availableMiB(text) else {
            return Finding(level: .advice, subject: "memory", detail: "/proc/meminfo does not tell how much is free")
        }
        let enough = available >= 512
        return Finding(
            level: enough ? .ok : .advice, subject: "memory", detail: "\(available) MiB available",
            remedy: enough ? nil : "a machine takes 256 MiB and QEMU's own 100: close something, or give --memory")
    }

    /// Reads MemAvailable out of /proc/meminfo's text.
    static func availableMiB(_ text: String) -> Int? {
        for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
            return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 / 1024 }
        }
        return nil
    }

    private func processors() -> Finding {
        Finding(level: .ok, subject: "processors", detail: "\(ProcessInfo.processInfo.activeProcessorCount)")
    }

    private func cache() -> Finding {
        let subject = "cache"
        do {
            try Folders.make(folders.cache)
        } catch {
            return Finding(level: .missing, subject: subject, detail: "\(error)", remedy: "set BPFTEST_CACHE")
        }
        guard unsafe access(folders.cache.string, W_OK | X_OK) == 0 else {
            return Finding(
                level: .missing, subject: subject, detail: "\(folders.cache) is not writable: \(Errno.last)",
                remedy: "set BPFTEST_CACHE")
        }
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folders.cache.string)
        guard let free = (attributes?[.systemFreeSize] as? NSNumber)?.intValue else {
            return Finding(level: .ok, subject: subject, detail: "\(folders.cache), writable")
        }
        let enough = free >= 1 << 30
        return Finding(
            level: enough ? .ok : .advice, subject: subject, detail: "\(folders.cache), \(free >> 20) MiB free",
            remedy: enough ? nil : "a kernel takes 100 MiB: bpftest kernels prune, or set BPFTEST_CACHE")
    }

    // MARK: Programs

    private struct Program {
        var names: [String]
        var purpose: String
        var package: String
        var level = Finding.Level.advice
    }

    private static let programs = [
        Program(names: ["depmod"], purpose: "dependencies of kernel modules", package: "kmod", level: .missing),
        Program(names: ["xz"], purpose: "compressed kernel modules", package: "xz-utils", level: .missing),
        Program(names: ["zstd"], purpose: "compressed kernel modules", package: "zstd"),
        Program(names: ["apt-get", "apt-cache"], purpose: "kernels by version", package: "apt"),
        Program(names: ["dpkg-deb"], purpose: "kernels by version and from .deb files", package: "dpkg"),
        Program(
            names: ["make", "gcc", "bc", "flex", "bison", "pahole"], purpose: "bpftest kernels build",
            package: "build-essential bc flex bison libelf-dev libssl-dev dwarves"),
    ]

    private func tools() -> [Finding] {
        Self.programs.map { program in
            let absent = program.names.filter { locate($0) == nil }
            let names = program.names.joined(separator: ", ")
            guard !absent.isEmpty else { return Finding(level: .ok, subject: names, detail: program.purpose) }
            return Finding(
                level: program.level, subject: names,
                detail: "\(absent.joined(separator: ", ")) not found (\(program.purpose))",
                remedy: Self.install(program.package))
        }
    }

    /// Where a program is; sbin too, where only root's PATH leads.
    private func locate(_ name: String) -> String? {
        let path = (environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin:/sbin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { unsafe access($0, X_OK) == 0 }
    }

    private func clang() async -> Finding {
        let subject = "clang for bpf"
        let remedy = "only to build BPF objects: a Swift toolchain brings one, or \(Self.install("clang"))"
        // The toolchain's own is beside swift, whether or not it is in PATH.
        let beside = locate("swift").map { URL(fileURLWithPath: $0).resolvingSymlinksInPath().path }
        let candidates = [
            beside.map { FilePath($0).removingLastComponent().appending("clang").string }, locate("clang"),
        ]
        for candidate in candidates.compactMap({ $0 }) where unsafe access(candidate, X_OK) == 0 {
            guard let answer = try? await Tool.run(candidate, ["--print-targets"], package: "clang") else { continue }
            if answer.output.contains("bpf") { return Finding(level: .ok, subject: subject, detail: candidate) }
        }
        return Finding(level: .advice, subject: subject, detail: "no clang with the bpf target", remedy: remedy)
    }

    private func kernels() -> Finding {
        let names = KernelStore(folders: folders).cachedKernels().map(\.handle)
        if names.isEmpty {
            return Finding(
                level: .advice, subject: "kernels", detail: "none in the cache",
                remedy: "bpftest kernels fetch 6.12, or give a kernel of yours to -k")
        }
        return Finding(level: .ok, subject: "kernels", detail: names.joined(separator: ", "))
    }

    static func install(_ package: String) -> String { "apt-get install \(package)" }
}
