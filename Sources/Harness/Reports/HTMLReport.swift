// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import TAP
internal import VMRunner

/// One self-contained page: kernels times cases as a table, and what is known of each cell.
///
/// Everything is in the HTML and can be read without the script, which filters by text, moves between cells and shows
/// what is elsewhere in the page beside the table. Twenty kernels times two thousand cases are forty thousand cells, so
/// a passed one is little more than its symbol; suites out of sight are not laid out; and a filter changes classes of
/// rows, never the rows.
struct HTMLReport {
    struct Limits {
        /// Bytes of one diagnostic.
        var one = 64 << 10
        /// Bytes of all diagnostics; what comes after it has its summary alone.
        var all = 24 << 20
        /// Cells up to which all suites are open from the beginning.
        var openCells = 3000
    }

    let results: RunResults
    let write: (String) throws -> Void
    var limits = Limits()

    func render() throws {
        let page = Page(results)
        try write(head())
        try write(bar(page))
        try write("<main id=main tabindex=0 aria-label=\"Report\">\n")
        try write(overview())
        try write(times(page))
        try renderSuites(page)
        try renderFailures(page)
        try write(reasons(page))
        try write("</main>\n<dialog id=panel aria-labelledby=panel-title></dialog>\n")
        try write("<script>\(Self.script)</script>\n</body>\n</html>\n")
    }

    // MARK: Parts

    private func head() -> String {
        // Whatever a guest may get past the escapes runs no script and reaches no network.
        let policy =
            "default-src 'none'; style-src 'unsafe-inline'; script-src '\(Self.scriptHash)'; base-uri 'none'; "
            + "form-action 'none'"
        return """
            <!DOCTYPE html>
            <html lang=en>
            <head>
            <meta charset=utf-8>
            <meta http-equiv=Content-Security-Policy content="\(policy)">
            <meta name=viewport content="width=device-width, initial-scale=1">
            <meta name=color-scheme content="light dark">
            <meta name=generator content="bpftest \(bpftestVersion)">
            <title>\(Markup.escaped(results.title))</title>
            <style>\(Self.style)</style>
            </head>
            <body>

            """
    }

    /// The filters: by outcome without a script too, by text with one.
    private func bar(_ page: Page) -> String {
        let tally = results.tally
        var choices: [(key: String, label: String)] = [("a", "all \(tally.total)")]
        for kind in Shown.allCases where kind != .known || tally.known > 0 {
            choices.append((kind.key, "\(kind.symbol) \(kind.words) \(kind.count(tally))"))
        }
        if results.kernels.count > 1 { choices.append(("d", "≠ differs \(page.differing)")) }
        var text = "<a class=skip href=#cases>Skip to the results</a>\n"
        // Before everything that they show and hide: style rules look forward only.
        for (number, choice) in choices.enumerated() {
            text += "<input type=radio name=only id=only-\(choice.key)\(number == 0 ? " checked" : "") class=vh"
            text += " aria-label=\"Show cases: \(choice.label)\">\n"
        }
        text += "<header id=bar>\n<div class=choices>"
        for choice in choices { text += "<label for=only-\(choice.key)>\(choice.label)</label>" }
        text += "</div>\n<input type=search id=find placeholder=\"Filter by text ( / )\" aria-label=\"Filter by text\""
        text += " autocomplete=off hidden>\n<output id=shown for=find></output>\n</header>\n"
        return text
    }

    private func overview() -> String {
        var text = "<h1>\(Markup.escaped(results.title))</h1>\n"
        for reservation in results.reservations {
            text += "<p class=warning role=alert>⚠ \(Markup.escaped(reservation))</p>\n"
        }
        var facts: [String] = []
        if let started = results.started {
            let date = started.formatted(.iso8601)
            facts.append(
                "<time datetime=\"\(date)\">\(date.replacing("T", with: " ").replacing("Z", with: " UTC"))</time>")
        }
        facts += (results.comments + results.closingComments).map { Markup.escaped($0) }
        facts.append("bpftest \(bpftestVersion)")
        text += "<p class=facts>\(facts.joined(separator: " · "))</p>\n"
        text +=
            "<div class=wide><table class=kernels><caption class=vh>Kernels</caption><thead><tr><th scope=col>Kernel"
        for kind in Shown.allCases { text += "<th scope=col>\(kind.symbol) \(kind.words)" }
        text += "<th scope=col>Time<th scope=col>Remarks<tbody>\n"
        for kernel in results.kernels {
            text += "<tr data-spec=\"\(Markup.escaped(kernel.spec, lines: false))\"><th scope=row>"
            text += Markup.escaped(kernel.name)
            for kind in Shown.allCases {
                let count = kind.count(kernel.tally)
                text += "<td class=\"n\(count > 0 ? " \(kind.key)" : "")\">\(count)"
            }
            let broken = kernel.broken
            let remarks =
                [broken?.summary, kernel.isFinished ? nil : "not finished"].compactMap(\.self) + kernel.comments
                + [kernel.spec == kernel.name ? nil : "-k \(kernel.spec)", kernel.origin].compactMap(\.self)
            text += "<td class=n>\(kernel.duration.text)<td>\(Markup.escaped(remarks.joined(separator: " · ")))\n"
        }
        return text + "</table></div>\n"
    }

    private func renderSuites(_ page: Page) throws {
        try write("<section id=cases aria-label=Cases style=\"--kernels:\(results.kernels.count)\">\n<h2>Cases</h2>\n")
        try write(
            "<p class=keys>Arrow keys move, Enter opens a cell, Escape closes it, / goes to the filter.</p>\n"
        )
        let isSmall = page.suites.map(\.rows.count).reduce(0, +) * results.kernels.count <= limits.openCells
        // One row of names for all suites, which have the same columns: Chromium forgets where headers belong that stick
        // inside of what it has not laid out. The tables' own are there for those who listen.
        let names = zip(page.labels, results.kernels).map { label, kernel in
            "<span title=\"\(Markup.escaped(kernel.name, lines: false))\"><i>\(Markup.escaped(label))</i></span>"
        }
        try write("<div class=head aria-hidden=true><b></b>\(names.joined())</div>\n")
        let columns =
            "<thead><tr><th scope=col>Case"
            + results.kernels.map { "<th scope=col>\(Markup.escaped($0.name))" }.joined() + "<tbody>\n"
        for suite in page.suites {
            let isOpen = isSmall || suite.kinds.contains(.failed) || suite.kinds.contains(.known)
            var text = "<details class=\"suite \(suite.classes)\"\(isOpen ? " open" : "")><summary><h3>"
            text += "\(Markup.escaped(suite.name))</h3> \(suite.rows.count) case\(suite.rows.count == 1 ? "" : "s")"
            for kind in Shown.allCases {
                let count = kind.count(suite.tally)
                if count > 0 { text += " <span class=\(kind.key)>\(kind.symbol) \(count)</span>" }
            }
            text += "</summary><div class=box style=\"--rows:\(suite.rows.count)\"><table class=cells aria-label=\""
            text += "\(Markup.escaped(suite.name, lines: false))\">\(columns)"
            try write(text)
            for row in suite.rows { try write(self.row(row, page)) }
            try write("</table></div></details>\n")
        }
        try write("<p id=none hidden>No case matches.</p></section>\n")
    }

    private func row(_ row: Page.Row, _ page: Page) -> String {
        var text = "<tr class=\"\(row.classes)\"><th scope=row>\(Markup.escaped(row.id))"
        if !row.title.isEmpty { text += " <i>\(Markup.escaped(row.title))</i>" }
        for cell in row.cells {
            guard let cell else {
                text += "<td>"
                continue
            }
            let kind = Shown(cell.result)
            text += "<td class=\(kind.key) title=\"\(cell.result.duration.text)\">"
            if let anchor = cell.anchor {
                text += "<a href=#\(anchor)>\(kind.symbol)</a>"
            } else {
                text += kind.symbol
            }
        }
        return text + "\n"
    }

    private func renderFailures(_ page: Page) throws {
        guard !page.told.isEmpty else { return }
        try write("<section id=told aria-label=Diagnostics>\n<h2>Diagnostics</h2>\n")
        var left = limits.all
        for (kernel, result, anchor) in page.told {
            let kind = Shown(result)
            var text = "<details class=told><summary><span class=\(kind.key)>\(kind.symbol)</span> "
            text += "\(Markup.escaped(results.kernels[kernel].name)) <b>\(Markup.escaped("\(result.name)"))</b> "
            text +=
                "\(Markup.escaped(result.title)): <span class=why>\(Markup.escaped(result.summary))</span></summary>"
            text += "<div id=\(anchor)>"
            if let known = result.known {
                text += "<p>\(kind == .known ? "Known to fail" : "Passes, although known to fail"): "
                text += "\(Markup.escaped(known))</p>"
            }
            if case .failed(let blame) = result.outcome, blame != .test {
                text += "<p>Blame: \(Markup.escaped(blame.rawValue))</p>"
            }
            let fields = result.excerpts(bytes: limits.one).filter { $0.key != "run_alone" }
            let size = fields.reduce(0) { $0 + $1.value.utf8.count }
            if size > left {
                text += "<p>The diagnostics are left out, as this page has many: they are in the JSON lines.</p>"
            } else {
                left -= size
                text += diagnostics(fields)
            }
            text += "<h4>Run it alone</h4><pre class=command>"
            text += "\(Markup.escaped(result.runAlone(results.kernels[kernel].identity)))</pre></div></details>\n"
            try write(text)
        }
        try write("</section>\n")
    }

    private func diagnostics(_ fields: [Diagnostics.Field]) -> String {
        fields.map { field in
            let key = Markup.escaped(field.key)
            return field.value.contains("\n") || field.value.count > 200
                ? "<h4>\(key)</h4><pre tabindex=0>\n\(Markup.escaped(field.value))</pre>"
                : "<p><b>\(key)</b> <code>\(Markup.escaped(field.value))</code></p>"
        }.joined()
    }

    /// Each reason of a skip once, however many cells have it.
    private func reasons(_ page: Page) -> String {
        guard !page.reasons.isEmpty else { return "" }
        var text = "<section id=reasons aria-label=\"Reasons of skips\">\n<h2>Reasons of skips</h2>\n<dl>\n"
        for (number, reason) in page.reasons.enumerated() {
            text += "<dt id=r\(number)>\(Markup.escaped(Excerpt.start(of: reason.text, bytes: 4096)))"
            text += "<dd>\(reason.count) time\(reason.count == 1 ? "" : "s")\n"
        }
        return text + "</dl>\n</section>\n"
    }
}

extension Shown {
    /// Its class, in few bytes.
    var key: String { String(rawValue.prefix(1)) }
}
