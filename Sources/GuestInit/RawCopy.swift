// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// The yardstick for pushing files (make bench): bytes from the control port into a file, and nothing else.
enum RawCopy {
    /// Says a byte when it is ready, copies, and says another when all is in the file.
    static func run(_ size: Int, _ port: borrowing OwnedFD) throws(Errno) {
        let file = try Descriptors.open("/run/raw", O_WRONLY | O_CREAT | O_TRUNC)
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        try port.writeAll([0])
        var left = size
        while left > 0 {
            // The port gives 4 KiB at a time; filling the buffer first halves the calls of write().
            let count = try port.readExactly(min(left, buffer.count), into: &buffer)
            if count == 0 { return }
            try file.writeAll(buffer, count: count)
            left -= count
        }
        try port.writeAll([1])
        // The host ends the machine when it has read the byte.
        _ = try port.read(into: &buffer)
    }
}
