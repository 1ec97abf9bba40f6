// SPDX-License-Identifier: Apache-2.0
import Foundation
import TAP
import Testing

@testable import Harness

/// The page's HTML; scripts/browser-test looks at it in a browser.
@Suite struct ReportHTMLTests {
    private func page(_ results: RunResults, _ limits: HTMLReport.Limits = .init()) throws -> String {
        nonisolated(unsafe) var text = ""
        try HTMLReport(results: results, write: { unsafe text += $0 }, limits: limits).render()
        return unsafe text
    }

    @Test func everythingIsInThePageAndNothingElsewhere() throws {
        let text = try page(ReportFixture.results())
        #expect(text.contains("<td class=p title=\"12 ms\">✓"))
        #expect(text.contains("<td class=s title=\"12 ms\"><a href=#r0>–</a>"))
        #expect(text.contains("<td class=f title=\"1.5 s\"><a href=#d0>✗</a>"))
        #expect(text.contains("<td class=k title=\"12 ms\"><a href=#d2>≈</a>"))
        #expect(text.contains("<div id=d0><p><b>message</b> <code>counts differ</code></p>"))
        #expect(text.contains("bpftest run -k 6.1.0-1 first/A-3</pre>"))
        #expect(text.contains("<h4>verifier_log</h4><pre tabindex=0>\n0: R1=ctx()\n1: (95) exit</pre>"))
        #expect(text.contains("Passes, although known to fail: was fixed"))
        // Each reason once.
        #expect(text.components(separatedBy: "tcx is absent and not due before 6.6").count == 2)
        #expect(text.contains("<dd>2 times"))
        #expect(text.firstMatch(of: /(?:src|href)=["']?(?!#)/) == nil)
        #expect(!text.contains("url("))
        #expect(!text.contains("@import"))
    }

    @Test func everyLinkHasItsTarget() throws {
        let text = try page(ReportFixture.results())
        let targets = Set(text.matches(of: /\bid=([\w-]+)/).map { String($0.1) })
        let links = text.matches(of: /href=#([\w-]+)/).map { String($0.1) }
        #expect(links.count == 11)
        for link in links { #expect(targets.contains(link), "\(link)") }
    }

    @Test func nothingOfAGuestIsMarkup() throws {
        let hostile = ReportFixture.hostile
        var results = ReportFixture.results()
        let clean = try page(results)
        results.kernels[0].identity = KernelIdentity(name: hostile, spec: hostile, origin: hostile)
        results.kernels[0].suites[0].name = hostile
        results.comments = [hostile]
        results.bailedOut = hostile
        results.incomplete = [hostile]
        let known = results.kernels[0].suites[0].results[2]
        for outcome in [Outcome.passed, .failed(.test), .skipped(reason: hostile)] {
            results.kernels[0].suites[0].results.append(
                ReportFixture.result(
                    hostile, hostile, hostile, outcome, known: hostile, [(hostile, hostile), ("message", hostile)],
                    milliseconds: 90_000, title: hostile))
        }
        let text = try page(results)
        #expect(known.outcome.isFailure)
        // One script, ours.
        #expect(text.components(separatedBy: "<script").count == clean.components(separatedBy: "<script").count)
        #expect(!text.contains("alert('1')"))
        #expect(text.components(separatedBy: "</pre>").count == text.components(separatedBy: "<pre").count)
        #expect(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f || $0 == "\n" })
    }

    /// The policy lets run what has this sum, and nothing else.
    @Test func theScriptsSumIsThatOfThePolicy() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sha256sum"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(HTMLReport.script.utf8))
        try input.fileHandleForWriting.close()
        let answer = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        let digits = String(decoding: answer, as: UTF8.self).prefix(64)
        var sum = Data()
        for index in stride(from: 0, to: 64, by: 2) {
            let start = digits.index(digits.startIndex, offsetBy: index)
            sum.append(try #require(UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)))
        }
        #expect(HTMLReport.scriptHash == "sha256-" + sum.base64EncodedString())
        // An end of the element would cut it.
        #expect(!HTMLReport.script.contains("</"))
        #expect(try page(RunResults()).contains("script-src '\(HTMLReport.scriptHash)'"))
    }

    @Test func rowsAreTheUnionOverTheKernels() {
        var results = ReportFixture.results()
        results.kernels[1].suites[0].results.remove(at: 0)
        results.kernels[1].suites[0].results.append(ReportFixture.result("7.2.0-2", "first", "A-9"))
        // A guest that says a name twice has two rows.
        results.kernels[1].suites[0].results.append(ReportFixture.result("7.2.0-2", "first", "A-9", .failed(.test)))
        let page = HTMLReport.Page(results)
        #expect(page.suites.map(\.name) == ["first", "second"])
        #expect(page.suites[0].rows.map(\.id) == ["A-1", "A-2", "A-3", "A-9", "A-9"])
        #expect(page.suites[0].rows[0].cells.map { $0 == nil } == [false, true])
        #expect(page.suites[0].rows[4].cells.map { $0.map { Shown($0.result) } } == [nil, .failed])
        #expect(page.suites[0].rows[4].classes == "f")
        #expect(page.differing == 0)
        results.kernels[1].suites[0].results[0].outcome = .passed
        #expect(HTMLReport.Page(results).differing == 1)
        #expect(HTMLReport.Page(results).suites[0].rows[1].classes == "s p d")
    }

    @Test func labelsLeaveOutWhatAllNamesEndIn() {
        let labels = HTMLReport.Page.labels
        #expect(labels(["6.1.0-56-cloud-amd64", "6.12.117+deb12-cloud-amd64"]) == ["6.1.0-56", "6.12.117+deb12"])
        #expect(labels(["7.3-cloud-amd64", "7.3-amd64"]) == ["7.3-cloud", "7.3"])
        #expect(labels(["6.1"]) == ["6.1"])
        #expect(labels(["a", "b-a"]) == ["a", "b-a"])
        #expect(labels(["", "-"]) == ["", "-"])
        #expect(labels(["same", "same"]) == ["same", "same"])
    }

    @Test func diagnosticsAreBoundedAndSaySo() throws {
        var results = ReportFixture.results()
        let long = String(repeating: "x", count: 5000) + "end"
        results.kernels[0].suites[0].results[2].diagnostics.fields = [.init("console", long), .init("splat", long)]
        var limits = HTMLReport.Limits()
        limits.one = 1000
        let text = try page(results, limits)
        #expect(text.contains("(4003 bytes left out) …\nxxx"))
        #expect(text.contains("xend</pre>"))
        #expect(text.contains("xxx\n… (4003 bytes left out)</pre>"))
        limits.all = 1500
        let less = try page(results, limits)
        #expect(!less.contains("xend"))
        #expect(less.contains("The diagnostics are left out"))
    }

    /// Forty thousand cells must stay a page that a browser opens at once.
    @Test func aPassedCellIsSmall() throws {
        let kernels = (0..<20).map { number in
            KernelResults(
                ReportFixture.identity("6.\(number)-amd64"),
                suites: [SuiteResults("s", (0..<200).map { ReportFixture.result("6.\(number)", "s", "C-\($0)") })])
        }
        let empty = try page(RunResults(kernels: kernels.map { KernelResults($0.identity) }))
        let full = try page(RunResults(kernels: kernels))
        #expect((full.utf8.count - empty.utf8.count) / (20 * 200) < 40)
    }
}
