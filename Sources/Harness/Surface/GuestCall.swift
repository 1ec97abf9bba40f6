// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import GuestProtocol
internal import VMRunner

/// One call of the built-in agent in a machine, with all that it says.
struct GuestCall {
    var machine: Machine
    var limit: Duration
    var outputLimit: UInt64

    struct Answer {
        /// The guest's, and not more of it than the call allows.
        var output: [UInt8] = []
        /// The end of what it wrote to stderr.
        var complaint: [UInt8] = []
        /// The titles of what the kernel complained about meanwhile.
        var splats: [String] = []
        /// How it went wrong, by the guest's doing; nil: it came to its end, with status 0.
        var trouble: String?
    }

    private static let jobs = JobNumbers()

    /// - Parameter id: of the job; each in a machine has one of its own.
    /// - Throws: trouble of ours; what the guest does wrong is an answer too.
    func run(_ arguments: [String]) throws(HarnessError) -> Answer {
        let id = 0x5000_0000 + Self.jobs.next()
        machine.send(
            .run(
                Job(
                    id: id, arguments: arguments, environment: MachineFactory.environment,
                    workingDirectory: "/tmp/bpftest-\(id)", outputLimit: outputLimit)))
        let deadline = ContinuousClock.now + limit
        var answer = Answer()
        var watch = ConsoleReader()
        var errorBytes: UInt64 = 0
        var ended: JobEnd?
        while ended.map({ UInt64(answer.output.count) < $0.outputBytes || errorBytes < $0.errorBytes }) ?? true {
            let event: Machine.Event?
            do {
                event = try machine.next(until: deadline)
            } catch .cancelled {
                throw .cancelled
            } catch {
                answer.trouble = "\(error)"
                break
            }
            guard let event else {
                answer.trouble = "it did not come to an end in \(limit.inSeconds) s"
                break
            }
            switch event {
            case .console(let line): watch.read(line)
            case .job(.output, let bytes):
                answer.output += bytes
                if UInt64(answer.output.count) > outputLimit + 1 << 20 { answer.trouble = "it sent too much" }
            case .job(.error, let bytes):
                errorBytes += UInt64(bytes.count)
                answer.complaint += bytes
                if answer.complaint.count > 16384 { answer.complaint.removeFirst(answer.complaint.count - 8192) }
            case .message(.exited(let end)) where end.id == id: ended = end
            case .message(.refused(_, _, let reason)): answer.trouble = "the guest refused: \(reason)"
            case .monitor(.failure(_, let what)) where !machine.runs:
                throw .infrastructure("QEMU could not restore the machine: \(what) (bpftest zygotes prune helps)")
            case .ended(let how): answer.trouble = "the machine ended (\(how))"
            case .message, .monitor: continue
            }
            if answer.trouble != nil { break }
        }
        answer.splats = watch.complaints.map(\.title)
        if answer.trouble == nil {
            switch ended?.cause {
            case .exited(status: 0)?: break
            case .exited(let status)?: answer.trouble = "it ended with status \(status)"
            case .signalled(let signal)?: answer.trouble = "it was ended by signal \(signal)"
            case .outputLimit?: answer.trouble = "it was ended: it sent more than \(outputLimit) bytes"
            case nil: answer.trouble = "it did not end"
            }
        }
        return answer
    }
}
