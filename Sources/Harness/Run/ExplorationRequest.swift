// SPDX-License-Identifier: Apache-2.0
public import Exploration
internal import Foundation
internal import SystemPackage
internal import TAP
public import VMRunner

/// What an exploration is to do: docs/explorer.md.
public struct ExplorationRequest: Sendable {
    public enum Work: Sendable {
        /// So many random operations.
        case random(seed: UInt64, operations: Int)
        /// All sequences up to a length, as far as their numbers are in the range.
        case exhaustive(length: Int, range: Range<Int>)
        case replay(Script)
    }

    public var work: Work

    public init(_ work: Work) {
        self.work = work
    }

    /// Where the agent looks for it; also known to Sources/Agents/Explore/ExploreRequest.swift.
    static let path = "/run/bpftest/explore/request"

    /// What is brought into the machine.
    public var guestFile: GuestFile {
        let text =
            switch work {
            case .random(let seed, let operations): "seed \(seed)\nops \(operations)\n"
            case .exhaustive(let length, let range):
                "exhaustive \(length)\nfrom \(range.lowerBound) to \(range.upperBound)\n"
            case .replay(let script): "script\n" + script.text()
            }
        return GuestFile(.bytes(Array(text.utf8)), as: Self.path)
    }

    /// Reads a script's file.
    ///
    /// - Throws: `.usage`, with the line that is wrong.
    public static func script(_ path: String) throws(HarnessError) -> Script {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .usage("\(path) cannot be read")
        }
        do throws(ScriptError) {
            let script = try Script(String(decoding: data, as: UTF8.self))
            // Whether the steps can be read shows here, and not after a boot.
            try Explorations.check(script)
            return script
        } catch {
            throw .usage("\(path): \(error)")
        }
    }
}

/// Keeps the scripts of divergences as files.
public struct ScriptKeeper: ResultSink {
    private let path: (CaseResult) -> String
    private let log: (String) -> Void

    /// - Parameter path: where a script goes; an older file is replaced.
    public init(path: @escaping (CaseResult) -> String, log: @escaping (String) -> Void) {
        self.path = path
        self.log = log
    }

    public mutating func caseFinished(_ result: CaseResult) throws {
        guard let script = result.diagnostics["script"] else { return }
        let path = path(result)
        try Data(script.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        log("\(result.name): the script is in \(path); bpftest explore --replay \(path)")
        log(script)
    }

    public mutating func runStarted(_ plan: RunPlan, kernels: Int) throws {}
    public mutating func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) throws {}
    public mutating func suiteStarted(_ name: String, cases: Int) throws {}
    public mutating func suiteFinished(_ name: String, tally: Tally) throws {}
    public mutating func kernelFinished(_ name: String, tally: Tally) throws {}
    public mutating func comment(_ text: String) throws {}
    public mutating func bailedOut(_ reason: String) throws {}
    public mutating func runFinished(tally: Tally) throws {}
}
