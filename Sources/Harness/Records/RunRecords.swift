// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GRDB
internal import SystemPackage
internal import TAP

/// Keeps a run in the records, beside whatever else reports it.
///
/// Its methods never throw and never wait, but for the last: results are handed to a thread that writes them in batches
/// of 50, or of half a second. What was written stays when bpftest is killed. Trouble with the records is one line in
/// the log and no trouble of the run.
public final class RunRecords: ResultSink {
    private let file: RecordsFile
    private let writer: RecordsWriter
    private let log: (String) -> Void
    private var kernels: [RunDescription.Kernel]
    private var current: RunDescription.Kernel?
    private var hasWarned = false
    private var find: (String) -> RunDescription.Kernel? = { _ in nil }

    /// - Parameters:
    ///   - environment: says where the records are, as `docs/records.md` has it.
    ///   - log: gets the warning, on the thread that calls the sink's methods.
    public convenience init(
        _ description: RunDescription, environment: [String: String], log: @escaping (String) -> Void
    ) {
        self.init(description, file: RecordsFile(environment: environment), log: log)
    }

    init(
        _ description: RunDescription, file: RecordsFile, limits: RecordsWriter.Limits = .init(),
        log: @escaping (String) -> Void
    ) {
        self.file = file
        self.log = log
        kernels = description.kernels
        writer = RecordsWriter(file: file, description: description, limits: limits)
    }

    /// Where kernels are found, by release, that were not known when the run began.
    public func finds(_ find: @escaping (String) -> RunDescription.Kernel?) { self.find = find }

    /// What each case is expected to take on a kernel, by its release, from earlier runs; empty without any.
    ///
    /// Takes some milliseconds. Other trouble than damage is none here: it shows when the run is written.
    public func expectedDurations(kernel: String) -> [CaseID: Duration] {
        let before = file.identity
        do throws(HarnessError) {
            return try Records(file: file).expectedDurations(kernel: kernel)
        } catch {
            // Damaged records were moved aside: the run will find none.
            if before != nil, file.identity != before { warn("\(error)") }
            return [:]
        }
    }

    public func runStarted(_ plan: RunPlan, kernels: Int) {
        writer.start()
        warn()
    }

    public func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) {
        let prefix = "accelerator: "
        // "accelerator: tcg, as there is no /dev/kvm"
        let accelerator = comments.first { $0.hasPrefix(prefix) }
            .map { String($0.dropFirst(prefix.count).prefix { $0 != "," }) }
        // Kernels come in their order; one that was never announced is known by its name alone.
        if let index = kernels.firstIndex(where: { $0.release == kernel.name }) {
            current = kernels.remove(at: index)
        } else if let found = find(kernel.name) {
            current = found
        } else {
            current = RunDescription.Kernel(
                release: kernel.name, image: "", origin: kernel.origin ?? "", spec: kernel.spec)
        }
        if let current { writer.add(.kernel(current, accelerator: accelerator)) }
        warn()
    }

    public func suiteStarted(_ name: String, cases: Int) { warn() }

    public func caseFinished(_ result: CaseResult) {
        writer.add(.result(RecordedResult(result, at: Date())))
        warn()
    }

    public func suiteFinished(_ name: String, tally: Tally) { warn() }
    public func kernelFinished(_ name: String, tally: Tally) { warn() }
    public func comment(_ text: String) { warn() }

    /// Waits until everything is written, but not for ever.
    public func bailedOut(_ reason: String) {
        finish(.end(exit: nil, bailOut: reason, at: Date()))
    }

    /// Waits until everything is written, but not for ever.
    public func runFinished(tally: Tally) {
        finish(.end(exit: tally.exitCode, bailOut: nil, at: Date()))
    }

    private func finish(_ event: RecordsWriter.Event) {
        writer.add(event)
        writer.finish()
        warn()
    }

    /// Passes on what the writing thread complains about.
    private func warn() {
        if !hasWarned, let text = writer.complaint { warn(text) }
    }

    /// One warning says enough.
    private func warn(_ text: String) {
        if !hasWarned { log("bpftest: warning: \(text)") }
        hasWarned = true
    }
}

/// A result as the records keep it: in short.
struct RecordedResult: Sendable {
    var name: CaseID
    var at: Date
    var outcome: String
    var blame: String?
    var reason: String?
    var verdict: String?
    var duration: Duration

    /// Longer messages are in the reports; here they only have to be recognised.
    private static let longest = 300

    init(_ result: CaseResult, at: Date) {
        name = result.name
        self.at = at
        duration = result.duration
        verdict = result.diagnostics["verdict"].map(Self.short)
        switch result.outcome {
        case .passed:
            outcome = "passed"
        case .skipped(let text):
            outcome = "skipped"
            reason = Self.short(text)
        case .failed(let whose):
            outcome = "failed"
            blame = whose.rawValue
            reason = result.diagnostics["message"].map(Self.short)
        }
    }

    private static func short(_ text: String) -> String {
        let line = text.prefix { !$0.isNewline }
        return line.count > longest ? line.prefix(longest - 3) + "..." : String(line)
    }
}
