// SPDX-License-Identifier: Apache-2.0
internal import Crashes
internal import GuestProtocol
internal import LinuxIO
internal import TAP
internal import VMRunner

/// One call of a user's program in one machine, and what it says of itself.
struct ProgramRun {
    /// What became of the whole, and its points, if it has some.
    struct Report {
        var whole: ProgramPoint
        var points: [ProgramPoint]
        /// The machine can be used for more.
        var isClean: Bool
    }

    let machine: Machine
    let judge: Judge
    let options: RunOptions
    let runDeadline: ContinuousClock.Instant?
    let log: (String) -> Void
    var scene: CrashScene

    /// What a guest's program may write, stdout and stderr each.
    private static let outputLimit: UInt64 = 64 << 20

    /// Runs the program to its end.
    ///
    /// - Throws: trouble of ours; everything that program and kernel can do is part of the report.
    mutating func run(
        _ call: ProgramCall, job id: UInt32, name: CaseID, title: String
    ) throws(HarnessError) -> Report {
        var session = JobSession(machine: machine, log: log)
        session.keepsMachine = scene.keepsMachine
        if scene.keepsMachine { machine.keepWhenDown() }
        let (log, machine) = (self.log, self.machine)
        var reading = ProgramReading(output: call.output, judge: judge)
        let start = ContinuousClock.now
        var lastSign = start
        let splats = Box(ConsoleReader(allowlist: options.crashes.allowlist))
        let limit = options.caseLimit
        let isVerbose = options.verbose
        let job = Job(
            id: id, arguments: call.arguments, environment: call.environment,
            workingDirectory: call.workingDirectory ?? "/tmp/bpftest-\(id)", outputLimit: Self.outputLimit,
            marksOutput: true)
        let end = try session.run(job, limit: { lastSign + limit }, runDeadline: runDeadline) { line in
            splats.value.read(line)
            if isVerbose { log("[console] \(line)") }
        } onOutput: { stream, bytes throws(HarnessError) in
            if isVerbose { log("[program] \(String(decoding: bytes, as: UTF8.self))") }
            let before = reading.count
            reading.append(stream, bytes) { point, end in
                point.duration = .now - lastSign
                Self.charge(splats.value.take(beforeOutput: end), to: &point)
            }
            if reading.count > before { lastSign = .now }
        }
        if case .runOver = end { throw AgentRun.outOfTime(options) }
        var whole = ProgramPoint(id: name.id, title: title, outcome: .passed, duration: .now - start)
        var points = reading.finish { Self.charge(splats.value.take(), to: &$0) }
        let trouble = try trouble(end)
        if let trouble {
            whole.outcome = .failed(trouble.blame)
            whole.diagnostics["message"] = trouble.message
        } else if case .finished(let ended) = end {
            reading.judge(ended, &whole, points)
        }
        // What nothing has been charged with yet: it came behind the last point, or there are no points.
        Self.charge(splats.value.take(), to: &whole)
        if whole.outcome.isFailure {
            let tails = reading.tails
            if scene.wantsCore(whole.outcome, complained: whole.diagnostics["splat"] != nil) {
                scene.writeCore(machine, name: name, &whole.diagnostics) { _ in }
            }
            if points.isEmpty, let text = tails.output { whole.diagnostics["stdout"] = text }
            if let text = tails.error { whole.diagnostics["stderr"] = text }
            if whole.outcome != .failed(.test), whole.diagnostics["splat"] == nil {
                let tail = machine.console.tail()
                if !tail.isEmpty { whole.diagnostics["console"] = tail.joined(separator: "\n") }
            }
            if !points.isEmpty { points.append(Self.apart(whole, points)) }
        } else if let failed = points.first(where: \.outcome.isFailure) {
            whole.outcome = failed.outcome
            whole.diagnostics["message"] = failed.diagnostics["message"]
        } else if !points.isEmpty, points.allSatisfy({ if case .skipped = $0.outcome { true } else { false } }) {
            whole.outcome = .skipped(reason: "every result was a skip")
        }
        let isBroken = ([whole] + points).contains { $0.diagnostics["splat"] != nil }
        return Report(whole: whole, points: points, isClean: trouble == nil && !isBroken)
    }

    /// The program's own failure as one more point, under a name that none of its points has.
    private static func apart(_ whole: ProgramPoint, _ points: [ProgramPoint]) -> ProgramPoint {
        var point = whole
        let names = Set(points.map(\.id))
        while names.contains(point.id) { point.id += "~" }
        return point
    }

    /// A splat fails what ran while it came, also when it says that all is well.
    private static func charge(_ found: [Complaint], to point: inout ProgramPoint) {
        guard let first = found.first else { return }
        if !point.outcome.isFailure {
            point.diagnostics["message"] = "the kernel complained while it ran"
            point.diagnostics["expected"] = "no splat"
            point.diagnostics["observed"] = first.title
        }
        point.outcome = .failed(.kernel)
        point.diagnostics.add(found)
    }

    /// - Returns: how the program was kept from coming to an end; nil where it was not.
    private func trouble(_ end: JobSession.End) throws(HarnessError) -> (blame: Outcome.Blame, message: String)? {
        let limit = "\(options.caseLimit.inSeconds) s (-w)"
        switch end {
        case .finished: return nil
        case .refused(let errno, let reason):
            return (.test, reason + (errno == 0 ? "" : " (errno \(errno))"))
        case .late(let hasEnded):
            let what = hasEnded ? "the program ended, but its output did not all come" : "no result"
            return (.timeout, "\(what) after \(limit)")
        case .violation(let what): return (.agent, "the guest broke the protocol: \(what)")
        case .down: return (.kernel, "the machine went down while the program ran")
        case .lost(let how):
            throw .infrastructure("QEMU ended by itself (\(how)): \(machine.complaints.prefix(400))")
        case .runOver: throw AgentRun.outOfTime(options)
        }
    }
}

/// A value that several closures work on, of one thread.
final class Box<Value> {
    var value: Value

    init(_ value: Value) {
        self.value = value
    }
}

/// What a program's output means.
struct ProgramReading {
    private let output: ProgramCall.Output
    private var tap: ProgramTAP
    private var tests: TestProgsOutput?
    /// Bytes of stdout up to the end of the line that is being read.
    private var consumed: UInt64 = 0
    private var out = OutputTail()
    private var err = OutputTail()

    init(output: ProgramCall.Output, judge: Judge) {
        self.output = output
        tap = ProgramTAP(judge: judge)
        if case .testProgs(let test) = output { tests = TestProgsOutput(test: test) }
    }

    /// Results so far.
    var count: Int { tests?.count ?? tap.count }

    var tails: (output: String?, error: String?) { (out.text, err.text) }

    /// Takes the next bytes.
    ///
    /// - Parameter found: told of each point, and of the bytes of stdout up to the end of its line.
    mutating func append(
        _ stream: Machine.Stream, _ bytes: ArraySlice<UInt8>, found: (inout ProgramPoint, UInt64) -> Void
    ) {
        switch stream {
        case .error: err.append(bytes)
        case .output:
            out.append(bytes)
            var rest = bytes
            while !rest.isEmpty {
                let end = rest.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? rest.endIndex
                let line = rest[..<end]
                rest = rest[end...]
                consumed += UInt64(line.count)
                let place = consumed
                if tests != nil {
                    tests?.append(line) { found(&$0, place) }
                } else {
                    tap.append(line) { found(&$0, place) }
                }
            }
        }
    }

    /// - Returns: no points where the output is not meant to be read.
    mutating func finish(found: (inout ProgramPoint) -> Void) -> [ProgramPoint] {
        if tests != nil { return tests?.finish() ?? [] }
        let points = tap.finish(found: found)
        return tap.isTAP ? points : []
    }

    /// What the way in which the program ended says.
    func judge(_ end: JobEnd, _ whole: inout ProgramPoint, _ points: [ProgramPoint]) {
        switch end.cause {
        case .signalled(let signal):
            whole.outcome = .failed(.test)
            whole.diagnostics["message"] = "the program was killed by \(signalName(Int(signal)))"
            whole.diagnostics["expected"] = "exit status 0"
            whole.diagnostics["observed"] = signalName(Int(signal))
        case .outputLimit:
            whole.outcome = .failed(.agent)
            whole.diagnostics["message"] = "the program was killed: it wrote more than 64 MiB"
        case .exited(let status): judge(status: Int(status), &whole, points)
        }
    }

    private func judge(status: Int, _ whole: inout ProgramPoint, _ points: [ProgramPoint]) {
        if points.isEmpty, tests == nil {
            // As the kernel's selftests have it: tools/testing/selftests/kselftest.h, KSFT_SKIP.
            if status == 4 {
                whole.outcome = .skipped(reason: err.lastLine ?? out.lastLine ?? "exit status 4")
                return
            }
            // A plan of nothing, skipped: `1..0 # SKIP reason`.
            if status == 0, let reason = tap.skippedAll {
                whole.outcome = .skipped(reason: reason.isEmpty ? "the plan is skipped" : reason)
                return
            }
        }
        guard status != 0 else {
            if tests != nil, points.isEmpty {
                whole.outcome = .failed(.agent)
                whole.diagnostics["message"] = "test_progs said nothing of the test"
            }
            return
        }
        // That it fails because of what it has reported is no news.
        if points.contains(where: \.outcome.isFailure) { return }
        let allSkipped = !points.isEmpty && points.allSatisfy { if case .skipped = $0.outcome { true } else { false } }
        if allSkipped, status == 4 { return }
        whole.outcome = .failed(.test)
        let although = points.isEmpty ? "" : ", though no result is a failure"
        whole.diagnostics["message"] = "the program ended with exit status \(status)\(although)"
        whole.diagnostics["expected"] = "exit status 0"
        whole.diagnostics["observed"] = "exit status \(status)"
    }
}

extension OutputTail {
    /// The last line with something in it.
    var lastLine: String? {
        text?.split(whereSeparator: \.isNewline).last { !$0.allSatisfy(\.isWhitespace) }.map {
            String($0.prefix(200))
        }
    }
}
