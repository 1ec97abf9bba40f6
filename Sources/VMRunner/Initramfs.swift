// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// A cpio archive of the "newc" form, the one that the kernel unpacks as its first root file system.
///
/// The same entries in the same order give the same bytes: no times, no owners, no numbers of the host.
///
/// - Source: Documentation/driver-api/early-userspace/buffer-format.rst.
public struct Initramfs {
    public private(set) var bytes = Data()
    private var inode = 0
    private var directories: Set<String> = []

    public init() {}

    /// A directory, its parents first; one that exists already is left alone.
    public mutating func directory(_ path: String) {
        var prefix = ""
        for component in path.split(separator: "/") {
            prefix += prefix.isEmpty ? String(component) : "/\(component)"
            if directories.insert(prefix).inserted { entry(prefix, mode: 0o040755, Data()) }
        }
    }

    public mutating func file(_ path: String, mode: Int, _ content: Data) {
        if let slash = path.lastIndex(of: "/") { directory(String(path[..<slash])) }
        entry(path, mode: 0o100000 | mode, content)
    }

    public mutating func characterDevice(_ path: String, major: Int, minor: Int) {
        if let slash = path.lastIndex(of: "/") { directory(String(path[..<slash])) }
        entry(path, mode: 0o020600, Data(), device: (major, minor))
    }

    /// Ends the archive.
    public mutating func finish() -> Data {
        inode = -1
        entry("TRAILER!!!", mode: 0, Data())
        return bytes
    }

    private mutating func entry(_ path: String, mode: Int, _ content: Data, device: (Int, Int) = (0, 0)) {
        inode += 1
        let fields = [
            inode, mode, 0, 0, 1, 0, content.count, 0, 0, device.0, device.1, path.utf8.count + 1, 0,
        ]
        var header = "070701"
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            header += String(repeating: "0", count: 8 - digits.count) + digits
        }
        bytes.append(contentsOf: header.utf8)
        bytes.append(contentsOf: path.utf8)
        bytes.append(0)
        pad()
        bytes.append(content)
        pad()
    }

    private mutating func pad() {
        let over = bytes.count % 4
        if over != 0 { bytes.append(contentsOf: [UInt8](repeating: 0, count: 4 - over)) }
    }
}
