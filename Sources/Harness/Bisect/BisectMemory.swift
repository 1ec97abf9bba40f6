// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import GuestProtocol
internal import Synchronization
internal import SystemPackage
internal import TAP

/// What a search has found out so far: an interrupted one, asked for again, goes on where it was.
///
/// A file in the cache for each search, written after each try and removed when the search has come to its end.
public final class BisectMemory: Sendable {
    /// What decides whether two searches are the same.
    struct Question: Sendable {
        /// Kernels, or commits by their ids.
        var good: String
        var bad: String
        /// The tree that commits are of; nil: kernels by version.
        var source: String?
        /// What builds and tries: suites, objects, options.
        var arguments: [String]

        /// A file that is another one by now makes another question: objects, agents, bpftest itself.
        fileprivate var name: String {
            var key = ByteWriter()
            key.append(bpftestVersion)
            key.append([good, bad, source ?? ""])
            key.append(arguments)
            for file in arguments + ["/proc/self/exe"] { key.append(BisectMemory.stamp(file)) }
            return "search-" + String(XXH64.hash(key.bytes), radix: 16) + ".json"
        }
    }

    private struct Document: Codable {
        /// Grows when an old reader would misread it.
        var format = 1
        var tries: [Try] = []
    }

    private struct Try: Codable {
        var kernel: String
        var verdict: BisectTrial.Verdict
        var summary: String
        var failsSometimes: Bool
        var results: [Result]
    }

    private struct Result: Codable {
        var suite: String
        var id: String
        var title: String
        var outcome: ResultEvent.Verdict
        /// Whom a failure is blamed on, or why it was skipped.
        var why: String?
        var diagnostics: [[String]]
    }

    private let file: FilePath?
    private let note: @Sendable (String) -> Void
    private let tries: Mutex<[Try]>

    /// Remembers nothing.
    init() {
        file = nil
        note = { _ in }
        tries = Mutex([])
    }

    /// Reads what an interrupted search of the same question left.
    init(_ question: Question, folders: Folders, note: @escaping @Sendable (String) -> Void) {
        let file = folders.cache.appending("bisect").appending(question.name)
        self.file = file
        self.note = note
        // None is there, or it is not of this form: everything is tried anew.
        let document = FileManager.default.contents(atPath: file.string).flatMap {
            try? JSONDecoder().decode(Document.self, from: $0)
        }
        tries = Mutex(document.flatMap { $0.format == Document().format ? $0.tries : nil } ?? [])
    }

    /// How many kernels are known.
    var count: Int { tries.withLock { $0.count } }

    /// What is known of a kernel.
    func known(_ kernel: String) -> BisectTrial? {
        tries.withLock { $0.first { $0.kernel == kernel } }.map(Self.trial)
    }

    /// What is known of a kernel, or what the body finds out, which is kept.
    ///
    /// What the body throws is not kept: it says nothing about the kernel.
    func trial(
        of kernel: String, _ body: () async throws(HarnessError) -> BisectTrial
    ) async throws(HarnessError) -> BisectTrial {
        if let known = known(kernel) { return known }
        let trial = try await body()
        if Task.isCancelled { throw .cancelled }
        tries.withLock { $0.append(Self.remembered(kernel, trial)) }
        save()
        return trial
    }

    /// The search has come to its end.
    func forget() {
        tries.withLock { $0 = [] }
        guard let file, FileManager.default.fileExists(atPath: file.string) else { return }
        do {
            try FileManager.default.removeItem(atPath: file.string)
        } catch {
            note("\(file) cannot be removed: \(Folders.reason(error))")
        }
    }

    private func save() {
        guard let file else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            try Folders.make(file.removingLastComponent())
            let document = Document(tries: tries.withLock { $0 })
            try encoder.encode(document).write(to: URL(fileURLWithPath: file.string), options: .atomic)
        } catch {
            // The search goes on; only going on after an interruption is lost.
            note("\(file) cannot be written: \(Folders.reason(error))")
        }
    }

    private static func stamp(_ path: String) -> String {
        // What is no file is a suite, an option or a value.
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: resolved(path)),
            let date = attributes[.modificationDate] as? Date
        else { return "" }
        return "\(attributes[.size] ?? 0) \(date.timeIntervalSince1970)"
    }

    private static func resolved(_ path: String) -> String {
        // What is no link is the file itself.
        (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) ?? path
    }

    // MARK: Forms

    private static func remembered(_ kernel: String, _ trial: BisectTrial) -> Try {
        Try(
            kernel: kernel, verdict: trial.verdict, summary: trial.summary, failsSometimes: trial.failsSometimes,
            results: trial.results.map { result in
                var outcome = ResultEvent.Verdict.passed
                var why: String?
                switch result.outcome {
                case .passed: break
                case .skipped(let reason): (outcome, why) = (.skipped, reason)
                case .failed(let blame): (outcome, why) = (.failed, blame.rawValue)
                }
                return Result(
                    suite: result.name.suite, id: result.name.id, title: result.title, outcome: outcome, why: why,
                    diagnostics: result.diagnostics.fields.map { [$0.key, $0.value] })
            })
    }

    private static func trial(_ known: Try) -> BisectTrial {
        let results = known.results.map { result in
            let outcome: Outcome =
                switch result.outcome {
                case .passed: .passed
                case .skipped: .skipped(reason: result.why ?? "")
                case .failed: .failed(result.why.flatMap { Outcome.Blame(rawValue: $0) } ?? .test)
                }
            return CaseResult(
                kernel: known.kernel, name: CaseID(suite: result.suite, id: result.id), title: result.title,
                outcome: outcome,
                diagnostics: Diagnostics(result.diagnostics.filter { $0.count == 2 }.map { .init($0[0], $0[1]) }))
        }
        var trial = BisectTrial(known.verdict, known.summary, results: results)
        trial.failsSometimes = known.failsSometimes
        return trial
    }
}
