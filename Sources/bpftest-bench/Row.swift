// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// One figure of the bench.
struct Row: Codable {
    var name: String
    /// nil: could not be measured here; `how` says why.
    var value: Double?
    var unit: String
    /// What was promised, such as `<= 1.3`.
    var limit: String
    /// nil: nothing was measured.
    var holds: Bool?
    var how: String

    static func atMost(_ name: String, _ value: Double, _ limit: Double, unit: String, how: String) -> Row {
        Row(
            name: name, value: rounded(value), unit: unit, limit: "<= \(Table.text(rounded(limit)))",
            holds: value <= limit,
            how: how)
    }

    static func atLeast(_ name: String, _ value: Double, _ limit: Double, unit: String, how: String) -> Row {
        Row(
            name: name, value: rounded(value), unit: unit, limit: ">= \(Table.text(rounded(limit)))",
            holds: value >= limit,
            how: how)
    }

    /// A count of what must not happen.
    static func none(_ name: String, _ count: Int, how: String) -> Row {
        Row(name: name, value: Double(count), unit: "", limit: "0", holds: count == 0, how: how)
    }

    /// A figure that explains others and has no limit of its own.
    static func plain(_ name: String, _ value: Double, unit: String, how: String) -> Row {
        Row(name: name, value: rounded(value), unit: unit, limit: "", holds: true, how: how)
    }

    /// A figure that cannot be had on this machine.
    static func absent(_ name: String, limit: String, reason: String) -> Row {
        Row(name: name, value: nil, unit: "", limit: limit, holds: nil, how: reason)
    }

    static func rounded(_ value: Double) -> Double {
        (value * 1000).rounded() / 1000
    }
}

enum Table {
    static func text(_ rows: [Row]) -> String {
        let cells = [["figure", "value", "limit", "holds", "how"]] + rows.map(cells)
        let widths = (0..<5).map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
                .trimmingCharacters(in: .whitespaces)
        }.joined(separator: "\n") + "\n"
    }

    /// Without a fraction that is none.
    static func text(_ value: Double) -> String {
        value == value.rounded() ? "\(Int(value))" : "\(value)"
    }

    private static func cells(_ row: Row) -> [String] {
        let value = row.value.map { "\(text($0)) \(row.unit)" } ?? "could not"
        let holds = row.limit.isEmpty ? "" : row.holds.map { $0 ? "yes" : "NO" } ?? "?"
        return [row.name, value, row.limit, holds, row.how]
    }
}
