// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage
internal import TAP

/// What GitHub Actions make of a run's output: a group for each kernel, an annotation for each of the first failures.
///
/// - Source: the workflow commands of GitHub Actions (`::group::`, `::error::`), which are read from a step's output.
public struct GitHubActions: ResultSink {
    private let write: (String) throws -> Void
    private var annotations = 0
    private var left = 0

    /// A step shows ten annotations of a kind.
    private static let most = 10

    /// - Parameter write: gets whole lines, into the output of the step.
    public init(write: @escaping (String) throws -> Void) {
        self.write = write
    }

    /// Whether this process is a step of a workflow.
    public static func isHere(_ environment: [String: String]) -> Bool { environment["GITHUB_ACTIONS"] == "true" }

    public mutating func kernelStarted(_ kernel: KernelIdentity, suites: Int, comments: [String]) throws {
        try write("::group::\(Self.escaped(kernel.name))\n")
    }

    public mutating func kernelFinished(_ name: String, tally: Tally) throws {
        try write("::endgroup::\n")
    }

    public mutating func caseFinished(_ result: CaseResult) throws {
        guard case .failed(let blame) = result.outcome, result.known == nil else { return }
        guard annotations < Self.most - 1 else {
            left += 1
            return
        }
        annotations += 1
        let message = result.diagnostics["message"] ?? result.title
        let lines =
            [message]
            + ["expected", "observed", "run_alone"].compactMap { key in
                result.diagnostics[key].map { "\(key): \($0)" }
            }
        let whose = blame == .test ? "" : " (\(blame.rawValue))"
        let title = Self.escaped("\(result.name) on \(result.kernel)\(whose)", inProperty: true)
        try write("::error title=\(title)::\(Self.escaped(lines.joined(separator: "\n").prefix(4000)))\n")
    }

    public mutating func bailedOut(_ reason: String) throws {
        try write("::error title=bpftest::\(Self.escaped(reason))\n")
    }

    public mutating func runFinished(tally: Tally) throws {
        if left > 0 { try write("::error title=bpftest::\(left) more failures: see the summary of this step\n") }
    }

    public mutating func runStarted(_ plan: RunPlan, kernels: Int) throws {}
    public mutating func suiteStarted(_ name: String, cases: Int) throws {}
    public mutating func suiteFinished(_ name: String, tally: Tally) throws {}
    public mutating func comment(_ text: String) throws {}

    /// Text of ours or of the guest's, so that it is no command and ends no line.
    static func escaped(_ text: some StringProtocol, inProperty: Bool = false) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "%": result += "%25"
            case "\r": result += "%0D"
            case "\n": result += "%0A"
            case ":" where inProperty: result += "%3A"
            case "," where inProperty: result += "%2C"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Adds to the page that the step shows.
    ///
    /// - Parameter environment: `GITHUB_STEP_SUMMARY` names the file.
    public static func summarise(_ markdown: String, environment: [String: String]) throws(HarnessError) {
        guard let path = environment["GITHUB_STEP_SUMMARY"], !path.isEmpty else { return }
        do {
            let url = URL(fileURLWithPath: path)
            // The file may not be there yet; then it is begun.
            let before = (try? Data(contentsOf: url)) ?? Data()
            try (before + Data(markdown.utf8)).write(to: url)
        } catch {
            throw .infrastructure("the step's summary \(path) cannot be written: \(Folders.reason(error))")
        }
    }
}
