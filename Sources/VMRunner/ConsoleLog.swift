// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// The kernel's console: whole in a file up to a limit, its end in memory, line by line.
///
/// The guest may write anything and as much as it likes: what is kept is bounded, and lines come out as printable
/// text.
public struct ConsoleLog {
    /// Bytes of the file after which nothing more is written to it.
    public static let fileLimit = 64 << 20
    /// Lines kept in memory.
    public static let tailLines = 400
    /// Bytes of a line; the rest of a longer one is dropped.
    static let lineLimit = 1024

    public private(set) var lines: [String] = []
    /// Lines ever seen, also those no longer kept.
    public private(set) var lineCount = 0
    /// Why the file has not got everything.
    public private(set) var fileProblem: String?
    private var partial: [UInt8] = []
    private var file: FileSink?

    /// - Parameter file: where to write; nil keeps only the tail.
    public init(file path: String?) throws(Errno) {
        if let path { file = try FileSink(path) }
    }

    /// Takes what came; returns the lines that it completes.
    mutating func append(_ bytes: ArraySlice<UInt8>) -> [String] {
        if let file, fileProblem == nil { fileProblem = file.write(bytes) }
        var completed: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                completed.append(Self.printable(partial))
                partial.removeAll(keepingCapacity: true)
            } else if partial.count < Self.lineLimit {
                partial.append(byte)
            }
        }
        keep(completed)
        return completed
    }

    /// Ends a last line without a newline; for a machine that is gone.
    mutating func finish() -> [String] {
        guard !partial.isEmpty else { return [] }
        let line = Self.printable(partial)
        partial.removeAll()
        keep([line])
        return [line]
    }

    private mutating func keep(_ new: [String]) {
        lines += new
        lineCount += new.count
        if lines.count > 2 * Self.tailLines { lines.removeFirst(lines.count - Self.tailLines) }
    }

    /// The last lines, an unfinished one too.
    public func tail(_ count: Int = 20) -> [String] {
        let all = partial.isEmpty ? lines : lines + [Self.printable(partial)]
        return all.suffix(count).map { $0 }
    }

    /// Text without terminal controls: escape sequences go, other control bytes and broken UTF-8 become U+FFFD.
    static func printable(_ bytes: [UInt8]) -> String {
        var clean: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 0x1b, index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "[") {
                index += 2
                while index < bytes.count, !(0x40...0x7e).contains(bytes[index]) { index += 1 }
            } else if byte >= 0x20 || byte == 0x09 {
                clean.append(byte)
            } else if byte == 0x1b, index + 1 < bytes.count {
                index += 1  // two-byte sequences, as SeaBIOS's ESC c
            } else if byte != 0x0d {
                clean.append(contentsOf: [0xef, 0xbf, 0xbd])
            }
            index += 1
        }
        return String(decoding: clean, as: UTF8.self)
    }
}

/// The console's file, closed with its last user.
private final class FileSink {
    private let file: OwnedFD
    private var written = 0

    init(_ path: String) throws(Errno) {
        file = try Descriptors.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
    }

    /// - Returns: why nothing more will be written.
    func write(_ bytes: ArraySlice<UInt8>) -> String? {
        let room = ConsoleLog.fileLimit - written
        let part = Array(bytes.prefix(room))
        do {
            try file.writeAll(part)
        } catch {
            return "console file: \(error.name)"
        }
        written += part.count
        return part.count < bytes.count ? "console file: cut off after \(ConsoleLog.fileLimit >> 20) MiB" : nil
    }
}
