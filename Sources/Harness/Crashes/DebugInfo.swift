// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import Foundation
internal import Glibc
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

/// A kernel's debugging information: which lines of source its addresses come from, asked of binutils or elfutils.
struct DebugInfo {
    /// Why there are no lines.
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    private let vmlinux: FilePath
    private let addr2line: String
    private let symbols: SymbolTable

    /// - Throws: what is missing, and what to do.
    init(_ vmlinux: FilePath, environment: [String: String]) throws(Missing) {
        self.vmlinux = vmlinux
        // elfutils' is faster by far, and finds the same.
        guard let addr2line = Self.find(["eu-addr2line", "addr2line"], environment),
            let nm = Self.find(["nm", "eu-nm"], environment)
        else { throw Missing(description: "addr2line and nm are not in PATH: install elfutils or binutils") }
        self.addr2line = addr2line
        let arguments = nm.hasSuffix("eu-nm") ? ["-f", "bsd"] : []
        let text = try Self.run(nm, arguments + ["--defined-only", vmlinux.string], limit: 256 << 20)
        symbols = SymbolTable(String(decoding: text, as: UTF8.self))
        guard symbols.address(of: "start_kernel") != nil else {
            throw Missing(description: "\(vmlinux) is no kernel with symbols")
        }
    }

    /// The traces of complaints, with all that is known of their places.
    func resolve(_ complaints: [Complaint], programs: BPFLines) throws(Missing) -> [ResolvedTrace] {
        guard let start = symbols.address(of: "start_kernel") else { return [] }
        let wanted = Set(complaints.flatMap { ResolvedTrace.addresses(of: $0, in: symbols) }).sorted().prefix(1000)
        let words = ([start] + wanted).map { "0x" + String($0, radix: 16) }
        let text = try Self.run(addr2line, ["-a", "-f", "-i", "-e", vmlinux.string] + words, limit: 16 << 20)
        let source = SourceLines(addr2line: String(decoding: text, as: UTF8.self), start: start)
        guard source.places[start]?.last?.file != nil else {
            throw Missing(description: "\(vmlinux) has no debugging information (CONFIG_DEBUG_INFO_DWARF…)")
        }
        return complaints.map { ResolvedTrace($0, programs: programs, symbols: symbols, source: source) }
    }

    /// The vmlinux that belongs to a kernel: of its build tree, or where distributions put it.
    ///
    /// - Parameter remark: told why one that is there is not taken.
    static func vmlinux(of kernel: KernelBuild, cache: FilePath, remark: (String) -> Void) -> FilePath? {
        let image = kernel.image.path
        var candidates: [FilePath] = []
        if image.string.hasSuffix("/arch/x86/boot/bzImage") {
            var tree = image
            for _ in 0..<4 { tree.removeLastComponent() }
            candidates.append(tree.appending("vmlinux"))
        }
        if image.lastComponent?.string.hasPrefix("vmlinux") == true { candidates.append(image) }
        // A kernel of `kernels build`: its build folder stays in the cache.
        let inCache = image.string.dropFirst(cache.string.count).split(separator: "/")
        if image.string.hasPrefix(cache.string), inCache.count > 2, inCache[0] == "kernels",
            inCache[1].hasPrefix("build-")
        {
            candidates.append(cache.appending("build/\(inCache[1].dropFirst(6))/vmlinux"))
        }
        for file in candidates {
            guard let date = modified(file) else { continue }
            // It is linked before the image is made of it: a later one is of another build.
            if file != image, let made = modified(image), date > made {
                remark("\(file) is newer than the kernel: it is not asked for lines (--vmlinux FILE takes it)")
                continue
            }
            return file
        }
        return [
            "/usr/lib/debug/boot/vmlinux-\(kernel.release)", "/usr/lib/debug/lib/modules/\(kernel.release)/vmlinux",
        ]
        .map { FilePath($0) }.first { modified($0) != nil }
    }

    private static func modified(_ file: FilePath) -> Date? {
        // One that is not there is no candidate.
        (try? FileManager.default.attributesOfItem(atPath: file.string))?[.modificationDate] as? Date
    }

    // MARK: Tools

    private static func find(_ names: [String], _ environment: [String: String]) -> String? {
        let folders = (environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return names.lazy.flatMap { name in folders.lazy.map { "\($0)/\(name)" } }.first {
            unsafe access($0, X_OK) == 0
        }
    }

    private static func run(_ path: String, _ arguments: [String], limit: Int) throws(Missing) -> [UInt8] {
        do {
            let pipe = try Descriptors.pipe()
            let nothing = try Descriptors.open("/dev/null", O_RDWR)
            var spawn = Spawn(path: path, arguments: [path] + arguments, environment: ["LC_ALL=C"])
            let output = pipe.first
            let theirs = pipe.second
            spawn.descriptors = [0: nothing.raw, 1: theirs.raw, 2: nothing.raw]
            spawn.dieWithThread = true
            let pid = try spawn.start()
            // The end of the output shows only when nobody else holds the writing end.
            _ = consume theirs
            defer {
                kill(pid, SIGKILL)
                var status: CInt = 0
                while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
            }
            return try drain(output, limit)
        } catch {
            throw Missing(description: "\(path) did not do: \(error)")
        }
    }

    private static func drain(_ output: borrowing OwnedFD, _ limit: Int) throws -> [UInt8] {
        let deadline = ContinuousClock.now + .seconds(120)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        var poller = Poller()
        poller.add(output.raw, .read)
        while bytes.count < limit {
            let left = deadline - .now
            guard left > .zero else { throw Missing(description: "no answer in 120 s") }
            guard try poller.wait(left) else { continue }
            let count = try output.read(into: &chunk)
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }
}
