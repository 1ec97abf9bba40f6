// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage
internal import TAP
internal import VMRunner

/// What the cases said of one kernel.
public struct BisectTrial: Sendable, Equatable {
    public enum Verdict: String, Sendable, Equatable, Codable {
        /// Something passed and nothing failed.
        case good
        case bad
        /// Neither can be said.
        case skipped
    }

    public var verdict: Verdict
    /// A line for a person.
    public var summary: String
    public var results: [CaseResult] = []
    /// Whatever failed passed too: in a further run alone, or in another round.
    public var failsSometimes = false

    public init(_ verdict: Verdict, _ summary: String, results: [CaseResult] = []) {
        self.verdict = verdict
        self.summary = summary
        self.results = results
    }

    /// Judges a run on one kernel.
    init(of run: RunResults) {
        let results = run.kernels.flatMap { $0.suites.flatMap(\.results) }
        let tally = run.tally
        if let broken = results.first(where: { $0.outcome == .failed(.boot) }) {
            self.init(.skipped, broken.diagnostics["message"] ?? "the kernel did not boot", results: results)
        } else if tally.failed > 0 {
            let failed = results.filter { $0.outcome.isFailure && $0.known == nil }
            let unsteady = failed.filter { $0.diagnostics["verdict"]?.hasPrefix("flaky") == true }
            let how = failed.count == unsteady.count ? failed.first?.diagnostics["verdict"].map { ", \($0)" } : nil
            self.init(.bad, "\(tally.failed) of \(tally.total) failed\(how ?? "")", results: results)
            failsSometimes = !failed.isEmpty && failed.count == unsteady.count
        } else if tally.passed > 0 {
            self.init(
                .good, "\(tally.passed) passed" + (tally.skipped > 0 ? ", \(tally.skipped) skipped" : ""),
                results: results)
        } else {
            let reasons = results.compactMap { result in
                if case .skipped(let reason) = result.outcome { reason } else { nil }
            }
            self.init(.skipped, reasons.first.map { "skipped: \($0)" } ?? "no case ran", results: results)
        }
    }

    /// What failed, as a report shows it.
    ///
    /// - Parameter kernel: what `-k` takes.
    func failures(on kernel: String) -> [String] {
        results.filter(\.outcome.isFailure).flatMap { result in
            let shown = [
                "message", "blame", "expected", "observed", "at", "verdict", "verifier_log", "splat", "console",
            ]
            let fields = shown.flatMap { key -> [String] in
                guard let value = result.diagnostics[key] else { return [] }
                let lines = value.split(whereSeparator: \.isNewline)
                if lines.count < 2 { return ["    \(key): \(value)"] }
                return ["    \(key):"] + lines.suffix(20).map { "      \($0)" }
            }
            return ["  \(result.name) \(result.title)"] + fields
                + ["    alone: " + result.runAlone(KernelIdentity(name: kernel, spec: kernel))]
        }
    }

    /// The same with another name for the kernel in the commands that run a case alone.
    func calling(_ kernel: String, _ name: String) -> BisectTrial {
        var trial = self
        for index in results.indices {
            guard let command = results[index].diagnostics["run_alone"] else { continue }
            trial.results[index].diagnostics["run_alone"] = command.replacing(
                "-k \(shellQuoted(kernel)) ", with: "-k \(shellQuoted(name)) ")
        }
        return trial
    }

    /// What became of one case.
    func outcome(of name: CaseID) -> String? {
        guard let result = results.first(where: { $0.name == name }) else { return nil }
        return switch result.outcome {
        case .passed: "passed"
        case .skipped(let reason): "skipped: \(reason)"
        case .failed: result.diagnostics["message"].map { "failed: \($0)" } ?? "failed"
        }
    }
}

/// Tries the cases on a kernel.
public protocol BisectTrials: Sendable {
    /// - Parameter kernel: what `-k` takes.
    /// - Throws: `.usage` for cases that do not exist, `.infrastructure` where nothing can be tried at all.
    func run(on kernel: String) async throws(HarnessError) -> BisectTrial
}

/// Tries the cases with `bpftest run` in a process of its own.
public struct RunTrials: BisectTrials {
    /// bpftest itself.
    public var executable: FilePath
    /// Suites, cases, objects and options, as `bpftest run` takes them.
    public var arguments: [String]

    public init(executable: FilePath, arguments: [String]) {
        self.executable = executable
        self.arguments = arguments
    }

    /// Finds out whether there is anything to try, without a kernel.
    ///
    /// - Throws: `.usage` for cases that do not exist and options that cannot be.
    public func check() async throws(HarnessError) {
        let answer = try await Tool.run(executable.string, ["run", "--list"] + arguments, package: "bpftest")
        switch answer.code {
        case 0: return
        case 2: throw .usage(Self.words(answer))
        default:
            if Task.isCancelled { throw .cancelled }
            throw .infrastructure("cannot list what is to be tried: \(Self.words(answer))")
        }
    }

    public func run(on kernel: String) async throws(HarnessError) -> BisectTrial {
        let file = FilePath(NSTemporaryDirectory()).appending("bpftest-bisect-\(UUID().uuidString).json")
        defer {
            // The system sweeps what stays in its temporary folder.
            try? FileManager.default.removeItem(atPath: file.string)
        }
        let answer = try await Tool.run(
            executable.string, ["run", "-k", kernel, "--json", file.string] + arguments, package: "bpftest")
        switch answer.code {
        case 0, 1, 4: return BisectTrial(of: try RunResults.read(file: file.string))
        case 2: throw .usage(Self.words(answer))
        case 130: throw .cancelled
        default:
            if Task.isCancelled { throw .cancelled }
            throw .infrastructure("cannot try \(kernel): \(Self.words(answer))")
        }
    }

    /// Without our own name at the beginning: it is said again.
    private static func words(_ answer: Tool.Answer) -> String {
        answer.complaint.replacing("bpftest: ", with: "")
    }
}
