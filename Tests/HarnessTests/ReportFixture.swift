// SPDX-License-Identifier: Apache-2.0
import Foundation
import TAP

@testable import Harness

/// Results to draw reports from.
enum ReportFixture {
    static let hostile = "<script>alert('1')</script> & \"q\" ]]> | `b` \u{1B}[31m\u{0}\u{FFFE} </pre></details>"

    static func identity(_ name: String) -> KernelIdentity {
        KernelIdentity(
            name: name, spec: String(name.prefix { $0 != "." }) + ".x", version: "6.1", origin: "package of \(name)")
    }

    static func result(
        _ kernel: String, _ suite: String, _ id: String, _ outcome: Outcome = .passed, known: String? = nil,
        _ fields: [(String, String)] = [], milliseconds: Int = 12, title: String? = nil
    ) -> CaseResult {
        CaseResult(
            kernel: kernel, name: CaseID(suite: suite, id: id), title: title ?? "title of \(id)", outcome: outcome,
            diagnostics: Diagnostics(fields.map { .init($0.0, $0.1) }), duration: .milliseconds(milliseconds),
            known: known)
    }

    /// Every outcome, on two kernels.
    static func results() -> RunResults {
        let names = ["6.1.0-1", "7.2.0-2"]
        let kernels = names.map { name in
            KernelResults(
                identity(name), comments: ["accelerator: tcg, as there is no /dev/kvm"],
                suites: [
                    SuiteResults(
                        "first",
                        [
                            result(name, "first", "A-1"),
                            result(name, "first", "A-2", .skipped(reason: "tcx is absent and not due before 6.6")),
                            result(
                                name, "first", "A-3", .failed(.test),
                                [
                                    ("message", "counts differ"), ("expected", "1"), ("observed", "2"),
                                    ("verifier_log", "0: R1=ctx()\n1: (95) exit"),
                                    ("run_alone", "bpftest run -k \(name) first/A-3"),
                                ], milliseconds: 1500),
                        ]),
                    SuiteResults(
                        "second",
                        [
                            result(
                                name, "second", "B-1", .failed(.kernel),
                                [("splat", "BUG: \(hostile)\nCall Trace:")]),
                            result(
                                name, "second", "B-2", .failed(.test), known: "issue 7 until 7.3",
                                [("message", "m")]),
                            result(name, "second", "B-3", .passed, known: "was fixed"),
                            result(name, "second", "B-4 <b>", .passed, title: hostile),
                        ]),
                ])
        }
        return RunResults(
            plan: names.map { PlannedKernel(identity($0), suites: ["first", "second"]) }, kernels: kernels,
            started: Date(timeIntervalSince1970: 1_700_000_000), comments: ["order: --shuffle=7"],
            closingComments: ["rounds: 3"])
    }

    static func text(_ results: RunResults, _ format: ReportFormat) throws -> String {
        nonisolated(unsafe) var text = ""
        try format.render(results) { unsafe text += $0 }
        return unsafe text
    }

    static func lines(_ results: RunResults) throws -> String { try text(results, .jsonl) }

    static func read(_ text: String, unfinished: Bool = false) throws(ResultsError) -> RunResults {
        try RunResults(jsonLines: Data(text.utf8), unfinished: unfinished)
    }
}
