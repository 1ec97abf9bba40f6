// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import LinuxIO
public import SystemPackage

/// One end of a pair of sockets between a case and a process that it forks: messages, and descriptors with them.
public final class Channel {
    private let handle: FileHandle

    private init(adopting raw: CInt) {
        handle = FileHandle(adopting: raw)
    }

    /// Both ends. After the fork each process closes the one that is not its own: otherwise it would not see that the
    /// other process has gone.
    public static func pair() throws(Errno) -> (ours: Channel, theirs: Channel) {
        var ends: (CInt, CInt) = (-1, -1)
        let result = unsafe withUnsafeMutableBytes(of: &ends) { raw in
            unsafe clinux_socketpair(raw.baseAddress?.assumingMemoryBound(to: CInt.self))
        }
        _ = try Errno.check(result)
        return (Channel(adopting: ends.0), Channel(adopting: ends.1))
    }

    public func close() {
        handle.close()
    }

    /// Sends a message, of one byte at least, and up to eight descriptors, which stay open here.
    public func send(_ text: String = ".", passing descriptors: [CInt] = []) throws(Errno) {
        let bytes = Array(text.utf8)
        let count = unsafe bytes.withUnsafeBytes { bytes in
            unsafe descriptors.withUnsafeBufferPointer { descriptors in
                unsafe clinux_send(
                    handle.raw, bytes.baseAddress, bytes.count, descriptors.baseAddress, descriptors.count)
            }
        }
        _ = try Errno.check(count)
    }

    /// Waits for a message.
    ///
    /// - Throws: `.brokenPipe` when the other process has gone.
    public func receive() throws(Errno) -> (text: String, descriptors: [FileHandle]) {
        var bytes = [UInt8](repeating: 0, count: 4096)
        var descriptors = [CInt](repeating: -1, count: 8)
        var count = 0
        let received = unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe descriptors.withUnsafeMutableBufferPointer { descriptors in
                unsafe clinux_receive(handle.raw, bytes.baseAddress, bytes.count, descriptors.baseAddress, &count)
            }
        }
        if try Errno.check(received) == 0 { throw .brokenPipe }
        return (
            String(decoding: bytes[..<received], as: UTF8.self),
            descriptors[..<count].map { FileHandle(adopting: $0) }
        )
    }

    /// Waits for a message with one descriptor.
    public func receiveDescriptor() throws(Errno) -> FileHandle {
        guard let descriptor = try receive().descriptors.first else { throw .badMessage }
        return descriptor
    }
}
