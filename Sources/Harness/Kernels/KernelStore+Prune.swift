// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import VMRunner

extension KernelStore {
    /// Removes kernels, or what can be made again without the network.
    ///
    /// - Parameters:
    ///   - names: kernels by name or release; none: guest images, build folders, interrupted downloads, and of Debian's
    ///     kernels of a series and flavour (6.12, cloud) all but the newest.
    ///   - all: every kernel too.
    /// - Returns: what was removed.
    public func prune(names: [String], all: Bool) async throws(HarnessError) -> [String] {
        try await locked { () async throws(HarnessError) in
            let kernels = cachedKernels()
            var doomed: [CachedKernel] = all ? kernels : []
            for name in names {
                let found = kernels.filter { $0.isCalled(name) }
                if found.isEmpty { throw .usage("there is no kernel \(name) in the cache" + listed(kernels)) }
                doomed += found.filter { !doomed.contains($0) }
            }
            if names.isEmpty && !all { doomed = Self.outdated(kernels) }
            var removed: [String] = []
            for kernel in doomed {
                try Self.remove(kernel.folder)
                removed.append(kernel.source == .debian ? "\(kernel.release) (\(kernel.version))" : kernel.handle)
            }
            if names.isEmpty {
                for folder in [folders.images, folders.cache.appending("build")]
                where FileManager.default.fileExists(atPath: folder.string) {
                    try Self.remove(folder)
                    removed.append(folder.string)
                }
                removed += try removeDownloads()
            }
            return removed
        }
    }

    /// Of Debian's kernels of a series and flavour all but the newest.
    ///
    /// - Parameter kernels: newest first.
    static func outdated(_ kernels: [CachedKernel]) -> [CachedKernel] {
        var series: Set<String> = []
        return kernels.filter { kernel in
            guard kernel.source == .debian else { return false }
            let version = KernelVersion(kernel.version)
            let key = version.map { KernelSeries($0).description } ?? kernel.version
            let flavour = KernelFlavour(release: kernel.release)?.rawValue ?? ""
            return !series.insert("\(key) \(flavour)").inserted
        }
    }

    /// What interrupted fetches left; that of a running one stays.
    private func removeDownloads() throws(HarnessError) -> [String] {
        // No folder: no downloads.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folders.downloads.string)) ?? []
        var removed: [String] = []
        for name in names.sorted() {
            let folder = folders.downloads.appending(name)
            guard let lock = try FileLock.takeAtOnce(folder.appending(".lock")) else {
                note("\(folder) is being fetched and stays")
                continue
            }
            try Self.remove(folder)
            lock.release()
            removed.append(folder.string)
        }
        return removed
    }

    static func remove(_ path: FilePath) throws(HarnessError) {
        do {
            try FileManager.default.removeItem(atPath: path.string)
        } catch {
            throw .infrastructure("\(path) cannot be removed: \(Folders.reason(error))")
        }
    }
}
