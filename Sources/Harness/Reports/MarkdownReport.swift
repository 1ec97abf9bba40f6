// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import TAP

/// A short summary for a step summary, a mail or an issue: a table of the kernels, then what failed.
struct MarkdownReport {
    /// GitHub takes a step summary of 1 MiB and drops all of a longer one.
    static let mostBytes = 1_000_000
    /// Bytes of one diagnostic.
    private static let mostOfOne = 16 << 10
    private static let mostKernels = 200
    /// Kept for what is said of what was left out.
    private static let reserve = 4000

    let results: RunResults
    let write: (String) throws -> Void
    var limit = MarkdownReport.mostBytes

    func render() throws {
        var text = head()
        text += table()
        let kinds: [(Shown, String)] = [(.failed, "Failures"), (.known, "Known failures")]
        var left: [String] = []
        for (kind, title) in kinds {
            var isFirst = true
            for kernel in results.kernels {
                for result in kernel.suites.flatMap(\.results) where Shown(result) == kind {
                    let heading = isFirst ? "\n## \(title)\n" : ""
                    let block = heading + self.block(result, kernel)
                    if text.utf8.count + block.utf8.count > limit - Self.reserve {
                        left.append("\(kernel.name) \(result.name)")
                    } else {
                        text += block
                        isFirst = false
                    }
                }
            }
        }
        if !left.isEmpty {
            text += "\n**\(left.count) more did not fit into \(limit) bytes:**\n\n"
            for name in left.prefix(15) { text += "- \(code(Excerpt.prefix(name, 100)))\n" }
            if left.count > 15 { text += "- … and \(left.count - 15) more\n" }
        }
        try write(text)
    }

    private func head() -> String {
        let tally = results.tally
        let symbol = results.bailedOut != nil ? "⚠" : tally.failed > 0 ? Shown.failed.symbol : Shown.passed.symbol
        let counts = Shown.allCases.filter { $0 != .known || tally.known > 0 }.map { "\($0.count(tally)) \($0.words)" }
        var text = "# \(symbol) bpftest: \(counts.joined(separator: ", "))\n\n"
        for reservation in results.reservations.prefix(20) {
            text += "> **⚠** \(code(Excerpt.start(of: reservation, bytes: 2000)))\n>\n"
        }
        for comment in (results.comments + results.closingComments).prefix(20) {
            text += "> \(code(Excerpt.start(of: comment, bytes: 500)))\n>\n"
        }
        return text + (text.hasSuffix(">\n") ? "\n" : "")
    }

    private func table() -> String {
        let hasKnown = results.tally.known > 0
        var text = "| kernel | passed | failed |\(hasKnown ? " known |" : "") skipped | time | |\n"
        text += "|---|--:|--:|\(hasKnown ? "--:|" : "")--:|--:|---|\n"
        for kernel in results.kernels.prefix(Self.mostKernels) {
            let tally = kernel.tally
            let broken = kernel.broken
            let remark = broken.map { $0.summary } ?? (kernel.isFinished ? "" : "not finished")
            text += "| \(code(Excerpt.prefix(kernel.name, 200))) | \(tally.passed) | "
            text += tally.failed > 0 ? "**✗ \(tally.failed)** | " : "0 | "
            text += hasKnown ? "\(tally.known) | " : ""
            text += "\(tally.skipped) | \(kernel.duration.text) | \(code(remark)) |\n"
        }
        let left = results.kernels.count - Self.mostKernels
        return text + (left > 0 ? "\n… and \(left) more kernels\n" : "")
    }

    /// A failure with its diagnostics folded in.
    private func block(_ result: CaseResult, _ kernel: KernelResults) -> String {
        let name = Markup.escaped(Excerpt.prefix("\(result.name)", 300))
        let title = Markup.escaped(Excerpt.prefix(result.title, 300))
        let kernelName = Markup.escaped(Excerpt.prefix(kernel.name, 200))
        // In one line, without blank ones: a blank line would end the HTML and begin Markdown.
        var text = "\n<details><summary>\(Shown(result).symbol) <code>\(line(kernelName))</code> "
        text += "<code>\(line(name)) \(line(title)): \(line(Markup.escaped(result.summary)))</code></summary>\n\n"
        if let known = result.known { text += "<p>Known to fail: <code>\(line(Markup.escaped(known)))</code></p>\n\n" }
        text += "<pre>\n"
        text += Markup.escaped(Diagnostics(result.excerpts(bytes: Self.mostOfOne)).readable)
        return text + "\n</pre>\n\n</details>\n"
    }

    private func line(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    /// Text of others, as code: GitHub makes mentions and references of other text.
    private func code(_ text: some StringProtocol) -> String {
        text.isEmpty ? "" : "<code>\(Markup.markdown(text))</code>"
    }
}
