// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// A file that is being received.
final class Upload {
    let id: UInt32
    let path: String
    private let file: OwnedFD
    private let size: UInt64
    private var received: UInt64 = 0
    private var checksum = XXH64()

    /// Creates the file, its parents too; an old one is replaced and not written into, as it may be running.
    init(id: UInt32, path: String, mode: UInt32, size: UInt64) throws(Errno) {
        self.id = id
        self.path = path
        self.size = size
        if let slash = path.lastIndex(of: "/") { Mounts.makeDirectories(String(path[..<slash])) }
        // Whether there was one shows in the next line.
        _ = unsafe unlink(path)
        file = try Descriptors.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws(Errno) {
        unsafe checksum.update(bytes)
        unsafe try file.writeAll(bytes)
        received += UInt64(bytes.count)
    }

    /// - Returns: what is wrong with the file; nil when it is whole.
    func finish(_ expected: UInt64) -> String? {
        if received != size { return "\(received) bytes came, \(size) were announced" }
        if checksum.digest != expected { return "the checksum differs" }
        return nil
    }
}
