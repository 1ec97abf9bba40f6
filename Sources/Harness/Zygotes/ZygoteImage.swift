// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// A guest's memory as a file: copied and summed without the blocks that hold only zeros.
enum ZygoteImage {
    private static let block = 64 << 10
    /// SEEK_DATA, which Glibc's module leaves out.
    private static let seekData: CInt = 3

    /// Copies and sums.
    ///
    /// - Parameter target: an empty file; gets the size of the source, with holes for zeros. nil only sums.
    /// - Returns: the checksum of `sum`.
    static func copy(_ source: borrowing OwnedFD, to target: borrowing OwnedFD, size: Int) throws(Errno) -> UInt64 {
        _ = try Errno.check(ftruncate(target.raw, size))
        return unsafe try walk(source.raw, size) { (offset, bytes) throws(Errno) in
            var done = 0
            while done < bytes.count {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
                let count = unsafe pwrite(target.raw, rest.baseAddress, rest.count, offset + done)
                done += try Errno.check(count)
            }
        }
    }

    /// The checksum of a file: of its size and of each block that is not all zeros, with its place. Holes or not
    /// makes no difference.
    static func sum(_ file: borrowing OwnedFD, size: Int) throws(Errno) -> UInt64 {
        unsafe try walk(file.raw, size) { (_, _) throws(Errno) in }
    }

    private static func walk(
        _ file: CInt, _ size: Int, _ body: (Int, UnsafeRawBufferPointer) throws(Errno) -> Void
    ) throws(Errno) -> UInt64 {
        var checksum = XXH64(seed: UInt64(size))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 4096)
        defer { unsafe buffer.deallocate() }
        var offset = 0
        while offset < size {
            // Past the next hole; ENXIO: nothing but a hole is left.
            let data = lseek(file, off_t(offset), seekData)
            if data < 0 {
                let error = Errno.last
                if error == .noSuchAddressOrDevice { break }
                throw error
            }
            offset = Int(data) / block * block
            let wanted = min(block, size - offset)
            let count = try Errno.check(unsafe pread(file, buffer.baseAddress, wanted, off_t(offset)))
            guard count == wanted else { throw .ioError }
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])
            if unsafe !isZero(bytes) {
                var place = UInt64(offset).littleEndian
                unsafe withUnsafeBytes(of: &place) { unsafe checksum.update($0) }
                unsafe checksum.update(bytes)
                unsafe try body(offset, bytes)
            }
            offset += wanted
        }
        return checksum.digest
    }

    private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress, bytes.count > 8 else { return unsafe bytes.allSatisfy { $0 == 0 } }
        // Equal to itself one byte on, and beginning with a zero: all zeros.
        return unsafe bytes[0] == 0 && memcmp(start, start + 1, bytes.count - 1) == 0
    }
}
