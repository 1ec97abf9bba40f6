// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import TAP

/// One JSON document; docs/results.schema.json is its schema.
struct JSONReport {
    /// Grows when a reader of the older form would misread the newer one.
    static let version = 1

    let results: RunResults
    let write: (String) throws -> Void

    func render() throws {
        try write("{\n  \"format\": \"bpftest-results\",\n  \"version\": \(Self.version),\n")
        try write("  \"bpftest\": \(quoted(bpftestVersion)),\n")
        if let started = results.started { try write("  \"started\": \(quoted(started.formatted(.iso8601))),\n") }
        if let shard = results.shard {
            try write("  \"shard\": {\"index\": \(shard.index), \"count\": \(shard.count)},\n")
        }
        try write("  \"complete\": \(results.incomplete.isEmpty && results.bailedOut == nil),\n")
        try write("  \"incomplete\": \(list(results.incomplete)),\n")
        if let reason = results.bailedOut { try write("  \"bailed_out\": \(quoted(reason)),\n") }
        try write("  \"comments\": \(list(results.comments + results.closingComments)),\n")
        try write("  \"exit_code\": \(results.exitCode),\n  \"totals\": \(totals(results.tally)),\n")
        try write("  \"plan\": [")
        try each(results.plan, indentation: 4) { kernel in
            "{\(identity(kernel.identity)), \"suites\": \(list(kernel.suites))}"
        }
        try write("],\n  \"kernels\": [")
        for (number, kernel) in results.kernels.enumerated() {
            try write("\(number == 0 ? "" : ",")\n    {\n      \(identity(kernel.identity)),\n")
            try write("      \"comments\": \(list(kernel.comments)),\n      \"totals\": \(totals(kernel.tally)),\n")
            try write("      \"complete\": \(kernel.isFinished && kernel.announced <= kernel.suites.count),\n")
            try write("      \"suites\": [")
            for (number, suite) in kernel.suites.enumerated() {
                try write("\(number == 0 ? "" : ",")\n        {\n          \"name\": \(quoted(suite.name)),\n")
                try write("          \"totals\": \(totals(suite.tally)),\n")
                try write(
                    "          \"complete\": \(suite.isFinished && suite.announced <= suite.results.count),\n")
                try write("          \"cases\": [")
                try each(suite.results, indentation: 12, one)
                try write("]\n        }")
            }
            try write("]\n    }")
        }
        try write("]\n}\n")
    }

    private func each<Element>(_ all: [Element], indentation: Int, _ text: (Element) -> String) throws {
        for (number, element) in all.enumerated() {
            try write("\(number == 0 ? "" : ",")\n\(String(repeating: " ", count: indentation))\(text(element))")
        }
    }

    private func one(_ result: CaseResult) -> String {
        var fields = ["\"id\": \(quoted(result.name.id))", "\"title\": \(quoted(result.title))"]
        switch result.outcome {
        case .passed: fields.append("\"outcome\": \"passed\"")
        case .skipped(let reason): fields += ["\"outcome\": \"skipped\"", "\"reason\": \(quoted(reason))"]
        case .failed(let blame): fields += ["\"outcome\": \"failed\"", "\"blame\": \(quoted(blame.rawValue))"]
        }
        if let known = result.known { fields.append("\"known\": \(quoted(known))") }
        fields.append("\"duration_ms\": \(result.duration.milliseconds)")
        if !result.diagnostics.isEmpty {
            let pairs = result.diagnostics.fields.map { "[\(quoted($0.key)), \(quoted($0.value))]" }
            fields.append("\"diagnostics\": [\(pairs.joined(separator: ", "))]")
        }
        return "{\(fields.joined(separator: ", "))}"
    }

    private func identity(_ kernel: KernelIdentity) -> String {
        var fields = ["\"name\": \(quoted(kernel.name))", "\"spec\": \(quoted(kernel.spec))"]
        if let version = kernel.version { fields.append("\"version\": \(quoted(version))") }
        if let origin = kernel.origin { fields.append("\"origin\": \(quoted(origin))") }
        return fields.joined(separator: ", ")
    }

    private func totals(_ tally: Tally) -> String {
        "{\"passed\": \(tally.passed), \"failed\": \(tally.failed), \"known_failed\": \(tally.known), "
            + "\"skipped\": \(tally.skipped)}"
    }

    private func list(_ texts: [String]) -> String { "[\(texts.map(quoted).joined(separator: ", "))]" }

    private func quoted(_ text: String) -> String { JSONText.quote(text) }
}
