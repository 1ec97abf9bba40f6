// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Test {
    /// Waits until a program has written to a ring buffer.
    func awaitEvent(_ buffer: CInt, _ what: String, file: String = #fileID, line: Int = #line) throws {
        var poller = Poller()
        poller.add(buffer, .read)
        expect(try poller.wait(.seconds(30)), what, file: file, line: line)
    }
}

/// A second thread of the calling process, which waits until it is told to end.
final class OtherThread {
    private let end: FileHandle
    private var thread = pthread_t()
    let tid: Int32

    init(_ test: Test) throws {
        let pipe = try Descriptors.pipe()
        end = FileHandle(pipe.second)
        let before = try Self.threads()
        let reading = pipe.first.release()
        let raw = unsafe UnsafeMutableRawPointer(bitPattern: UInt(reading) + 1)
        let failure = unsafe pthread_create(
            &thread, nil,
            { argument in
                let descriptor = CInt(UInt(bitPattern: argument) - 1)
                var byte: UInt8 = 0
                while unsafe read(descriptor, &byte, 1) < 0, errno == EINTR {}
                close(descriptor)
                return nil
            }, raw)
        try test.require(failure == 0, "a thread is started")
        guard let new = try Self.threads().subtracting(before).first else { throw Errno.noSuchProcess }
        tid = new
    }

    private static func threads() throws -> Set<Int32> {
        guard let folder = unsafe opendir("/proc/self/task") else { throw Errno(rawValue: errno) }
        defer { unsafe closedir(folder) }
        var found: Set<Int32> = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let number = Int32(name) { found.insert(number) }
        }
        return found
    }

    /// Ends the thread and waits for it.
    func finish() {
        end.close()
        pthread_join(thread, nil)
    }
}

/// A second descriptor for what a descriptor stands for.
func duplicate(_ raw: CInt) throws -> FileHandle {
    FileHandle(adopting: try Errno.check(dup(raw)))
}
