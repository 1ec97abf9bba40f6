// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// A file to bring into the guest.
public struct GuestFile: Sendable {
    public enum Source: Sendable, CustomStringConvertible {
        case file(FilePath)
        case bytes([UInt8])

        public var description: String {
            switch self {
            case .file(let path): path.string
            case .bytes(let bytes): "\(bytes.count) bytes"
            }
        }
    }

    public var source: Source
    /// Absolute path in the guest; parents are made.
    public var path: String
    public var mode: UInt32

    public init(_ source: Source, as path: String, mode: UInt32 = 0o644) {
        self.source = source
        self.path = path
        self.mode = mode
    }

    /// The content, piece by piece.
    final class Reader {
        let size: Int
        private let file: OwnedFD?
        private var rest: ArraySlice<UInt8>

        init(_ source: Source) throws(Errno) {
            switch source {
            case .file(let path):
                let opened = try Descriptors.open(path.string, O_RDONLY)
                var status = stat()
                _ = try Errno.check(unsafe fstat(opened.raw, &status))
                if status.st_mode & S_IFMT == S_IFDIR { throw .isDirectory }
                size = Int(status.st_size)
                file = consume opened
                rest = []
            case .bytes(let bytes):
                size = bytes.count
                file = nil
                rest = bytes[...]
            }
        }

        /// At most `limit` bytes; none at the end.
        func next(_ limit: Int) throws(Errno) -> [UInt8] {
            guard file != nil else {
                defer { rest = rest.dropFirst(limit) }
                return Array(rest.prefix(limit))
            }
            return try readFromFile(limit)
        }

        private func readFromFile(_ limit: Int) throws(Errno) -> [UInt8] {
            var chunk = [UInt8](repeating: 0, count: limit)
            let count = try file?.readExactly(limit, into: &chunk) ?? 0
            chunk.removeLast(limit - count)
            return chunk
        }
    }
}
