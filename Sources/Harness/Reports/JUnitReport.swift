// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import TAP

/// JUnit's XML, as far as its consumers agree on it: valid by the Jenkins xunit plugin's junit-10.xsd and by the
/// published schema of Ant's junit task.
///
/// A suite of a kernel is a test suite. Every failure is a `failure` with the blame for a type, since the two schemas
/// have different names for the other element (`errors`, `error`); a known failure is skipped, with its reason.
struct JUnitReport {
    /// Bytes of one diagnostic; libxml2 refuses text of 10 MB.
    private static let mostBytes = 64 << 10

    let results: RunResults
    let write: (String) throws -> Void

    func render() throws {
        try write("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n")
        var number = 0
        for kernel in results.kernels {
            for suite in kernel.suites {
                try render(suite, of: kernel, number: number)
                number += 1
            }
        }
        if !results.reservations.isEmpty { try renderReservations(number: number) }
        try write("</testsuites>\n")
    }

    private func render(_ suite: SuiteResults, of kernel: KernelResults, number: Int) throws {
        let tally = suite.tally
        let missing = suite.announced - suite.results.count
        try begin(
            suite.name, package: kernel.name, number: number, tests: tally.total + (missing > 0 ? 1 : 0),
            failures: tally.failed + (missing > 0 ? 1 : 0), skipped: tally.skipped + tally.known,
            seconds: suite.duration.seconds)
        let properties =
            [("kernel", kernel.name), ("spec", kernel.spec)]
            + [("version", kernel.version), ("origin", kernel.origin)].compactMap { key, value in
                value.map { (key, $0) }
            } + kernel.comments.map { ("comment", $0) }
        try write("    <properties>\n")
        for (key, value) in properties {
            try write("      <property name=\"\(key)\" value=\"\(attribute(value))\"/>\n")
        }
        try write("    </properties>\n")
        let place = "\(kernel.name).\(suite.name)"
        for result in suite.results { try render(result, in: place, kernel.identity) }
        if missing > 0 {
            try point(
                "\(missing) cases without a result", in: place,
                "      <failure type=\"incomplete\" message=\"the suite was cut short\"/>\n")
        }
        try end()
    }

    private func render(_ result: CaseResult, in place: String, _ kernel: KernelIdentity) throws {
        var inner = ""
        switch result.outcome {
        case .passed: break
        case .skipped(let reason): inner = "      <skipped message=\"\(attribute(reason))\"/>\n"
        case .failed(let blame):
            let fields = result.excerpts(bytes: Self.mostBytes)
            let text = Diagnostics(fields).readable
            if let known = result.known {
                let reason = attribute("known to fail: \(known)")
                inner = "      <skipped message=\"\(reason)\">\(Markup.escaped(text))</skipped>\n"
            } else {
                inner =
                    "      <failure type=\"\(attribute(blame.rawValue))\" message=\"\(attribute(result.summary))\">"
                    + "\(Markup.escaped(text))</failure>\n"
            }
        }
        try point("\(result.name.id) \(result.title)", in: place, seconds: result.duration.seconds, inner)
    }

    /// What is not there is a failure: consumers show nothing else.
    private func renderReservations(number: Int) throws {
        let texts = results.reservations
        // Somebody asked for a report without the missing shards: no failure, but to be seen.
        let failures = results.bailedOut == nil ? 0 : 1
        try begin(
            "run", package: "bpftest", number: number, tests: texts.count, failures: failures,
            skipped: texts.count - failures, seconds: "0.000")
        try write("    <properties/>\n")
        for (index, text) in texts.enumerated() {
            let isBailOut = failures == 1 && index == texts.count - 1
            try point(
                isBailOut ? "the run comes to its end" : "all of the plan is there (\(index + 1))", in: "bpftest.run",
                isBailOut
                    ? "      <failure type=\"infrastructure\" message=\"\(attribute(text))\"/>\n"
                    : "      <skipped message=\"\(attribute(text))\"/>\n")
        }
        try end()
    }

    private func begin(
        _ name: String, package: String, number: Int, tests: Int, failures: Int, skipped: Int, seconds: String
    ) throws {
        // Without a time of its own a file must have one nevertheless.
        let date = (results.started ?? Date(timeIntervalSince1970: 0)).formatted(.iso8601).dropLast()
        try write(
            "  <testsuite name=\"\(token(name))\" package=\"\(attribute(package))\" id=\"\(number)\" "
                + "timestamp=\"\(date)\" hostname=\"\(token(package))\" tests=\"\(tests)\" failures=\"\(failures)\" "
                + "errors=\"0\" skipped=\"\(skipped)\" time=\"\(seconds)\">\n")
    }

    private func end() throws {
        try write("    <system-out/>\n    <system-err/>\n  </testsuite>\n")
    }

    private func point(_ name: String, in place: String, seconds: String = "0.000", _ inner: String) throws {
        let start = "    <testcase name=\"\(attribute(name))\" classname=\"\(attribute(place))\" time=\"\(seconds)\""
        try write(inner.isEmpty ? "\(start)/>\n" : "\(start)>\n\(inner)    </testcase>\n")
    }

    private func attribute(_ text: String) -> String {
        Markup.escaped(Excerpt.start(of: text, bytes: 4096), lines: false)
    }

    /// The schemas want at least a character.
    private func token(_ text: String) -> String {
        text.allSatisfy(\.isWhitespace) ? "unnamed" : attribute(text)
    }
}

extension Diagnostics {
    /// For a person, in plain text: short values behind their keys, longer ones below them.
    var readable: String {
        fields.map { field in
            field.value.contains("\n") ? "\(field.key):\n\(field.value)\n" : "\(field.key): \(field.value)\n"
        }.joined()
    }
}
