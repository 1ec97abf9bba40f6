// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import Harness

/// A command's answer in aligned columns, or as JSON.
enum Table {
    enum Alignment {
        case left
        case right
    }

    /// Prints rows under their headings.
    static func show(_ columns: [(String, Alignment)], _ rows: [[String]]) throws(HarnessError) {
        let table = [columns.map(\.0)] + rows
        let widths = columns.indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        var text = ""
        for row in table {
            let cells = row.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return columns[column].1 == .left ? cell + space : space + cell
            }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            text += line + "\n"
        }
        try write(text)
    }

    /// Prints a JSON array.
    static func show(json values: some Encodable) throws(HarnessError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        do {
            try write(String(decoding: try encoder.encode(values), as: UTF8.self) + "\n")
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    private static func write(_ text: String) throws(HarnessError) {
        do {
            try Terminal.results(text)
        } catch {
            throw .infrastructure("\(error)")
        }
    }

    /// In the host's time zone.
    static func text(_ date: Date) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "yyyy-MM-dd HH:mm:ss"
        return formatter.string(from: date)
    }

    static func seconds(_ milliseconds: Int64) -> String {
        String(format: "%.3f s", Double(milliseconds) / 1000)
    }

    /// Runs a command's body; a failure is a line on stderr and the exit code of its kind.
    static func run(_ body: () throws(HarnessError) -> Void) -> Never {
        do throws(HarnessError) {
            try body()
        } catch {
            Terminal.end(Terminal.report(error))
        }
        Terminal.end(0)
    }
}
