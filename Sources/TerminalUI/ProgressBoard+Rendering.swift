// SPDX-License-Identifier: Apache-2.0
internal import Harness

/// Columns and rows of a window.
struct WindowSize: Sendable, Equatable {
    var columns = 80
    var rows = 24
}

extension ProgressBoard {
    private enum Colour {
        static let red = "\u{1b}[31m"
        static let none = "\u{1b}[m"
    }

    /// The lines that show it, each narrower than the window: at most a third of the window's rows.
    ///
    /// The last column stays free: where it is written to, some terminals wrap, and others lose that character when the
    /// rest of the line is erased.
    /// - Returns: nothing before the run has begun.
    func lines(at now: Instant, in size: WindowSize, colour: Bool) -> [String] {
        guard let began, size.columns > 1 else { return [] }
        let columns = size.columns - 1
        return [summary(elapsed: now - began, left: timeLeft(at: now), columns, colour)]
            + workerLines(at: now, columns, rows: max(1, size.rows / 3) - 1)
    }

    private func summary(elapsed: Duration, left: Duration?, _ columns: Int, _ colour: Bool) -> String {
        // By importance: in a narrow window the last ones go first.
        let failed = tally.failed > 0 ? "\(tally.failed) failed" : nil
        // Until a case fails, nobody knows how many there will be.
        let done = tally.total > total ? "\(tally.total) done" : "\(tally.total)/\(total) done"
        let fields: [(place: Int, text: String?)] = [
            (0, done), (1, failed),
            (4, left.map { "~\(clock($0)) left" }), (3, "\(clock(elapsed)) elapsed"),
            (2, tally.skipped > 0 ? "\(tally.skipped) skipped" : nil),
        ]
        var kept: [(place: Int, text: String)] = []
        var used = 0
        for case (let place, let text?) in fields {
            used += 2 + text.count
            if used > columns, !kept.isEmpty { break }
            kept.append((place, text))
        }
        kept.sort { $0.place < $1.place }
        guard kept.count > 1 || used <= columns else { return DisplayWidth.fitted("  " + kept[0].text, to: columns) }
        return kept.map { "  " + (colour && $0.text == failed ? Colour.red + $0.text + Colour.none : $0.text) }.joined()
    }

    private func workerLines(at now: Instant, _ columns: Int, rows: Int) -> [String] {
        let busy = busy(at: now)
        guard rows > 0, let last = busy.last else { return [] }
        let shown = busy.count <= rows ? busy.count : rows - 1
        let digits = "\(last.number + 1)".count
        var lines = busy.prefix(shown).map { number, worker in
            let spent = (worker.until ?? now) - worker.since
            let time = spent < .seconds(1) ? "" : spent < .seconds(60) ? " \(spent.seconds) s" : " \(clock(spent))"
            let name = "\(number + 1)"
            let start = "  " + String(repeating: " ", count: digits - name.count) + name + " "
            let room = columns - start.count - time.count
            // Too narrow for both: the name is worth more than the time.
            guard room >= 8 else { return DisplayWidth.fitted(start + worker.activity, to: columns) }
            return start + DisplayWidth.fitted(worker.activity, to: room) + time
        }
        if shown < busy.count { lines.append(DisplayWidth.fitted("  +\(busy.count - shown) more", to: columns)) }
        return lines
    }

    /// 0:07, 12:34, 1:02:03.
    private func clock(_ duration: Duration) -> String {
        let seconds = max(0, duration.seconds)
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
        let tail = (seconds % 60 < 10 ? ":0" : ":") + "\(seconds % 60)"
        return hours > 0 ? "\(hours):" + (minutes < 10 ? "0" : "") + "\(minutes)" + tail : "\(minutes)" + tail
    }
}

extension Duration {
    /// Whole seconds.
    fileprivate var seconds: Int64 { components.seconds }
}
