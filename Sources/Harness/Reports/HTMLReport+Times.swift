// SPDX-License-Identifier: Apache-2.0

extension HTMLReport {
    /// Times as two small charts: of the kernels, and of the slowest cases.
    func times(_ page: Page) -> String {
        let kernels = zip(page.labels, results.kernels).map { label, kernel in
            Bar(label: label, full: kernel.name, milliseconds: kernel.duration.milliseconds)
        }
        var slowest: [Bar] = []
        for (label, kernel) in zip(page.labels, results.kernels) {
            for result in kernel.suites.flatMap(\.results) {
                let milliseconds = result.duration.milliseconds
                guard milliseconds > 0, slowest.count < 10 || milliseconds > (slowest.last?.milliseconds ?? 0) else {
                    continue
                }
                let name = "\(result.name)" + (results.kernels.count > 1 ? " \(label)" : "")
                slowest.append(Bar(label: name, full: "\(result.name) on \(kernel.name)", milliseconds: milliseconds))
                slowest.sort { $0.milliseconds > $1.milliseconds }
                if slowest.count > 10 { slowest.removeLast() }
            }
        }
        guard kernels.contains(where: { $0.milliseconds > 0 }) else { return "" }
        return "<section class=times aria-label=Times>\n<h2>Times</h2>\n<div class=charts>"
            + Self.chart("Time of all cases by kernel", Array(kernels.prefix(100)))
            + Self.chart("Slowest cases", slowest) + "</div>\n</section>\n"
    }

    private struct Bar {
        var label: String
        var full: String
        var milliseconds: Int64
    }

    private static func chart(_ title: String, _ bars: [Bar]) -> String {
        let most = max(1, bars.map(\.milliseconds).max() ?? 1)
        let (line, left, width) = (20, 230, 480)
        var text = "<figure><figcaption>\(title)</figcaption><svg role=img aria-label=\"\(title)\" "
        text += "viewBox=\"0 0 \(width) \(bars.count * line)\" width=\(width) height=\(bars.count * line)>"
        for (number, bar) in bars.enumerated() {
            let length = max(1, Int(bar.milliseconds * Int64(width - left - 90) / most))
            let label = bar.label.count > 34 ? "…" + bar.label.suffix(33) : bar.label
            let time = Duration.milliseconds(bar.milliseconds).text
            text += "<g><title>\(Markup.escaped(bar.full)): \(time)</title>"
            text += "<text x=\(left - 6) y=\(number * line + 14) text-anchor=end>\(Markup.escaped(label))</text>"
            text += "<rect x=\(left) y=\(number * line + 3) width=\(length) height=\(line - 6) rx=2 />"
            text += "<text x=\(left + length + 6) y=\(number * line + 14)>\(time)</text></g>"
        }
        return text + "</svg></figure>"
    }
}
