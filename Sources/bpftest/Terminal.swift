// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness
internal import LinuxIO
internal import Synchronization
internal import SystemPackage
internal import TerminalUI
internal import VMRunner

/// Where bpftest speaks: results on stdout, everything else on stderr.
enum Terminal {
    /// What is drawn below everything else, while there is something to be drawn.
    private static let progress = Mutex<LiveProgress?>(nil)

    /// Makes the display of a run's progress, where there is somebody to see it.
    static func showProgress(environment: [String: String]) -> LiveProgress? {
        let new = LiveProgress(environment: environment)
        progress.withLock { $0 = new }
        return new
    }

    /// A line for a person, on stderr. A reader that is gone is no reason to stop.
    static func log(_ text: String) {
        let line = text.hasSuffix("\n") ? text : text + "\n"
        // FileHandle would end the process with a trap.
        let write = { _ = try? Output.write(line, to: 2) }
        guard let progress = progress.withLock({ $0 }) else { return write() }
        progress.interleave { write() }
    }

    /// Writes results; what cannot be written is an error, since nobody would see it otherwise.
    static func results(_ text: String) throws {
        guard isatty(1) == 1, let progress = progress.withLock({ $0 }) else { return try Output.write(text, to: 1) }
        try progress.interleave(endsLine: text.hasSuffix("\n")) { try Output.write(text, to: 1) }
    }

    /// Results that cannot be written are trouble of ours.
    static func show(_ text: String) throws(HarnessError) {
        do {
            try results(text)
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    /// Runs a command to its end, and bpftest with it: what went wrong is said on stderr and has its exit status.
    ///
    /// An interruption shows as the stop sign and as the cancellation of the task that the command runs in.
    static func carryOut(
        _ command: @escaping @Sendable (Cancellation) async throws(HarnessError) -> Int32
    ) async -> Never {
        let code: Int32
        do throws(HarnessError) {
            let cancellation = try stopSign()
            let task = Task { () -> Result<Int32, HarnessError> in
                do throws(HarnessError) {
                    return .success(try await command(cancellation))
                } catch {
                    return .failure(error)
                }
            }
            Interrupts.stop(cancellation) { task.cancel() }
            let result = await task.value
            // ^C at a terminal reaches apt and its like too: what they complain about then is no news.
            if case .failure = result, cancellation.isCancelled { throw .cancelled }
            code = try result.get()
        } catch {
            code = report(error)
        }
        end(code)
    }

    /// bpftest itself, for whoever starts it.
    static func executable() throws(HarnessError) -> FilePath {
        do {
            return FilePath(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        } catch {
            throw .infrastructure("/proc/self/exe: \(error)")
        }
    }

    private static func stopSign() throws(HarnessError) -> Cancellation {
        do {
            return try Cancellation()
        } catch {
            throw .infrastructure("eventfd: \(error)")
        }
    }

    static func end(_ code: Int32) -> Never {
        progress.withLock { $0 }?.ended()
        exit(code)
    }

    /// Says what went wrong and gives the exit code of DESIGN: 2 for the user's call, 3 for trouble of ours.
    static func report(_ error: HarnessError) -> Int32 {
        switch error {
        case .usage(let text):
            log("bpftest: \(text)")
            return 2
        case .infrastructure(let text):
            log("bpftest: \(text)")
            return 3
        case .cancelled:
            log("bpftest: interrupted")
            return 130
        }
    }
}

/// A path that means the same in every folder.
func absolutePath(_ path: String) -> String {
    path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
}

/// Text to a descriptor, whole or not at all successful.
enum Output {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static func write(_ text: String, to descriptor: CInt) throws {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { raw in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: raw[done...])
                return unsafe Foundation.write(descriptor, rest.baseAddress, rest.count)
            }
            if count < 0 {
                let error = Errno.last
                if error == .interrupted { continue }
                throw Failure(
                    description: "\(descriptor == 1 ? "standard output" : "the file"): \(error) (\(error.name))")
            }
            done += count
        }
    }
}

/// SIGINT, SIGTERM and SIGHUP as a stop sign; a second one ends bpftest at once, and its machines with it.
enum Interrupts {
    nonisolated(unsafe) private static var sources: [any DispatchSourceSignal] = []

    /// - Parameter alsoStop: what does not listen to the stop sign.
    static func stop(_ cancellation: Cancellation, alsoStop: @escaping @Sendable () -> Void) {
        // A reader of ours that goes away shows as EPIPE, which is reported.
        signal(SIGPIPE, SIG_IGN)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                if cancellation.isCancelled { Terminal.end(128 + number) }
                cancellation.cancel()
                alsoStop()
            }
            source.activate()
            unsafe sources.append(source)
        }
    }
}
