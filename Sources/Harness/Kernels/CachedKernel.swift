// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
public import VMRunner

/// A kernel in the cache: a folder with what the package or the build held, and this beside it as manifest.json.
///
/// The folder comes into being by a rename, with the manifest in it: half a kernel is never seen.
public struct CachedKernel: Sendable, Codable, Equatable {
    public enum Source: String, Sendable, Codable {
        /// From Debian's archive, by version.
        case debian
        /// From a .deb that the user gave.
        case package
        /// Built here, with the fragments of images/.
        case build
        /// From a source of the user's own.
        case own
    }

    /// Counts up when the meaning of a field changes; entries of another format are passed over.
    public var format = 1
    public var source: Source
    /// As `uname -r` says.
    public var release: String
    /// Where the mainline version is not in the release, as in Debian's 6.1.0-56: that of the package, 6.1.192.
    public var version: String
    /// The name given to `kernels build`.
    public var name: String?
    /// Package and package version, such as `linux-image-6.1.0-56-cloud-amd64 6.1.192-2`; or the source tree.
    public var origin: String
    /// Of the packages, in hexadecimal, as the signed package lists give them.
    public var sha256: [String] = []
    /// Packages that belong to it and were not to be had; nil: none.
    public var missing: [String]?
    /// The kernel file, relative to the folder.
    public var image: String
    /// The folder; not part of the manifest.
    public internal(set) var folder = FilePath("")

    private enum CodingKeys: String, CodingKey {
        case format, source, release, version, name, origin, sha256, missing, image
    }

    static let manifest = "manifest.json"
    static let currentFormat = 1

    init(source: Source, release: String, version: String, origin: String, image: String) {
        self.source = source
        self.release = release
        self.version = version
        self.origin = origin
        self.image = image
    }

    /// A kernel that stays where it is: no entry of the cache.
    init(inPlace folder: FilePath, image: String, release: String, version: KernelVersion) {
        self.init(
            source: .own, release: release, version: version.description, origin: folder.appending(image).string,
            image: image)
        self.folder = folder
    }

    /// What `-k` takes for it, and what lists show: its name, else its release.
    ///
    /// A version, 6.12.117, is a published kernel on every machine. A build whose whole release is one is called by its
    /// folder.
    public var handle: String {
        if let name { return name }
        return hidesPublished ? folder.lastComponent?.string ?? release : release
    }

    /// Whether `-k` means this kernel and no other by these words.
    func isCalled(_ words: String) -> Bool {
        handle == words || release == words && !hidesPublished
    }

    /// Whether its release is what a kernel of Debian's is asked for by.
    private var hidesPublished: Bool { source != .debian && KernelRequest(release) != nil }

    /// Whether its modules are missing.
    var isPartial: Bool { missing?.isEmpty == false }

    /// Reads the manifest of an entry.
    ///
    /// - Returns: nil for what is no entry of this format or has lost its kernel file.
    init?(folder: FilePath) {
        guard let data = FileManager.default.contents(atPath: folder.appending(Self.manifest).string),
            // Written by another version of bpftest, or by nobody of ours: not an entry.
            let entry = try? JSONDecoder().decode(CachedKernel.self, from: data), entry.format == Self.currentFormat,
            FileManager.default.fileExists(atPath: folder.appending(entry.image).string)
        else { return nil }
        self = entry
        self.folder = folder
    }

    func writeManifest(in folder: FilePath) throws(HarnessError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            try encoder.encode(self).write(to: URL(fileURLWithPath: folder.appending(Self.manifest).string))
        } catch {
            throw .infrastructure("\(folder.appending(Self.manifest)) cannot be written: \(Folders.reason(error))")
        }
    }

    /// The kernel to boot.
    public func build() throws(HarnessError) -> KernelBuild {
        do {
            var build = try KernelBuild(file: folder.appending(image), origin: name ?? "\(release) (\(origin))")
            if let version = KernelVersion(version) { build.version = version }
            return build
        } catch {
            throw .infrastructure("\(error) (remove \(folder) to have it fetched again)")
        }
    }

    /// Bytes on disk.
    public var size: Int {
        var sum = 0
        let entries = FileManager.default.enumerator(
            at: URL(fileURLWithPath: folder.string), includingPropertiesForKeys: [.fileSizeKey])
        while let url = entries?.nextObject() as? URL {
            // A file that vanishes meanwhile has no size.
            sum += (try? url.resourceValues(forKeys: [.fileSizeKey]))?.fileSize ?? 0
        }
        return sum
    }
}
