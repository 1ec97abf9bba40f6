// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage
internal import VMRunner

extension KernelStore {
    /// A .deb that the user gives, unpacked once: the entry's name carries a checksum of the file.
    func package(_ path: FilePath) async throws(HarnessError) -> KernelBuild {
        let checksum = try Self.checksum(path)
        let folder = folders.kernels.appending("deb-\(checksum)")
        if let entry = CachedKernel(folder: folder) { return try entry.build() }
        let entry = try await locked { () async throws(HarnessError) in
            if let entry = CachedKernel(folder: folder) { return entry }
            note("unpacking \(path)")
            return try await unpack([path], as: folder) { (image, release) in
                CachedKernel(
                    source: .package, release: release, version: KernelVersion(release)?.description ?? release,
                    origin: path.lastComponent?.string ?? path.string, image: image)
            }
        }
        return try entry.build()
    }

    private static func checksum(_ path: FilePath) throws(HarnessError) -> String {
        do {
            let file = try Descriptors.open(path.string, 0)
            var hash = XXH64()
            var chunk = [UInt8](repeating: 0, count: 1 << 20)
            var first = true
            while true {
                let count = try file.read(into: &chunk)
                if first, !chunk[..<count].starts(with: Array("!<arch>\n".utf8)) {
                    throw HarnessError.usage("\(path) is not a Debian package")
                }
                first = false
                if count == 0 { break }
                unsafe chunk.withUnsafeBytes { unsafe hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            }
            return String(hash.digest, radix: 16)
        } catch let error as HarnessError {
            throw error
        } catch {
            throw .usage("\(path) cannot be read: \(error)")
        }
    }

    /// Unpacks packages into a new entry of the cache; the caller holds the lock.
    ///
    /// - Parameter describe: makes the entry from the kernel's path in the folder and its release.
    func unpack(
        _ files: [FilePath], as folder: FilePath,
        describe: (_ image: String, _ release: String) -> CachedKernel
    ) async throws(HarnessError) -> CachedKernel {
        let temporary = try makeTemporary()
        defer {
            // After the rename there is nothing to remove; what stays after a failure is swept by the next fetch.
            try? FileManager.default.removeItem(atPath: temporary.string)
        }
        for file in files {
            if file.extension == "deb" {
                _ = try await Tool.require(
                    "dpkg-deb", ["--extract", file.string, temporary.string], package: "dpkg", to: "unpack \(file)")
            } else {
                // tar refuses what leads out of the folder.
                _ = try await Tool.require(
                    "tar", ["-C", temporary.string, "--no-same-owner", "-xf", file.string],
                    package: "tar xz-utils zstd", to: "unpack \(file)")
            }
        }
        let image: String?
        let release: String
        do {
            image = try Self.image(under: temporary)
            guard let image else {
                throw KernelError(
                    "\(files.map(\.string).joined(separator: ", ")) holds no kernel: neither boot/vmlinuz-… nor "
                        + "lib/modules/…/vmlinuz")
            }
            release = try KernelImage(inspecting: temporary.appending(image)).release
        } catch let error as HarnessError {
            throw error
        } catch {
            throw .usage("\(error)")
        }
        guard let image else { throw .usage("no kernel") }
        try await indexModules(temporary, release)
        let papers = temporary.appending("usr/share")
        if FileManager.default.fileExists(atPath: papers.string) { try Self.remove(papers) }
        return try publish(temporary, as: folder, describe(image, release))
    }

    /// Writes the modules.dep that Debian's packages leave to their installation.
    func indexModules(_ root: FilePath, _ release: String) async throws(HarnessError) {
        let found = ["lib/modules", "usr/lib/modules"].first {
            FileManager.default.fileExists(atPath: root.appending($0).appending(release).string)
        }
        guard let found else { return }
        let base = found == "lib/modules" ? root : root.appending("usr")
        _ = try await Tool.require(
            "depmod", ["-b", base.string, release], package: "kmod", to: "find the dependencies of its modules")
    }

    /// A new folder for an entry in the making, after removing what interrupted ones left; the caller holds the lock.
    func makeTemporary() throws(HarnessError) -> FilePath {
        do {
            for name in try FileManager.default.contentsOfDirectory(atPath: folders.kernels.string)
            where name.hasPrefix(".new-") {
                do {
                    try FileManager.default.removeItem(atPath: folders.kernels.appending(name).string)
                } catch {
                    // The unpacking tool of a bpftest that was killed may still be writing into it.
                    note("\(folders.kernels.appending(name)) cannot be removed yet: \(Folders.reason(error))")
                }
            }
        } catch {
            throw .infrastructure("\(folders.kernels) cannot be read: \(Folders.reason(error))")
        }
        let temporary = folders.kernels.appending(".new-\(UUID().uuidString)")
        try Folders.make(temporary)
        return temporary
    }

    /// Makes a finished folder an entry of the cache.
    func publish(
        _ temporary: FilePath, as folder: FilePath, _ entry: CachedKernel
    ) throws(HarnessError) -> CachedKernel {
        try entry.writeManifest(in: temporary)
        if FileManager.default.fileExists(atPath: folder.string) { try Self.remove(folder) }
        do {
            try FileManager.default.moveItem(atPath: temporary.string, toPath: folder.string)
        } catch {
            throw .infrastructure("\(folder) cannot be made: \(Folders.reason(error))")
        }
        guard let published = CachedKernel(folder: folder) else {
            throw .infrastructure("\(folder) is not readable after it was written: is the disk full?")
        }
        return published
    }

    /// The kernel file of an unpacked package or an installed system, relative to its root.
    ///
    /// - Returns: nil where there is none.
    /// - Throws: `.usage` where there are several.
    static func image(under root: FilePath) throws(HarnessError) -> String? {
        func names(_ folder: String) -> [String] {
            // A layout that is not there has no files.
            (try? FileManager.default.contentsOfDirectory(atPath: root.appending(folder).string)) ?? []
        }
        var found = names("boot").filter { $0.hasPrefix("vmlinuz-") }.map { "boot/\($0)" }
        for folder in ["usr/lib/modules", "lib/modules"] where found.isEmpty {
            found = names(folder).map { "\(folder)/\($0)/vmlinuz" }.filter {
                FileManager.default.fileExists(atPath: root.appending($0).string)
            }
        }
        guard found.count < 2 else {
            throw .usage("\(root) holds several kernels: give one of \(found.sorted().joined(separator: ", "))")
        }
        return found.first
    }
}
