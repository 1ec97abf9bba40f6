// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
internal import VMRunner

/// Builds a minimal kernel from a source tree: tinyconfig and the fragments of images/.
///
/// The source tree is not written to. The build folder stays in the cache, so that the next build of the same name
/// compiles what has changed and no more.
public struct KernelBuilder: Sendable {
    public var source: FilePath
    /// What the kernel is called in the cache; nil: its release.
    public var name: String?
    /// Names of fragments under images/ or files; they are merged in this order.
    public var fragments: [String]
    public var jobs: Int

    /// What a guest, BPF and the network need.
    public static let usualFragments = ["base", "bpf", "net"]

    public init(
        source: FilePath, name: String? = nil, fragments: [String] = usualFragments,
        jobs: Int
    ) {
        self.source = source
        self.name = name
        self.fragments = fragments
        self.jobs = jobs
    }

    /// The folder with the fragments that come with bpftest.
    private static func images() throws(HarnessError) -> FilePath {
        let files = try GuestFiles.locate(environment: ProcessInfo.processInfo.environment)
        return files.directory.appending("images")
    }

    private func readFragments() throws(HarnessError) -> [ConfigFragment] {
        let images = try Self.images()
        return try fragments.map { (fragment) throws(HarnessError) in
            let isFile = fragment.contains("/") || fragment.contains(".")
            let path = isFile ? FilePath(fragment) : images.appending("\(fragment).config")
            guard let text = try? String(contentsOfFile: path.string, encoding: .utf8) else {
                throw .usage(
                    "the fragment \(path) cannot be read: give a file, or one of base, bpf, net, debug, selftests")
            }
            return ConfigFragment(name: fragment, text: text)
        }
    }

    /// Configures and builds, and puts the result into the cache.
    public func build(into store: KernelStore) async throws(HarnessError) -> CachedKernel {
        if let name, name.contains("/") || name.isEmpty || name.hasPrefix(".") || KernelRequest(name) != nil {
            throw .usage("'\(name)' cannot be a kernel's name: no version, no slash, no leading dot")
        }
        guard FileManager.default.fileExists(atPath: source.appending("scripts/kconfig").string) else {
            throw .usage("\(source) is no kernel source tree: it has no scripts/kconfig")
        }
        let parts = try readFragments()
        let tag = name ?? source.lastComponent?.string ?? "kernel"
        let output = store.folders.cache.appending("build").appending(tag)
        try Folders.make(output)
        // Two builds in one folder would spoil each other; the cache itself stays free meanwhile.
        let lock = try await FileLock.take(output.appending(".bpftest-lock")) {
            store.note("waiting for another bpftest that builds in \(output)")
        }
        try await configure(output, parts, store.note)
        store.note("building in \(output) (progress in \(output)/build.log)")
        let config = try read(output.appending(".config"))
        var targets = ["bzImage"]
        let hasModules = config.contains("\nCONFIG_MODULES=y") && config.contains("=m\n")
        if hasModules { targets.append("modules") }
        try await make(output, targets, to: "build \(source)")
        let release = try read(output.appending("include/config/kernel.release"))
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let entry = try await register(output, release, config, hasModules, store)
        lock.release()
        return entry
    }

    // MARK: Steps

    private func configure(
        _ output: FilePath, _ parts: [ConfigFragment], _ note: (String) -> Void
    ) async throws(HarnessError) {
        // In a folder of its own: tinyconfig would overwrite the .config, and with it what tells make what changed.
        let plain = output.appending(".tiny")
        try Folders.make(plain)
        try await make(plain, ["tinyconfig"], to: "configure \(source)")
        let merged = ConfigFragment.merge(try read(plain.appending(".config")), parts)
        try write(merged, plain.appending(".config"))
        try await make(plain, ["olddefconfig"], to: "configure \(source)")
        let config = try read(plain.appending(".config"))
        let missing = KernelConfig(text: config).missing()
        guard missing.isEmpty else {
            throw .usage("this configuration cannot be tested: \(missing.joined(separator: "; "))")
        }
        let known = try knownOptions()
        for part in parts {
            let lost = part.notTaken(in: config, known: known)
            if lost.isEmpty { continue }
            let sentence =
                "did not take from \(part.name): \(lost.joined(separator: ", ")); what they depend on is not set"
            // Ours span kernels of many years; what the user asks for must be.
            if (KernelBuilder.usualFragments + ["debug", "selftests"]).contains(part.name) {
                note(sentence)
            } else {
                throw .usage(sentence)
            }
        }
        // An unchanged .config keeps its time, and make its objects.
        let target = output.appending(".config")
        let old = FileManager.default.fileExists(atPath: target.string) ? try read(target) : nil
        if old != config {
            try write(config, target)
        }
    }

    /// Every option that the source tree declares.
    private func knownOptions() throws(HarnessError) -> Set<String> {
        var known: Set<String> = []
        guard let files = FileManager.default.enumerator(atPath: source.string) else {
            throw .infrastructure("\(source) cannot be read")
        }
        while let file = files.nextObject() as? String {
            guard (file as NSString).lastPathComponent.hasPrefix("Kconfig") else { continue }
            known.formUnion(ConfigFragment.options(inKconfig: try read(source.appending(file))))
        }
        return known
    }

    private func register(
        _ output: FilePath, _ release: String, _ config: String, _ hasModules: Bool, _ store: KernelStore
    ) async throws(HarnessError) -> CachedKernel {
        try await store.locked { () async throws(HarnessError) in
            let temporary = try store.makeTemporary()
            let image = "boot/vmlinuz-\(release)"
            do {
                let boot = temporary.appending("boot").string
                try FileManager.default.createDirectory(atPath: boot, withIntermediateDirectories: true)
                for (from, to) in [
                    ("arch/x86/boot/bzImage", image), (".config", "boot/config-\(release)"),
                    ("System.map", "boot/System.map-\(release)"),
                ] {
                    try FileManager.default.copyItem(
                        atPath: output.appending(from).string, toPath: temporary.appending(to).string)
                }
            } catch {
                throw .infrastructure("the built kernel cannot be copied from \(output): \(Folders.reason(error))")
            }
            if hasModules {
                try await make(
                    output, ["modules_install", "INSTALL_MOD_PATH=\(temporary)", "INSTALL_MOD_STRIP=1"],
                    to: "install the modules of \(source)")
            }
            var entry = CachedKernel(
                source: .build, release: release, version: KernelVersion(release)?.description ?? release,
                origin: "\(source) with \(fragments.joined(separator: ", "))", image: image)
            entry.name = name
            return try store.publish(temporary, as: store.folders.kernels.appending("build-\(name ?? release)"), entry)
        }
    }

    // MARK: Tools

    /// Runs make out of tree, its output in build.log; a failure is told with the lines that say why.
    private func make(_ output: FilePath, _ targets: [String], to purpose: String) async throws(HarnessError) {
        let log = output.appending("build.log")
        let answer = try await Tool.run(
            "sh",
            [
                "-c", "log=$1 && shift && exec make \"$@\" >\"$log\" 2>&1", "sh", log.string, "-C",
                absolute(source), "O=\(absolute(output))", "ARCH=x86_64", "-j\(jobs)",
            ] + targets, package: "build-essential bc flex bison libelf-dev libssl-dev dwarves")
        if answer.succeeded { return }
        let shown = Self.complaints(in: (try? read(log)) ?? "").joined(separator: "\n  ")
        throw .infrastructure(
            "cannot \(purpose): make \(targets.joined(separator: " ")) failed (\(log))\n  \(shown)\n"
                + "a kernel build needs: build-essential bc flex bison libelf-dev libssl-dev dwarves")
    }

    /// The lines of a log that say why a build failed; else its last ones.
    static func complaints(in log: String) -> [Substring] {
        let lines = log.split(whereSeparator: \.isNewline)
        let errors = lines.filter { line in
            // "  CC      kernel/trace/error_report-traces.o" is what make does.
            !line.hasPrefix("  ") && ["error", "Error", "not found"].contains { line.contains($0) }
        }
        return Array(errors.isEmpty ? lines.suffix(5) : errors.prefix(5))
    }

    private func absolute(_ path: FilePath) -> String {
        path.isAbsolute ? path.string : FileManager.default.currentDirectoryPath + "/" + path.string
    }

    private func read(_ path: FilePath) throws(HarnessError) -> String {
        do {
            return try String(contentsOfFile: path.string, encoding: .utf8)
        } catch {
            throw .infrastructure("\(path) cannot be read: \(Folders.reason(error))")
        }
    }

    private func write(_ text: String, _ path: FilePath) throws(HarnessError) {
        do {
            try text.write(toFile: path.string, atomically: true, encoding: .utf8)
        } catch {
            throw .infrastructure("\(path) cannot be written: \(Folders.reason(error))")
        }
    }
}
