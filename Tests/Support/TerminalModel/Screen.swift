// SPDX-License-Identifier: Apache-2.0

/// A terminal's screen, as far as bpftest orders one about: what is there after some output.
///
/// It knows no more than the sequences in use; any other is kept in `unknown`, so that a test can state there was none.
/// Wrapping is xterm's: a character in the last column leaves the cursor on it until the next one comes.
public struct Screen {
    public private(set) var columns: Int
    public let rows: Int
    /// Sequences that it does not understand.
    public private(set) var unknown: [String] = []
    /// How often a line was too long for the screen and went on in the next row.
    public private(set) var wraps = 0

    private struct Row {
        var cells: [String] = []
        /// The row goes on in the next one.
        var continues = false
    }

    /// Everything since the start: the last `rows` of it are visible.
    private var content: [Row] = [Row()]
    private var row = 0
    private var column = 0
    private var wrapsAtEnd = true
    private var pendingWrap = false

    public init(columns: Int = 80, rows: Int = 24) {
        self.columns = columns
        self.rows = rows
    }

    /// All lines from the first on, scrolled away or not, without white space at the end and empty lines at the end.
    public var lines: [String] {
        var lines: [String] = []
        var joined = ""
        for row in content {
            joined += row.cells.joined()
            if row.continues { continue }
            while joined.last == " " { joined.removeLast() }
            lines.append(joined)
            joined = ""
        }
        while lines.last == "" { lines.removeLast() }
        return lines
    }

    public var cursor: (row: Int, column: Int) { (row, column) }

    /// Takes output that does not end within a sequence.
    public mutating func feed(_ text: String) {
        var rest = text.unicodeScalars[...]
        while let first = rest.popFirst() {
            switch first {
            case "\u{1b}":
                guard rest.first == "[" else {
                    unknown.append("ESC " + String(rest.first ?? " "))
                    continue
                }
                rest.removeFirst()
                guard let end = rest.firstIndex(where: { ("@"..."~").contains($0) }) else {
                    unknown.append("CSI \(String(rest)) without an end")
                    return
                }
                obey(String(rest[..<end]), rest[end])
                rest = rest[rest.index(after: end)...]
            case "\r":
                column = 0
                pendingWrap = false
            case "\n": lineFeed()
            case let control where control.value < 32: unknown.append("control \(control.value)")
            default: put(first)
            }
        }
    }

    /// Makes the window wider or narrower, as terminals do that break long lines anew (VTE, kitty).
    ///
    /// The cursor stays on the character on which it was.
    public mutating func resize(columns new: Int) {
        var lines: [(cells: [String], cursor: Int?)] = []
        var goesOn = false
        for (index, one) in content.enumerated() {
            if !goesOn { lines.append(([], nil)) }
            if index == row { lines[lines.count - 1].cursor = lines[lines.count - 1].cells.count + column }
            lines[lines.count - 1].cells += one.cells
            goesOn = one.continues
        }
        columns = new
        content = []
        for line in lines {
            var cells = line.cells[...]
            let start = content.count
            repeat {
                let head = cells.prefix(new)
                cells = cells.dropFirst(new)
                content.append(Row(cells: Array(head), continues: !cells.isEmpty))
            } while !cells.isEmpty
            if let cursor = line.cursor {
                row = start + min(cursor / new, content.count - 1 - start)
                column = min(cursor - (row - start) * new, new - 1)
            }
        }
    }

    private var top: Int { max(0, content.count - rows) }

    private mutating func lineFeed() {
        pendingWrap = false
        row += 1
        if row == content.count { content.append(Row()) }
    }

    private mutating func put(_ scalar: Unicode.Scalar) {
        let width = Self.width(scalar)
        if width == 0 {
            guard column > 0, column <= content[row].cells.count else { return }
            content[row].cells[column - 1].unicodeScalars.append(scalar)
            return
        }
        if pendingWrap || column + width > columns {
            if wrapsAtEnd {
                content[row].continues = true
                wraps += 1
                lineFeed()
                column = 0
            } else {
                column = columns - width
            }
        }
        pendingWrap = false
        while content[row].cells.count < column + width { content[row].cells.append(" ") }
        content[row].cells[column] = String(scalar)
        if width == 2 { content[row].cells[column + 1] = "" }
        column += width
        if column >= columns {
            column = columns - 1
            pendingWrap = wrapsAtEnd
        }
    }

    private static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0x300...0x36F, 0x200B...0x200F: 0
        case 0x4E00...0x9FFF, 0xAC00...0xD7A3, 0x1F300...0x1FAFF: 2
        default: 1
        }
    }

    private mutating func obey(_ parameters: String, _ order: Unicode.Scalar) {
        let number = Int(parameters) ?? 1
        switch (order, parameters) {
        case ("A", _): row = max(top, row - number)
        case ("K", ""): eraseLine()
        case ("J", ""):
            eraseLine()
            content.removeSubrange((row + 1)...)
        case ("h", "?7"): wrapsAtEnd = true
        case ("l", "?7"): wrapsAtEnd = false
        case ("m", ""), ("m", "31"): break
        default: unknown.append("CSI \(parameters)\(order)")
        }
        pendingWrap = false
    }

    private mutating func eraseLine() {
        content[row].cells.removeSubrange(min(column, content[row].cells.count)...)
        content[row].continues = false
    }
}
