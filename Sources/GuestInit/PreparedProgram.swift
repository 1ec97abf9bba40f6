// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import GuestProtocol
internal import LinuxIO
internal import SystemPackage

/// A program that was started in advance: it has made itself ready and waits to be told what to run.
///
/// - Source: docs/agent-output.md, "prepare".
final class PreparedProgram {
    let job: RunningJob
    private let request: Job
    private let control: OwnedFD

    init(_ request: Job) throws {
        let pair = try Descriptors.socketPair()
        job = try RunningJob(request, control: pair.second.raw)
        self.request = request
        control = pair.first
    }

    /// Readable when the program is ready, and when it is gone.
    var descriptor: CInt { control.raw }

    /// Whether the program has said that it is ready, where `descriptor` is readable.
    func saysReady() -> Bool {
        var answer: [UInt8] = [0]
        // An error is an end too: the program is gone.
        return (try? control.read(into: &answer)) == 1
    }

    /// Whether a job is what this program waits for: only the arguments and the folder may differ.
    func fits(_ job: Job) -> Bool {
        job.arguments.first == request.arguments.first && job.environment == request.environment
    }

    /// Tells the program what to run.
    func start(_ request: Job) throws(Errno) {
        Mounts.makeDirectories(request.workingDirectory)
        var text = Array(request.workingDirectory.utf8)
        for argument in request.arguments.dropFirst() {
            text.append(0)
            text.append(contentsOf: argument.utf8)
        }
        var message = ByteWriter()
        message.append(UInt32(text.count))
        message.append(text)
        try control.writeAll(message.bytes)
        job.become(request)
    }
}
