// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import LinuxIO
import Testing

/// Memory of a process that forks often; it is settled in a child, which has one thread.
struct SettledMemoryTests {
    /// What the child found wrong, by its exit status.
    private enum Finding: CInt {
        case none, notSettled, contentsLost, notInTheFile, notWritable, writtenToTheFile
    }

    @Test func contentsStayAndCanBeWritten() throws {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 8)
        defer { unsafe bytes.deallocate() }
        for index in bytes.indices { unsafe bytes[index] = UInt8(truncatingIfNeeded: index * 7 / 3) }
        let pid = clinux_fork()
        if pid == 0 { _exit(unsafe Self.settle(bytes).rawValue) }
        try #require(pid > 0)
        var status: CInt = 0
        #expect(unsafe waitpid(pid, &status, 0) == pid)
        #expect(status & 0x7f == 0, "signal \(status & 0x7f)")
        #expect(Finding(rawValue: status >> 8) == Finding.none)
    }

    private static func settle(_ bytes: UnsafeMutableRawBufferPointer) -> Finding {
        guard clinux_settle_memory() == 0 else { return .notSettled }
        for index in bytes.indices where unsafe bytes[index] != UInt8(truncatingIfNeeded: index * 7 / 3) {
            return .contentsLost
        }
        guard let maps = try? readFile("/proc/self/maps") else { return .notInTheFile }
        let place = UInt(bitPattern: bytes.baseAddress)
        let mapping = String(decoding: maps, as: UTF8.self).split(separator: "\n").first { line in
            let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
            return ends.count == 2 && ends[0] <= place && place < ends[1]
        }
        guard let mapping, mapping.contains("/memfd:settled") else { return .notInTheFile }
        // Written by a child of its own: this process must not see it.
        let pid = clinux_fork()
        if pid == 0 {
            unsafe bytes[5] = 99
            _exit(unsafe bytes[5] == 99 ? 0 : 1)
        }
        var status: CInt = 0
        guard pid > 0, unsafe waitpid(pid, &status, 0) == pid, status == 0 else { return .notWritable }
        return unsafe bytes[5] == 11 ? .none : .writtenToTheFile
    }
}
