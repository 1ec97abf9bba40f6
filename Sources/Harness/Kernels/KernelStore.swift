// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
public import VMRunner

/// Turns what the user gives for a kernel into one that can be booted, and keeps the fetched ones.
///
/// In the cache: `kernels/ENTRY/` with a manifest, the kernel and its modules. Entries appear by a rename, under a
/// lock; what an interrupted fetch left of one is removed by the next, but not what it had downloaded.
public struct KernelStore: Sendable {
    let folders: Folders
    let sources: KernelSources
    let note: @Sendable (String) -> Void
    let archive: any KernelProvider

    /// - Parameters:
    ///   - sources: where kernels come from besides Debian's archive; nil: what the environment names.
    ///   - note: gets what is being done, where it takes long: a line for stderr each.
    public init(
        folders: Folders, sources: KernelSources? = nil, note: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.init(
            folders: folders, sources: sources ?? KernelSources(environment: ProcessInfo.processInfo.environment),
            archive: DebianArchive(folders: folders, note: note), note: note)
    }

    /// - Parameter archive: in the place of Debian's.
    init(
        folders: Folders, sources: KernelSources, archive: any KernelProvider,
        note: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.folders = folders
        self.sources = sources
        self.archive = archive
        self.note = note
    }

    /// All that kernels come from, the user's own first.
    var providers: [any KernelProvider] {
        sources.folders.map { KernelFolder(path: $0, note: note) }
            + sources.templates.map { TemplateProvider(template: $0) } + (sources.usesDebian ? [archive] : [])
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
            if let entry = cachedKernels().first(where: { $0.isCalled(spec) }) { return try entry.build() }
            if let offer = try await localOffers().first(where: { $0.release == spec }) {
                return try await obtain(offer).build()
            }
            if let request = KernelRequest(spec) { return try await version(request).build() }
            if let complaint = KernelRequest.complaint(about: spec) { throw .usage(complaint) }
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

    func listed(_ cached: [CachedKernel]) -> String {
        cached.isEmpty ? "" : "; in the cache: " + cached.map(\.handle).joined(separator: ", ")
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
}
