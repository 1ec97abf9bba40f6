// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// An archive of unknown origin that has been read to its end and found to be in order; nothing of it is on disk yet.
public final class ArchiveReader {
    public let path: FilePath
    public let manifest: Manifest
    private let file: OwnedFD

    /// Reads all of an archive, and keeps none of it but the manifest.
    ///
    /// - Parameter format: an archive's or a bundle's.
    /// - Throws: `.refused` for whatever bpftest does not write; docs/archive.md, "What is refused".
    public init(_ path: FilePath, format: String = Manifest.format) throws(ArchiveError) {
        self.path = path
        let name = path.string
        do {
            // A fifo would have us wait for its writer.
            file = try Descriptors.open(name, O_RDONLY | O_NONBLOCK)
        } catch {
            throw .system("\(name) cannot be opened", error)
        }
        var status = stat()
        guard unsafe fstat(file.raw, &status) == 0 else { throw .system("\(name) cannot be read", .last) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .refused("\(name) is no file") }
        manifest = try Self.scan(file.raw, name, format, compressedSize: Int(status.st_size)) { _, _ in }
    }

    /// Goes through an archive, and checks everything on the way.
    ///
    /// - Parameters:
    ///   - known: the manifest that it had before; nil: it is read for the first time.
    ///   - body: gets each part's bytes, piece by piece; an empty piece before the first.
    private static func scan(
        _ file: CInt, _ name: String, _ format: String, compressedSize: Int, known: Manifest? = nil,
        _ body: (Manifest.Part, ArraySlice<UInt8>) throws(ArchiveError) -> Void
    ) throws(ArchiveError) -> Manifest {
        let zstd = try ZstdReader(file: file, name: name, size: compressedSize)
        var block = [UInt8](repeating: 0, count: TarHeader.blockSize)
        let manifest = try readManifest(zstd, &block, name, format)
        guard manifest == known ?? manifest else { throw .refused("\(name) changed while it was read") }
        let own = manifest.parts.filter { $0.shared != true }
        let total = own.reduce(0) { $0 + $1.size }
        guard total <= ArchiveLayout.ratioAllowance + compressedSize * ArchiveLayout.ratioLimit else {
            throw .refused("\(name): \(compressedSize) bytes that are to become \(total) are no archive of bpftest's")
        }
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        var done: Set<String> = [ArchiveLayout.manifest]
        for part in own {
            guard let header = try next(zstd, &block, name) else { throw .refused("\(name): \(part.path) is missing") }
            let path = try relative(header, manifest, name)
            guard path == part.path else {
                let shown = printable(path, limit: 200)
                throw .refused(
                    done.contains(path)
                        ? "\(name): \(shown) is in it twice" : "\(name): \(shown) comes where \(part.path) is due")
            }
            done.insert(path)
            guard header.size == part.size else {
                throw .refused("\(name): \(path) has \(header.size) bytes, and by the manifest \(part.size)")
            }
            try body(part, [])
            var digest = Digest()
            var left = part.size
            while left > 0 {
                let count = min(left, chunk.count)
                try fill(&chunk, count, zstd, name, " in \(path)")
                digest.update(chunk[..<count])
                try body(part, chunk[..<count])
                left -= count
            }
            guard digest.finish() == part.sha256 else {
                throw .refused("\(name): \(path) is not what the manifest says: its SHA-256 differs")
            }
            try skipPadding(zstd, part.size, &block, name)
        }
        if let header = try next(zstd, &block, name) {
            let path = try relative(header, manifest, name)
            throw .refused(
                done.contains(path) ? "\(name): \(path) is in it twice" : "\(name): \(path) is not in the manifest")
        }
        try fill(&block, block.count, zstd, name, " at its end")
        guard block.allSatisfy({ $0 == 0 }) else { throw .refused("\(name) goes on behind its end") }
        try zstd.expectEnd()
        return manifest
    }

    /// Reads so many bytes, and not fewer.
    private static func fill(
        _ buffer: inout [UInt8], _ count: Int, _ zstd: ZstdReader, _ name: String, _ place: String = ""
    ) throws(ArchiveError) {
        guard try zstd.read(into: &buffer, count: count) == count else { throw .refused("\(name) is cut off\(place)") }
    }

    private static func readManifest(
        _ zstd: ZstdReader, _ block: inout [UInt8], _ name: String, _ format: String
    ) throws(ArchiveError) -> Manifest {
        guard let header = try next(zstd, &block, name) else { throw .refused("\(name) is empty") }
        let parts = header.name.split(separator: "/", omittingEmptySubsequences: false)
        if header.name.hasPrefix("/") || parts.contains("..") {
            throw .refused("\(name): \(ArchiveLayout.refusal(of: header.name))")
        }
        guard parts.count == 2, parts[1] == ArchiveLayout.manifest else {
            throw .refused("\(name) does not begin with a manifest: it is no archive of bpftest's")
        }
        guard header.size <= ArchiveLayout.manifestLimit else {
            throw .refused("\(name): a manifest of \(header.size) bytes; \(ArchiveLayout.manifestLimit) are the limit")
        }
        var text = [UInt8](repeating: 0, count: header.size)
        try fill(&text, text.count, zstd, name, " in its manifest")
        try skipPadding(zstd, header.size, &block, name)
        let manifest = try Manifest(decoding: text, in: name, format: format)
        guard manifest.name == parts[0] else {
            throw .refused("\(name): its folder is \(parts[0]), and by the manifest \(manifest.name)")
        }
        return manifest
    }

    /// - Returns: nil at the empty block that ends an archive.
    private static func next(
        _ zstd: ZstdReader, _ block: inout [UInt8], _ name: String
    ) throws(ArchiveError) -> TarHeader? {
        try fill(&block, block.count, zstd, name)
        if block.allSatisfy({ $0 == 0 }) { return nil }
        return try TarHeader(decoding: block, in: name)
    }

    /// The name below the archive's one folder.
    private static func relative(
        _ header: TarHeader, _ manifest: Manifest, _ name: String
    ) throws(ArchiveError) -> String {
        let isInside = header.name.hasPrefix(manifest.name + "/")
        let path = isInside ? String(header.name.dropFirst(manifest.name.count + 1)) : header.name
        guard isInside, ArchiveLayout.allows(path) else {
            throw .refused("\(name): \(ArchiveLayout.refusal(of: path))")
        }
        return path
    }

    private static func skipPadding(
        _ zstd: ZstdReader, _ size: Int, _ block: inout [UInt8], _ name: String
    ) throws(ArchiveError) {
        let count = TarHeader.padding(size)
        guard count > 0 else { return }
        try fill(&block, count, zstd, name)
        guard block[..<count].allSatisfy({ $0 == 0 }) else { throw .refused("\(name) has something between its files") }
    }

    // MARK: Extracting

    /// Unpacks everything into a folder that it makes, and checks everything once more on the way.
    ///
    /// - Parameters:
    ///   - folder: must not exist; on an error it is gone again.
    ///   - bundle: where the archive's shared parts are; nil: beside it, under the name that the manifest has.
    public func extract(to folder: FilePath, bundle: FilePath? = nil) throws(ArchiveError) {
        let target = try FreshFolder(folder)
        do {
            try extract(into: target)
            if let name = manifest.bundle, manifest.parts.contains(where: { $0.shared == true }) {
                let file = bundle ?? path.removingLastComponent().appending(name + ".tar.zst")
                try extractShared(from: file, name, into: target)
            }
        } catch {
            target.remove()
            throw error
        }
    }

    private func extract(into target: FreshFolder, only wanted: Set<String>? = nil) throws(ArchiveError) {
        var status = stat()
        guard unsafe fstat(file.raw, &status) == 0 else { throw .system("\(path) cannot be read", .last) }
        _ = try Self.scan(
            file.raw, path.string, manifest.format, compressedSize: Int(status.st_size), known: manifest
        ) { part, bytes throws(ArchiveError) in
            if let wanted, !wanted.contains(part.path) { return }
            if bytes.isEmpty {
                try target.create(part.path, isExecutable: part.path == ArchiveLayout.script)
            } else {
                try target.write(bytes)
            }
        }
    }

    private func extractShared(from file: FilePath, _ name: String, into target: FreshFolder) throws(ArchiveError) {
        let shared = manifest.parts.filter { $0.shared == true }
        let bundle: ArchiveReader
        do {
            bundle = try ArchiveReader(file, format: Manifest.bundleFormat)
        } catch .system(_, let errno) where errno == .noSuchFileOrDirectory {
            throw .refused("\(path) needs \(name).tar.zst beside it, which has the parts that it shares with others")
        }
        for part in shared {
            var expected = part
            expected.shared = nil
            guard bundle.manifest.part(part.path) == expected else {
                throw .refused("\(file): it does not have the \(part.path) that \(path) needs")
            }
        }
        try bundle.extract(into: target, only: Set(shared.map(\.path)))
    }
}

/// A new folder, written to by descriptor: no link that somebody puts there leads out of it.
final class FreshFolder {
    private let path: FilePath
    private let root: OwnedFD
    private var made: [String] = []
    private var folders: [String] = []
    private var open: Holder?
    private var openName = ""

    private final class Holder {
        let file: OwnedFD
        init(_ file: consuming OwnedFD) { self.file = file }
    }

    init(_ path: FilePath) throws(ArchiveError) {
        self.path = path
        guard unsafe mkdir(path.string, 0o700) == 0 else { throw .system("\(path) cannot be made", .last) }
        do {
            root = try Self.folder(path.string, in: AT_FDCWD)
        } catch {
            throw .system("\(path) cannot be opened", error)
        }
    }

    /// Opens a folder that is one: neither a link to one, nor a fifo that waits for its writer.
    private static func folder(_ name: String, in folder: CInt) throws(Errno) -> OwnedFD {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        return OwnedFD(adopting: try Errno.check(unsafe openat(folder, name, flags)))
    }

    /// Begins a file; its folders are made one by one, and each is opened without following links.
    func create(_ name: String, isExecutable: Bool) throws(ArchiveError) {
        open = nil
        openName = name
        let parts = name.split(separator: "/").map(String.init)
        do {
            var folder = Holder(try root.duplicate())
            var below = ""
            for part in parts.dropLast() {
                below += below.isEmpty ? part : "/" + part
                if unsafe mkdirat(folder.file.raw, part, 0o700) == 0 { folders.append(below) }
                folder = Holder(try Self.folder(part, in: folder.file.raw))
            }
            guard let last = parts.last else { return }
            // What is there already, a link too, is an error.
            let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
            let mode: mode_t = isExecutable ? 0o700 : 0o600
            open = Holder(OwnedFD(adopting: try Errno.check(unsafe openat(folder.file.raw, last, flags, mode))))
            made.append(name)
        } catch {
            throw .system("\(path.appending(name)) cannot be made", error)
        }
    }

    func write(_ bytes: ArraySlice<UInt8>) throws(ArchiveError) {
        guard let open else { return }
        try FileBytes.write(bytes, to: open.file.raw, path.appending(openName).string)
    }

    /// Takes everything back. What cannot be removed is left: the error that led here is what is said.
    func remove() {
        open = nil
        for name in made { _ = unsafe unlinkat(root.raw, name, 0) }
        for name in folders.reversed() { _ = unsafe unlinkat(root.raw, name, AT_REMOVEDIR) }
        _ = unsafe rmdir(path.string)
    }
}
