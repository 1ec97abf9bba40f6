// SPDX-License-Identifier: Apache-2.0
internal import SystemPackage

/// Lines at the end of a terminal's output that are drawn over again and again, and go without a trace.
///
/// Between drawings the cursor rests at the region's first column and row. So erasing is the same for any number of
/// lines, also when the window has become narrower since and the terminal has wrapped them, and whoever writes without
/// asking overwrites the region, not what stands above it.
struct LiveRegion: Sendable {
    private let device: TerminalDevice
    /// What was drawn last.
    private var lines: [String] = []
    private var size = WindowSize()
    private var isVisible = false
    /// Closed for good, or the terminal is gone.
    private var isOver = false
    /// Drawings that other output has made necessary since the last `show`.
    private var repaints = 0
    private var atLineStart = true

    init(on device: TerminalDevice) {
        self.device = device
    }

    /// Shows these lines instead of those before, if anything is different.
    mutating func show(_ new: [String], in size: WindowSize) {
        repaints = 0
        guard !isOver, !isVisible || new != lines || size != self.size else { return }
        lines = new
        self.size = size
        draw()
    }

    /// Makes room for other output, has it written, and comes back.
    ///
    /// - Parameter endsLine: whether the output leaves the cursor at the start of a line; if not, the region stays away
    ///   until it is called with output that does.
    mutating func interleave<Failure: Error>(
        endsLine: Bool, _ write: () throws(Failure) -> Void
    ) throws(Failure) {
        let wasVisible = isVisible
        erase()
        atLineStart = endsLine
        try write()
        // A flood of lines need not carry the region along: it is drawn again at the next `show`.
        guard wasVisible, repaints < 4, !device.isOthers else { return }
        repaints += 1
        draw()
    }

    /// Erases it; nothing is drawn any more.
    mutating func close() {
        erase()
        isOver = true
    }

    private mutating func erase() {
        guard isVisible else { return }
        isVisible = false
        // What the cursor stands on is another job's now (^Z, then bg): the region is lost to us.
        if !device.isOthers { send(Self.erasure) }
    }

    private mutating func draw() {
        guard !isOver, atLineStart, !lines.isEmpty else { return }
        isVisible = true
        send(Self.drawing(lines))
    }

    /// A terminal that takes nothing any more (hung up) is no reason to disturb the run.
    private mutating func send(_ text: String) {
        do {
            try device.write(text)
        } catch {
            isOver = true
            isVisible = false
        }
    }

    /// Erases from the cursor's line to the end of the screen.
    static let erasure = "\r\u{1b}[J"

    /// Draws at the cursor's line and goes back there.
    ///
    /// Each line is written over what was there, so that nothing flickers. Automatic wrapping is off meanwhile: if a
    /// terminal takes a character to be wider than we do, the line is cut and not wrapped.
    static func drawing(_ lines: [String]) -> String {
        let up = lines.count > 1 ? "\u{1b}[\(lines.count - 1)A" : ""
        return "\u{1b}[?7l\r" + lines.joined(separator: "\u{1b}[K\r\n") + "\u{1b}[J\(up)\r\u{1b}[?7h"
    }
}
