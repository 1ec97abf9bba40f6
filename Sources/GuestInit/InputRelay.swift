// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// What the host sends for a job's stdin, on its way into the job's pipe.
///
/// Never more than the window is kept: the host waits until it is told that some was taken. A job that reads nothing
/// holds up its own input and nothing else.
final class InputRelay {
    private var reading: Shared?
    private var pipe: Shared?
    private var waiting: [UInt8] = []
    private var isEnding = false

    /// An optional can hold it.
    private final class Shared {
        let descriptor: OwnedFD

        init(_ descriptor: consuming OwnedFD) {
            self.descriptor = descriptor
        }
    }

    init() throws(Errno) {
        let ends = try Descriptors.pipe()
        reading = Shared(ends.first)
        pipe = Shared(ends.second)
        try pipe?.descriptor.setNonBlocking()
    }

    /// The end that the job gets; -1 once it has it.
    var jobsEnd: CInt { reading?.descriptor.raw ?? -1 }

    /// The job has its end: where it closes that, writing fails.
    func jobStarted() {
        reading = nil
    }

    /// What to poll for writing; -1 while there is nothing to write.
    var descriptor: CInt { waiting.isEmpty ? -1 : pipe?.descriptor.raw ?? -1 }

    /// Takes bytes from the host.
    ///
    /// - Returns: bytes that the job will never read, as it has closed its stdin.
    func append(_ bytes: ArraySlice<UInt8>) throws(FrameError) -> Int {
        if pipe == nil { return bytes.count }
        waiting += bytes
        guard waiting.count <= inputWindow else { throw .badValue("more input than the window holds") }
        return 0
    }

    /// No more comes.
    func end() {
        isEnding = true
        if waiting.isEmpty { pipe = nil }
    }

    /// Writes what the pipe takes.
    ///
    /// - Returns: bytes that are out of the window now.
    func flush() -> Int {
        guard let pipe, !waiting.isEmpty else { return 0 }
        var count = waiting.count
        do {
            count = try pipe.descriptor.write(waiting, from: 0)
            waiting.removeFirst(count)
        } catch {
            if error == .resourceTemporarilyUnavailable { return 0 }
            // EPIPE: the job does not want any more.
            waiting = []
            self.pipe = nil
        }
        if isEnding, waiting.isEmpty { self.pipe = nil }
        return count
    }
}
