// SPDX-License-Identifier: Apache-2.0
internal import Foundation
public import SystemPackage

/// What every case came to when it was last agreed on: a file that lives beside the tests.
///
/// Kernels are called as in the configuration (`6.12`), so that a newer patch level is compared with the older one.
public struct Baseline: Sendable, Equatable {
    public enum State: String, Sendable, Codable, CaseIterable {
        case passed, failed, skipped

        init(_ outcome: Outcome) {
            switch outcome {
            case .passed: self = .passed
            case .failed: self = .failed
            case .skipped: self = .skipped
            }
        }
    }

    /// Kernel, suite, case.
    public private(set) var states: [String: [String: [String: State]]] = [:]

    public init() {}

    /// What a run found. Trouble of ours says nothing about a kernel, and is not in it.
    public init(_ results: RunResults) {
        for kernel in results.kernels {
            for result in kernel.suites.flatMap(\.results) where result.outcome != .failed(.missing) {
                set(State(result.outcome), result.name, on: kernel.spec)
            }
        }
    }

    public mutating func set(_ state: State, _ name: CaseID, on kernel: String) {
        states[kernel, default: [:]][name.suite, default: [:]][name.id] = state
    }

    public func state(_ name: CaseID, on kernel: String) -> State? { states[kernel]?[name.suite]?[name.id] }

    // MARK: Files

    private struct Document: Codable {
        var version: Int
        /// Kernel, suite, outcome: the ids.
        var kernels: [String: [String: [String: [String]]]]
    }

    private static let version = 1

    /// Reads a file.
    ///
    /// - Throws: `.usage` for one that is not there, damaged, or of a later version.
    public static func read(_ path: FilePath) throws(HarnessError) -> Baseline {
        guard let data = FileManager.default.contents(atPath: path.string) else {
            throw .usage("the baseline \(path) cannot be read: --update-baseline makes one")
        }
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: data)
        } catch {
            throw .usage("\(path) is no baseline, or a damaged one (--update-baseline makes it anew): \(error)")
        }
        guard document.version == version else {
            throw .usage("\(path) has version \(document.version), and this bpftest knows \(version)")
        }
        var baseline = Baseline()
        for (kernel, suites) in document.kernels {
            for (suite, outcomes) in suites {
                for (outcome, ids) in outcomes {
                    guard let state = State(rawValue: outcome) else {
                        throw .usage("\(path): '\(outcome)' is no outcome (\(kernel), \(suite))")
                    }
                    for id in ids { baseline.set(state, CaseID(suite: suite, id: id), on: kernel) }
                }
            }
        }
        return baseline
    }

    /// As a file has it: sorted, so that two of them differ where the results do.
    var text: String {
        let document = Document(
            version: Self.version,
            kernels: states.mapValues { suites in
                suites.mapValues { cases in
                    Dictionary(grouping: cases.keys, by: { cases[$0]?.rawValue ?? "" }).mapValues { $0.sorted() }
                }
            })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        // Strings always have a form in JSON.
        let data = (try? encoder.encode(document)) ?? Data()
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    /// Writes the file whole or not at all.
    public func write(_ path: FilePath) throws(HarnessError) {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path.string), options: .atomic)
        } catch {
            throw .infrastructure("the baseline \(path) cannot be written: \(Folders.reason(error))")
        }
    }

    /// Takes over what a run found, and keeps what it was not about.
    ///
    /// - Parameter isPlanned: what the run was to run, by kernel: cases of it that are gone are forgotten.
    public mutating func update(with new: Baseline, isPlanned: (_ kernel: String, _ name: CaseID) -> Bool) {
        for (kernel, suites) in states {
            for (suite, cases) in suites {
                states[kernel]?[suite] = cases.filter { !isPlanned(kernel, CaseID(suite: suite, id: $0.key)) }
            }
        }
        for (kernel, suites) in new.states {
            for (suite, cases) in suites {
                for (id, state) in cases { set(state, CaseID(suite: suite, id: id), on: kernel) }
            }
        }
        states = states.mapValues { $0.filter { !$0.value.isEmpty } }.filter { !$0.value.isEmpty }
    }
}

extension RunResults {
    /// Whether a case is known to fail on a kernel, as the run was told.
    public func isKnown(_ kernel: String, _ name: CaseID) -> Bool {
        kernels.contains { one in
            one.spec == kernel
                && one.suites.contains { suite in
                    suite.name == name.suite && suite.results.contains { $0.name == name && $0.known != nil }
                }
        }
    }
}

/// What is different from a baseline.
public struct BaselineComparison: Sendable, Equatable {
    public struct Change: Sendable, Equatable, Comparable, CustomStringConvertible {
        public var kernel: String
        public var name: CaseID
        /// nil: not in the baseline.
        public var was: Baseline.State?
        /// nil: not in the run.
        public var now: Baseline.State?

        public var description: String {
            "\(kernel) \(name): \(was?.rawValue ?? "not there"), now \(now?.rawValue ?? "gone")"
        }

        public static func < (left: Change, right: Change) -> Bool {
            (left.kernel, left.name.suite, left.name.id) < (right.kernel, right.name.suite, right.name.id)
        }
    }

    public var newlyFailing: [Change] = []
    public var newlyPassing: [Change] = []
    public var newlySkipped: [Change] = []
    public var gone: [Change] = []
    /// In the run and not in the baseline, and passed or skipped: a failing one is newly failing.
    public var added: [Change] = []

    /// - Parameters:
    ///   - isPlanned: what the run was to run; the rest of the baseline is not compared.
    ///   - isKnown: whether a failure is a known one: it is no news.
    public init(
        baseline: Baseline, results: Baseline, isPlanned: (_ kernel: String, _ name: CaseID) -> Bool,
        isKnown: (_ kernel: String, _ name: CaseID) -> Bool = { _, _ in false }
    ) {
        for (kernel, suites) in results.states {
            for (suite, cases) in suites {
                for (id, now) in cases {
                    let name = CaseID(suite: suite, id: id)
                    let was = baseline.state(name, on: kernel)
                    let change = Change(kernel: kernel, name: name, was: was, now: now)
                    switch (was, now) {
                    case (let was, let now) where was == now: continue
                    case (_, .failed): if !isKnown(kernel, name) { newlyFailing.append(change) }
                    case (nil, _): added.append(change)
                    case (_, .passed): newlyPassing.append(change)
                    case (_, .skipped): newlySkipped.append(change)
                    }
                }
            }
        }
        for (kernel, suites) in baseline.states {
            for (suite, cases) in suites {
                for (id, was) in cases {
                    let name = CaseID(suite: suite, id: id)
                    if results.state(name, on: kernel) == nil, isPlanned(kernel, name) {
                        gone.append(Change(kernel: kernel, name: name, was: was, now: nil))
                    }
                }
            }
        }
        newlyFailing.sort()
        newlyPassing.sort()
        newlySkipped.sort()
        gone.sort()
        added.sort()
    }

    /// Nothing got worse: nothing fails that did not, and nothing has vanished.
    public var isGood: Bool { newlyFailing.isEmpty && gone.isEmpty }

    /// For people: the counts, and the changes one by one.
    public var lines: [String] {
        let groups: [(String, [Change])] = [
            ("newly failing", newlyFailing), ("gone", gone), ("newly skipped", newlySkipped),
            ("newly passing", newlyPassing), ("new", added),
        ]
        let counts = groups.filter { !$0.1.isEmpty }.map { "\($0.1.count) \($0.0)" }
        if counts.isEmpty { return ["as in the baseline"] }
        var lines = ["against the baseline: " + counts.joined(separator: ", ")]
        for (title, changes) in groups where title != "new" {
            lines += changes.prefix(50).map { "  \(title): \($0)" }
            if changes.count > 50 { lines.append("  \(title): \(changes.count - 50) more") }
        }
        return lines
    }
}
