// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
public import VMRunner

/// Turns what the user gives for a kernel into one that can be booted, and keeps the fetched ones.
///
/// In the cache: `kernels/ENTRY/` with a manifest, the kernel and its modules. Entries appear by a rename, under a
/// lock; what an interrupted fetch left is removed by the next.
public struct KernelStore: Sendable {
    let folders: Folders
    let note: @Sendable (String) -> Void

    /// - Parameter note: gets what is being done, where it takes long: a line for stderr each.
    public init(folders: Folders, note: @escaping @Sendable (String) -> Void = { _ in }) {
        self.folders = folders
        self.note = note
    }

    /// Finds the kernel that is meant.
    ///
    /// - Parameters:
    ///   - spec: a bzImage or vmlinux, a build tree, a .deb, the name of a kernel in the cache, or a version, which is
    ///     fetched where the cache has none.
    ///   - modules: where the user says that the modules are.
    /// - Throws: `.usage` for what is no kernel, `.infrastructure` where one could not be fetched.
    public func resolve(_ spec: String, modules: FilePath? = nil) async throws(HarnessError) -> KernelBuild {
        var build = try await find(spec)
        if let modules {
            do {
                build.modules = try KernelBuild.findModules(of: build.release, in: modules)
            } catch {
                throw .usage("\(error)")
            }
        }
        return build
    }

    private func find(_ spec: String) async throws(HarnessError) -> KernelBuild {
        if !spec.contains("/") {
            // A name or release is exact; a version means the newest that fits.
            let cached = cachedKernels()
            if let entry = cached.first(where: { $0.name == spec || $0.release == spec }) { return try entry.build() }
            if let request = KernelRequest(spec) { return try await version(request) }
        }
        let path = FilePath(spec)
        if path.extension == "deb" { return try await package(path) }
        var isDirectory: ObjCBool = false
        let exists = unsafe FileManager.default.fileExists(atPath: spec, isDirectory: &isDirectory)
        guard exists else {
            throw .usage(
                "\(spec) is neither a file, nor a version (such as 6.12), nor the name of a kernel in the cache"
                    + listed(cachedKernels()))
        }
        do {
            if !isDirectory.boolValue { return try KernelBuild(file: path) }
            if let image = try Self.image(under: path) { return try KernelBuild(file: path.appending(image)) }
            return try KernelBuild(tree: path)
        } catch let error as KernelError {
            throw .usage("\(error)")
        } catch let error as HarnessError {
            throw error
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    private func listed(_ cached: [CachedKernel]) -> String {
        cached.isEmpty ? "" : "; in the cache: " + cached.map { $0.name ?? $0.release }.joined(separator: ", ")
    }

    // MARK: Versions

    /// From the cache where it has one: a kernel does not change under the user's feet; `kernels fetch` renews it.
    private func version(_ request: KernelRequest) async throws(HarnessError) -> KernelBuild {
        if let entry = cached(request) { return try entry.build() }
        return try await fetch(request).build()
    }

    /// The newest kernel of Debian's in the cache that fits; what was built here is asked for by its name.
    func cached(_ request: KernelRequest) -> CachedKernel? {
        cachedKernels().first { entry in
            guard entry.source == .debian, let version = KernelVersion(entry.version) else { return false }
            return request.matches(version)
        }
    }

    /// Fetches the newest kernel of Debian's that fits, unless the cache has that very one.
    public func fetch(_ request: KernelRequest) async throws(HarnessError) -> CachedKernel {
        try await locked { () async throws(HarnessError) in try await fetchLocked(request) }
    }

    private func fetchLocked(_ request: KernelRequest) async throws(HarnessError) -> CachedKernel {
        note("looking for kernel \(request) in Debian's archive")
        let archive = try await archive(for: request)
        let kernels = try await archive.kernels()
        guard let package = kernels.first(where: { $0.kernelVersion.map(request.matches) ?? false }) else {
            let there = Set(kernels.compactMap(\.kernelVersion)).sorted().map(\.description).joined(separator: ", ")
            throw .usage(
                "there is no kernel \(request): \(archive.names) has "
                    + (there.isEmpty ? "none of the cloud flavour" : there)
                    + "; usual ones are \(DebianArchive.usual.joined(separator: ", "))" + listed(cachedKernels()))
        }
        let folder = folders.kernels.appending("\(package.release)_\(package.version)")
        if let entry = CachedKernel(folder: folder) { return entry }
        note("fetching \(package.name) \(package.version)")
        let files = try await archive.download(package)
        let entry = try await unpack(files, as: folder) { (image, release) in
            var entry = CachedKernel(
                source: .debian, release: release, version: package.kernelVersion?.description ?? release,
                origin: "\(package.name) \(package.version)", image: image)
            entry.sha256 = [package.sha256]
            return entry
        }
        try archive.removeDownloads()
        return entry
    }

    private func archive(for request: KernelRequest) async throws(HarnessError) -> DebianArchive {
        do {
            return try await DebianArchive(folders: folders, suites: DebianArchive.suites(for: request))
        } catch HarnessError.infrastructure(let reason) {
            throw .infrastructure(
                "kernel \(request) is not in the cache and cannot be fetched: \(reason)" + listed(cachedKernels()))
        }
    }

    // MARK: The cache

    /// What is there, newest version first.
    public func cachedKernels() -> [CachedKernel] {
        // No folder yet: no kernels.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folders.kernels.string)) ?? []
        return names.filter { !$0.hasPrefix(".") }
            .compactMap { CachedKernel(folder: folders.kernels.appending($0)) }
            .sorted { first, second in
                guard let left = KernelVersion(first.version), let right = KernelVersion(second.version),
                    left != right
                else {
                    return first.folder.string.compare(second.folder.string, options: .numeric) == .orderedDescending
                }
                return left > right
            }
    }

    /// One process at a time changes the cache.
    func locked<Result>(
        _ body: () async throws(HarnessError) -> Result
    ) async throws(HarnessError) -> Result {
        try Folders.make(folders.kernels)
        let lock = try await FileLock.take(folders.kernels.appending(".lock")) {
            note("waiting for another bpftest that is changing \(folders.kernels)")
        }
        let result = try await body()
        lock.release()
        return result
    }

    /// Removes kernels, or what can be made again without the network.
    ///
    /// - Parameters:
    ///   - names: kernels by name or release; none: guest images, build folders, and of Debian's kernels of a series
    ///     (6.12) all but the newest.
    ///   - all: every kernel too.
    /// - Returns: what was removed.
    public func prune(names: [String], all: Bool) async throws(HarnessError) -> [String] {
        try await locked { () async throws(HarnessError) in
            let kernels = cachedKernels()
            var doomed: [CachedKernel] = all ? kernels : []
            for name in names {
                let found = kernels.filter { $0.name == name || $0.release == name }
                if found.isEmpty { throw .usage("there is no kernel \(name) in the cache" + listed(kernels)) }
                doomed += found.filter { !doomed.contains($0) }
            }
            if names.isEmpty && !all {
                var series: Set<String> = []
                for kernel in kernels where kernel.source == .debian {
                    let version = KernelVersion(kernel.version)
                    let key = version.map { "\($0.major).\($0.minor) \($0.candidate != nil)" } ?? kernel.version
                    if !series.insert(key).inserted { doomed.append(kernel) }
                }
            }
            var removed: [String] = []
            for kernel in doomed {
                try Self.remove(kernel.folder)
                removed.append(kernel.name ?? "\(kernel.release) (\(kernel.version))")
            }
            if names.isEmpty {
                for folder in [folders.images, folders.cache.appending("build")]
                where FileManager.default.fileExists(atPath: folder.string) {
                    try Self.remove(folder)
                    removed.append(folder.string)
                }
            }
            return removed
        }
    }

    static func remove(_ path: FilePath) throws(HarnessError) {
        do {
            try FileManager.default.removeItem(atPath: path.string)
        } catch {
            throw .infrastructure("\(path) cannot be removed: \(Folders.reason(error))")
        }
    }
}
