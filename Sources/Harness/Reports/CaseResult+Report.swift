// SPDX-License-Identifier: Apache-2.0
internal import TAP
internal import VMRunner

/// What reports call an outcome, a known failure being one of its own.
enum Shown: String, CaseIterable {
    case failed, known, skipped, passed

    init(_ result: CaseResult) {
        switch result.outcome {
        case .passed: self = .passed
        case .skipped: self = .skipped
        case .failed: self = result.known == nil ? .failed : .known
        }
    }

    /// Tells outcomes apart without colour.
    var symbol: String {
        switch self {
        case .failed: "✗"
        case .known: "≈"
        case .skipped: "–"
        case .passed: "✓"
        }
    }

    var words: String { self == .known ? "known to fail" : rawValue }

    func count(_ tally: Tally) -> Int {
        switch self {
        case .failed: tally.failed
        case .known: tally.known
        case .skipped: tally.skipped
        case .passed: tally.passed
        }
    }
}

extension CaseResult {
    /// What is told from the end of: the last lines say what happened.
    private static let endsMatter: Set<String> = ["verifier_log", "console", "stderr", "stdout", "also"]

    /// The diagnostics with each value cut to a size, from the end that matters less.
    func excerpts(bytes: Int) -> [Diagnostics.Field] {
        shownDiagnostics.fields.map { field in
            let cut =
                Self.endsMatter.contains(field.key)
                ? Excerpt.end(of: field.value, bytes: bytes) : Excerpt.start(of: field.value, bytes: bytes)
            return Diagnostics.Field(Excerpt.start(of: field.key, bytes: 200), cut)
        }
    }

    /// One line that says why it is not simply passed.
    var summary: String {
        let text: String
        switch outcome {
        case .passed: text = known.map { "passes, although it is known to fail: \($0)" } ?? ""
        case .skipped(let reason): text = reason
        case .failed(let blame):
            let message = diagnostics["message"] ?? diagnostics["splat"] ?? ""
            let line = message.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
            text = blame == .test && !line.isEmpty ? line : line.isEmpty ? blame.rawValue : "\(blame.rawValue): \(line)"
        }
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        return line.utf8.count > 300 ? "\(Excerpt.prefix(line, 300))…" : line
    }

    /// The command that runs it alone, as far as one is known; a case that does not fail has none of its own.
    func runAlone(_ kernel: KernelIdentity) -> String {
        if let command = diagnostics["run_alone"] { return command }
        return "bpftest run -k \(shellQuoted(kernel.spec)) \(shellQuoted("\(name)"))"
    }
}

extension SuiteResults {
    var duration: Duration { results.reduce(.zero) { $0 + $1.duration } }
}

extension KernelResults {
    var duration: Duration { suites.reduce(.zero) { $0 + $1.duration } }

    /// The result that stands for all others, as the kernel did not come to run a case.
    var broken: CaseResult? {
        suites.lazy.flatMap(\.results).first { $0.outcome == .failed(.boot) || $0.outcome == .failed(.missing) }
    }
}

extension RunResults {
    /// Everything that is missing, as sentences: what all reports say where a reader cannot miss it.
    var reservations: [String] {
        var texts = incomplete.map { "This report is incomplete: \($0)." }
        if let shard { texts.append("This is shard \(shard) of the plan alone.") }
        if let bailedOut { texts.append("The run bailed out: \(bailedOut)") }
        return texts
    }

    /// `bpftest`, or what it was run on.
    var title: String {
        if kernels.count > 2 { return "bpftest on \(kernels.count) kernels" }
        let names = kernels.map(\.name).joined(separator: " and ")
        return names.isEmpty ? "bpftest" : "bpftest on \(names)"
    }
}
