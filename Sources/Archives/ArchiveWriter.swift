// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// Writes archives: the same manifest and parts give the same bytes.
public enum ArchiveWriter {
    /// A file of an archive.
    public struct Content: Sendable {
        public var path: String
        public var source: PartSource
        /// In the bundle, not here.
        public var isShared: Bool

        public init(_ path: String, _ source: PartSource, isShared: Bool = false) {
            self.path = path
            self.source = source
            self.isShared = isShared
        }
    }

    /// What the manifest says of files, in the order in which they are written: the small and telling ones first.
    public static func parts(_ contents: [Content]) throws(ArchiveError) -> [Manifest.Part] {
        var parts: [Manifest.Part] = []
        for content in contents.sorted(by: { order($0.path) < order($1.path) }) {
            let (size, sum) = try FileBytes.measure(content.source, content.path)
            parts.append(
                Manifest.Part(path: content.path, size: size, sha256: sum, shared: content.isShared ? true : nil))
        }
        return parts
    }

    private static func order(_ path: String) -> String {
        (path.contains("/") ? "1" : "0") + path
    }

    /// Writes `NAME.tar.zst` into a folder, whole or not at all; an older one is replaced.
    ///
    /// - Parameter contents: everything that the manifest's parts name, and does not leave to a bundle.
    @discardableResult
    public static func write(
        _ manifest: Manifest, _ contents: [Content], into folder: FilePath
    ) throws(ArchiveError) -> FilePath {
        let path = folder.appending(manifest.name + ".tar.zst")
        let hidden = folder.appending(".\(manifest.name).\(getpid()).tmp").string
        let file: OwnedFD
        do {
            file = try Descriptors.open(hidden, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
        } catch {
            throw .system("\(path) cannot be written", error)
        }
        do {
            try write(manifest, contents, to: file.raw, path.string)
        } catch {
            // What is half there is nobody's; that it could not be written is said anyway.
            _ = unsafe unlink(hidden)
            throw error
        }
        if unsafe rename(hidden, path.string) != 0 {
            let error = Errno.last
            // As above.
            _ = unsafe unlink(hidden)
            throw .system("\(path) cannot be written", error)
        }
        return path
    }

    private static func write(
        _ manifest: Manifest, _ contents: [Content], to file: CInt, _ name: String
    ) throws(ArchiveError) {
        let zstd = try ZstdWriter(file: file, name: name)
        let text = manifest.encoded()
        try begin(ArchiveLayout.manifest, text.count, manifest, zstd)
        try zstd.write(text)
        try end(text.count, zstd)
        for part in manifest.parts where part.shared != true {
            guard ArchiveLayout.allows(part.path), let content = contents.first(where: { $0.path == part.path }) else {
                throw .refused("\(part.path) is no part of an archive")
            }
            try begin(part.path, part.size, manifest, zstd)
            var digest = Digest()
            var written = 0
            try FileBytes.each(content.source, part.path) { (bytes) throws(ArchiveError) in
                digest.update(bytes)
                written += bytes.count
                try zstd.write(bytes)
            }
            guard written == part.size, digest.finish() == part.sha256 else {
                throw .refused("\(part.path) changed while the archive was written")
            }
            try end(written, zstd)
        }
        // Two empty blocks end an archive, and tar pads it to 20.
        try zstd.write([UInt8](repeating: 0, count: 2 * TarHeader.blockSize))
        try zstd.finish()
    }

    private static func begin(
        _ path: String, _ size: Int, _ manifest: Manifest, _ zstd: ZstdWriter
    ) throws(ArchiveError) {
        let name = "\(manifest.name)/\(path)"
        let header = TarHeader(name: name, size: size, isExecutable: path == ArchiveLayout.script)
        guard let block = header.encoded() else { throw .refused("\(name) is too long a name for an archive") }
        try zstd.write(block)
    }

    private static func end(_ size: Int, _ zstd: ZstdWriter) throws(ArchiveError) {
        let padding = TarHeader.padding(size)
        if padding > 0 { try zstd.write([UInt8](repeating: 0, count: padding)) }
    }
}
