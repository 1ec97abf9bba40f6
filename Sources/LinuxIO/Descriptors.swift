// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
public import SystemPackage

/// Two descriptors that belong together, such as the ends of a pipe.
@frozen public struct DescriptorPair: ~Copyable, Sendable {
    /// Of a pipe: the reading end.
    public var first: OwnedFD
    /// Of a pipe: the writing end.
    public var second: OwnedFD
}

/// Ways of making descriptors; all of them are closed on exec.
public enum Descriptors {
    /// Two connected stream sockets.
    public static func socketPair() throws(Errno) -> DescriptorPair {
        var pair: (CInt, CInt) = (-1, -1)
        let result = unsafe withUnsafeMutableBytes(of: &pair) { bytes in
            unsafe socketpair(
                AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0,
                bytes.bindMemory(to: CInt.self).baseAddress)
        }
        _ = try Errno.check(result)
        return DescriptorPair(first: OwnedFD(adopting: pair.0), second: OwnedFD(adopting: pair.1))
    }

    /// A pipe.
    public static func pipe() throws(Errno) -> DescriptorPair {
        var ends: (CInt, CInt) = (-1, -1)
        let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
            unsafe clinux_pipe(bytes.bindMemory(to: CInt.self).baseAddress)
        }
        _ = try Errno.check(result)
        return DescriptorPair(first: OwnedFD(adopting: ends.0), second: OwnedFD(adopting: ends.1))
    }

    public static func open(
        _ path: String, _ flags: CInt, mode: UInt32 = 0o644
    ) throws(Errno) -> OwnedFD {
        OwnedFD(adopting: try Errno.check(unsafe Glibc.open(path, flags | O_CLOEXEC, mode)))
    }

    /// A counter that becomes readable when something is written to it: wakes a `poll`.
    public static func event() throws(Errno) -> OwnedFD {
        OwnedFD(adopting: try Errno.check(eventfd(0, CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK))))
    }

    /// Becomes readable when the process ends.
    public static func process(_ pid: Int32) throws(Errno) -> OwnedFD {
        OwnedFD(adopting: try Errno.check(clinux_pidfd_open(pid)))
    }
}

extension OwnedFD {
    /// Makes reads and writes return EAGAIN instead of waiting.
    public func setNonBlocking() throws(Errno) {
        let flags = try Errno.check(fcntl(raw, F_GETFL))
        _ = try Errno.check(fcntl(raw, F_SETFL, flags | O_NONBLOCK))
    }

    /// Reads what is there, at most the buffer's size; 0 is the end of the stream. Repeats on EINTR.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        while true {
            let count = unsafe Glibc.read(raw, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            let error = Errno.last
            if error != .interrupted { throw error }
        }
    }

    /// Reads what is there into the start of an array, at most as much as the array holds.
    public func read(into buffer: inout [UInt8]) throws(Errno) -> Int {
        unsafe try buffer.withUnsafeMutableBufferPointer { (raw) throws(Errno) in
            unsafe try read(into: UnsafeMutableRawBufferPointer(raw))
        }
    }

    /// Reads `count` bytes into the start of an array, fewer only at the end of the stream.
    public func readExactly(_ count: Int, into buffer: inout [UInt8]) throws(Errno) -> Int {
        unsafe try buffer.withUnsafeMutableBufferPointer { (raw) throws(Errno) in
            let whole = UnsafeMutableRawBufferPointer(raw)
            return unsafe try readExactly(into: UnsafeMutableRawBufferPointer(rebasing: whole[..<count]))
        }
    }

    /// Fills the whole buffer.
    ///
    /// - Returns: the bytes read; fewer than asked for only at the end of the stream.
    public func readExactly(into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            let count = unsafe try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes once: what the descriptor takes. Repeats on EINTR.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int {
        while true {
            let count = unsafe Glibc.write(raw, bytes.baseAddress, bytes.count)
            if count >= 0 { return count }
            let error = Errno.last
            if error != .interrupted { throw error }
        }
    }

    /// Writes once, from an array's index on.
    public func write(_ bytes: [UInt8], from start: Int) throws(Errno) -> Int {
        unsafe try bytes.withUnsafeBufferPointer { (raw) throws(Errno) in
            unsafe try write(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(raw)[start...]))
        }
    }

    /// Writes everything; for blocking descriptors.
    public func writeAll(_ bytes: UnsafeRawBufferPointer) throws(Errno) {
        var done = 0
        while done < bytes.count {
            done += unsafe try write(UnsafeRawBufferPointer(rebasing: bytes[done...]))
        }
    }

    public func writeAll(_ bytes: [UInt8]) throws(Errno) {
        try writeAll(bytes, count: bytes.count)
    }

    /// Writes the first `count` bytes of an array; for blocking descriptors.
    public func writeAll(_ bytes: [UInt8], count: Int) throws(Errno) {
        unsafe try bytes.withUnsafeBufferPointer { (raw) throws(Errno) in
            unsafe try writeAll(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(raw)[..<count]))
        }
    }

    /// Adds 1 to an event counter made by `Descriptors.event()`.
    public func signal() {
        var one: UInt64 = 1
        // The counter cannot overflow with ones, and a full one is readable already.
        unsafe withUnsafeBytes(of: &one) { _ = unsafe Glibc.write(raw, $0.baseAddress, 8) }
    }
}

/// Reads a whole small file.
///
/// - Parameter limit: bytes after which the rest is left out.
public func readFile(_ path: String, limit: Int = 1 << 20) throws(Errno) -> [UInt8] {
    let file = try Descriptors.open(path, O_RDONLY)
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while content.count < limit {
        let count = try file.read(into: &chunk)
        if count == 0 { break }
        content.append(contentsOf: chunk[..<min(count, limit - content.count)])
    }
    return content
}
