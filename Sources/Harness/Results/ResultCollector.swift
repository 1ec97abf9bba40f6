// SPDX-License-Identifier: Apache-2.0
internal import TAP

/// Keeps everything that a run tells.
public final class ResultCollector: ResultSink {
    public private(set) var results = RunResults()

    /// Bytes of diagnostics that are kept whole; what comes after them is cut.
    private var budget: Int

    /// Bytes that are left of a value when the budget is spent.
    private static let remainder = 4096

    /// - Parameter budget: bytes of diagnostics that are kept in memory. A kernel that breaks in every case, with
    ///   megabytes to say each time, must not take the host's memory; the JSON lines have all of it.
    public init(budget: Int = 512 << 20) {
        self.budget = budget
    }

    public func runStarted(_ plan: RunPlan, kernels: Int) {
        results.plan = plan.kernels
        results.shard = plan.shard
        results.started = plan.started
        results.announced = kernels
    }

    public func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) {
        results.kernels.append(KernelResults(kernel, comments: comments, announced: suites, isFinished: false))
    }

    public func suiteStarted(_ name: String, cases: Int) {
        guard let kernel = results.kernels.indices.last else { return }
        results.kernels[kernel].suites.append(SuiteResults(name, announced: cases, isFinished: false))
    }

    public func caseFinished(_ result: CaseResult) {
        guard let kernel = results.kernels.indices.last, let suite = results.kernels[kernel].suites.indices.last else {
            return
        }
        results.kernels[kernel].suites[suite].results.append(bounded(result))
    }

    public func suiteFinished(_ name: String, tally: Tally) {
        guard let kernel = results.kernels.indices.last, let suite = results.kernels[kernel].suites.indices.last else {
            return
        }
        results.kernels[kernel].suites[suite].isFinished = true
    }

    public func kernelFinished(_ name: String, tally: Tally) {
        guard let kernel = results.kernels.indices.last else { return }
        results.kernels[kernel].isFinished = true
    }

    /// What is said while a kernel is open is kept among that kernel's comments.
    public func comment(_ text: String) {
        guard let kernel = results.kernels.indices.last else { return results.comments.append(text) }
        if results.kernels[kernel].isFinished {
            results.closingComments.append(text)
        } else {
            results.kernels[kernel].comments.append(text)
        }
    }

    public func bailedOut(_ reason: String) {
        results.bailedOut = reason
    }

    public func runFinished(tally: Tally) {}

    private func bounded(_ result: CaseResult) -> CaseResult {
        let size = result.diagnostics.fields.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        if size <= budget {
            budget -= size
            return result
        }
        budget = 0
        var result = result
        for index in result.diagnostics.fields.indices {
            result.diagnostics.fields[index].value = Excerpt.start(
                of: result.diagnostics.fields[index].value, bytes: Self.remainder)
        }
        return result
    }
}

/// Texts that are cut to a size, and say so.
enum Excerpt {
    /// The first bytes of a text, in whole characters.
    static func start(of text: String, bytes: Int) -> String {
        guard text.utf8.count > bytes else { return text }
        let kept = String(prefix(text, bytes))
        return kept + "\n… (\(text.utf8.count - kept.utf8.count) bytes left out)"
    }

    /// The last bytes of a text, in whole characters: where a kernel's console says what happened.
    static func end(of text: String, bytes: Int) -> String {
        guard text.utf8.count > bytes else { return text }
        var index = text.utf8.index(text.endIndex, offsetBy: -bytes)
        while index < text.endIndex, String.Index(index, within: text.unicodeScalars) == nil {
            index = text.utf8.index(after: index)
        }
        let kept = text[index...]
        return "(\(text.utf8.count - kept.utf8.count) bytes left out) …\n" + kept
    }

    /// At most so many bytes, in whole characters.
    static func prefix(_ text: String, _ bytes: Int) -> Substring {
        guard text.utf8.count > bytes else { return text[...] }
        var index = text.utf8.index(text.startIndex, offsetBy: bytes)
        while index > text.startIndex, String.Index(index, within: text.unicodeScalars) == nil {
            index = text.utf8.index(before: index)
        }
        return text[..<index]
    }
}
