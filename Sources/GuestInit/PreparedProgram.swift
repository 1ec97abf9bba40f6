// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// A program that was started in advance: it has made itself ready and waits to be told what to run. When it has done
/// that, it may wait to be told more.
///
/// - Source: docs/agent-output.md, "prepare".
final class PreparedProgram {
    let job: RunningJob
    private let request: Job
    private let instructions: OwnedFD
    private let readiness: OwnedFD

    init(_ request: Job) throws {
        // Pipes, which the program's output needs too: sockets would be more code of the kernel's to translate.
        let down = try Descriptors.pipe()
        let up = try Descriptors.pipe()
        job = try RunningJob(request, also: [3: down.first.raw, 4: up.second.raw])
        self.request = request
        instructions = down.second
        readiness = up.first
    }

    /// Readable when the program is ready, at first or once more, and when it is gone.
    var descriptor: CInt { readiness.raw }

    /// Whether the program has said that it is ready, where `descriptor` is readable.
    func saysReady() -> Bool {
        var answer: [UInt8] = [0]
        // An error is an end too: the program is gone.
        return (try? readiness.read(into: &answer)) == 1
    }

    /// Whether a job is what this program waits for: it has an empty folder of its own already, and is told its arguments.
    func fits(_ job: Job) -> Bool {
        job.arguments.first == request.arguments.first && job.environment == request.environment
    }

    /// Tells the program what to run.
    func start(_ request: Job) throws(Errno) {
        // A loop: joined() makes Swift's runtime look up types, which takes a fresh machine 20 ms.
        var text: [UInt8] = []
        for argument in request.arguments.dropFirst() {
            if !text.isEmpty { text.append(0) }
            text.append(contentsOf: argument.utf8)
        }
        var message = ByteWriter()
        message.append(UInt32(text.count))
        message.append(text)
        try instructions.writeAll(message.bytes)
        job.become(request)
    }
}
