// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import Synchronization
public import SystemPackage

/// A second process of a case, for what must happen at the same time.
public final class Worker {
    /// Set when the case wants its worker to come to an end.
    public struct StopSign {
        let descriptor: FileHandle
        let beginning: FileHandle

        /// Tells the case that the worker has come to its work: `waitUntilItWorks()` returns.
        public func works() {
            beginning.close()
        }

        public var isSet: Bool {
            var poller = Poller()
            poller.add(descriptor.raw, .read)
            // An error of poll is a reason to stop as well.
            return (try? poller.wait(.zero)) ?? true
        }

        /// Waits until it is set.
        public func wait() throws(Errno) {
            var poller = Poller()
            poller.add(descriptor.raw, .read)
            while try !poller.wait(nil) {}
        }
    }

    /// The process id, of a process that may have ended.
    public let pid: Int32
    private let answer: FileHandle
    private let stop: FileHandle
    private let beginning: FileHandle
    private var ended = false

    /// The ends that belong to the process which forks workers. A worker that kept those of an earlier one would keep
    /// it from seeing its stop sign.
    private static let ends = Mutex<Set<CInt>>([])

    /// Forks; the child runs `body` and reports the text that it returns.
    public init(_ body: (StopSign) throws -> String) throws(Errno) {
        let answers = try Descriptors.pipe()
        let stops = try Descriptors.pipe()
        let beginnings = try Descriptors.pipe()
        let answerEnd = FileHandle(answers.second)
        let stopEnd = FileHandle(stops.first)
        let beginningEnd = FileHandle(beginnings.second)
        answer = FileHandle(answers.first)
        stop = FileHandle(stops.second)
        beginning = FileHandle(beginnings.first)
        pid = try Errno.check(clinux_fork())
        if pid == 0 {
            stop.close()
            answer.close()
            beginning.close()
            Self.ends.withLock { ends in
                for end in ends { Glibc.close(end) }
                ends = []
            }
            var text: String
            do {
                text = try body(StopSign(descriptor: stopEnd, beginning: beginningEnd))
            } catch {
                text = "the worker failed: \(error)"
            }
            do {
                try answerEnd.writeAll(Array(text.utf8))
            } catch {
                _exit(1)  // the case is gone: nobody to tell
            }
            _exit(0)
        }
        answerEnd.close()
        stopEnd.close()
        beginningEnd.close()
        Self.ends.withLock { _ = $0.insert(stop.raw) }
    }

    deinit {
        let end = stop.raw
        Self.ends.withLock { _ = $0.remove(end) }
    }

    /// Waits until the worker says that it has come to its work, or has ended.
    public func waitUntilItWorks() throws(Errno) {
        var poller = Poller()
        // Nothing is ever written to it: its end is the sign.
        poller.add(beginning.raw, .read)
        while try !poller.wait(nil) {}
    }

    /// Tells the worker to stop and waits for what it has to say.
    public func finish() throws(Errno) -> String {
        let end = stop.raw
        Self.ends.withLock { _ = $0.remove(end) }
        stop.close()
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = try answer.read(into: &chunk)
            if count == 0 { break }
            text += chunk[..<count]
        }
        reap()
        return String(decoding: text, as: UTF8.self)
    }

    public func kill() {
        guard !ended else { return }
        Glibc.kill(pid, SIGKILL)
        reap()
    }

    private func reap() {
        guard !ended else { return }
        ended = true
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }
}
