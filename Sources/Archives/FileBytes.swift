// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// Where a part's bytes come from.
public enum PartSource: Sendable {
    case file(FilePath)
    case bytes([UInt8])
}

/// Reading and writing by descriptor, with the file's name in every error.
enum FileBytes {
    static func write(_ bytes: ArraySlice<UInt8>, to file: CInt, _ name: String) throws(ArchiveError) {
        var done = bytes.startIndex
        while done < bytes.endIndex {
            let count = unsafe bytes.withUnsafeBytes { raw in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: raw[(done - bytes.startIndex)...])
                return unsafe Glibc.write(file, rest.baseAddress, rest.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system("\(name) cannot be written", .last)
            }
            done += count
        }
    }

    /// What is there, at most the buffer's size; 0 at the end.
    static func read(_ file: CInt, into buffer: inout [UInt8], _ name: String) throws(ArchiveError) -> Int {
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            if errno != EINTR { throw .system("\(name) cannot be read", .last) }
        }
    }

    static func rewind(_ file: CInt, _ name: String) throws(ArchiveError) {
        if lseek(file, 0, SEEK_SET) != 0 { throw .system("\(name) cannot be read", .last) }
    }

    /// Hands a source's bytes out piece by piece.
    static func each(
        _ source: PartSource, _ name: String, _ body: ([UInt8]) throws(ArchiveError) -> Void
    ) throws(ArchiveError) {
        switch source {
        case .bytes(let bytes): if !bytes.isEmpty { try body(bytes) }
        case .file(let path):
            let file: OwnedFD
            do {
                file = try Descriptors.open(path.string, O_RDONLY)
            } catch {
                throw .system("\(path) cannot be read", error)
            }
            var chunk = [UInt8](repeating: 0, count: 1 << 18)
            while true {
                let count = try read(file.raw, into: &chunk, path.string)
                if count == 0 { return }
                try body(Array(chunk[..<count]))
            }
        }
    }

    /// Size and SHA-256 of a source.
    static func measure(_ source: PartSource, _ name: String) throws(ArchiveError) -> (size: Int, sha256: String) {
        var digest = Digest()
        var size = 0
        try each(source, name) { (bytes) throws(ArchiveError) in
            digest.update(bytes)
            size += bytes.count
        }
        return (size, digest.finish())
    }
}
