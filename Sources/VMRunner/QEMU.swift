// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// An installed QEMU that can run the machines.
public struct QEMU: Sendable, Equatable, Codable {
    public var path: String
    public var version: String
    public var hasSandbox: Bool

    public static let program = "qemu-system-x86_64"
    /// The oldest release that has been tried.
    public static let minimumMajor = 7

    /// Finds QEMU: the file named by `BPFTEST_QEMU`, else the first in PATH.
    ///
    /// - Throws: `.qemu` when there is none, when it does not run or when it is too old.
    public static func find(environment: [String: String]) throws(MachineError) -> QEMU {
        guard let path = locate(environment) else {
            let where_ = environment["BPFTEST_QEMU"].map { "BPFTEST_QEMU names \($0), which is not an executable file" }
            throw .qemu(
                (where_ ?? "\(program) is not in PATH")
                    + ": install it (Debian: apt-get install qemu-system-x86) or set BPFTEST_QEMU")
        }
        let text: String
        do {
            text = try capture(path, ["--version"])
        } catch {
            throw .qemu("\(path) does not run: \(error)")
        }
        guard let version = parseVersion(text) else {
            throw .qemu("\(path) --version does not look like QEMU's: \(text.prefix(120))")
        }
        guard let major = Int(version.prefix { $0 != "." }), major >= minimumMajor else {
            throw .qemu("\(path) is QEMU \(version); \(minimumMajor).0 or later is needed (Debian 12 has 7.2 and 10.0)")
        }
        // -sandbox is compiled in or not: the option's own help says so.
        let help = (try? capture(path, ["-sandbox", "help"])) ?? ""
        return QEMU(path: path, version: version, hasSandbox: !help.isEmpty && !help.contains("not supported"))
    }

    private static func locate(_ environment: [String: String]) -> String? {
        if let named = environment["BPFTEST_QEMU"] {
            return unsafe access(named, X_OK) == 0 ? absolute(named) : nil
        }
        for directory in (environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":") {
            let candidate = "\(directory)/\(program)"
            if unsafe access(candidate, X_OK) == 0 { return absolute(candidate) }
        }
        return nil
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    static func parseVersion(_ text: String) -> String? {
        // "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"
        guard let range = text.range(of: "QEMU emulator version ") else { return nil }
        let version = text[range.upperBound...].prefix { $0.isNumber || $0 == "." }
        return version.isEmpty ? nil : String(version)
    }

    /// stdout and stderr of a short command; at most 64 KiB of it and 10 s.
    private static func capture(_ path: String, _ arguments: [String]) throws -> String {
        let pipe = try Descriptors.pipe()
        let nothing = try Descriptors.open("/dev/null", O_RDONLY)
        var spawn = Spawn(path: path, arguments: [path] + arguments, environment: [])
        let output = pipe.first
        let theirs = pipe.second
        spawn.descriptors = [0: nothing.raw, 1: theirs.raw, 2: theirs.raw]
        let pid = try spawn.start()
        // The end of the output shows only when nobody else holds the writing end.
        _ = consume theirs
        defer {
            kill(pid, SIGKILL)
            var status: CInt = 0
            while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        }
        return try drain(output)
    }

    private static func drain(_ output: borrowing OwnedFD) throws -> String {
        let deadline = ContinuousClock.now + .seconds(10)
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        var poller = Poller()
        poller.add(output.raw, .read)
        while text.count < 65536 {
            let left = deadline - .now
            guard left > .zero else { throw MachineError.qemu("no answer in 10 s") }
            guard try poller.wait(left) else { continue }
            let count = try output.read(into: &chunk)
            if count == 0 { break }
            text += chunk[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
