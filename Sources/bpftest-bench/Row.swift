// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// One figure of the bench.
struct Row: Codable {
    var name: String
    var value: Double
    var unit: String
    /// What was promised, such as `<= 1.3`.
    var limit: String
    var holds: Bool
    var how: String

    static func atMost(_ name: String, _ value: Double, _ limit: Double, unit: String, how: String) -> Row {
        Row(name: name, value: rounded(value), unit: unit, limit: "<= \(limit)", holds: value <= limit, how: how)
    }

    static func atLeast(_ name: String, _ value: Double, _ limit: Double, unit: String, how: String) -> Row {
        Row(name: name, value: rounded(value), unit: unit, limit: ">= \(limit)", holds: value >= limit, how: how)
    }

    /// A figure that explains others and has no limit of its own.
    static func plain(_ name: String, _ value: Double, unit: String, how: String) -> Row {
        Row(name: name, value: rounded(value), unit: unit, limit: "", holds: true, how: how)
    }

    private static func rounded(_ value: Double) -> Double {
        (value * 1000).rounded() / 1000
    }
}

enum Table {
    static func text(_ rows: [Row]) -> String {
        let cells =
            [["figure", "value", "limit", "holds", "how"]]
            + rows.map {
                [$0.name, "\($0.value) \($0.unit)", $0.limit, $0.limit.isEmpty ? "" : $0.holds ? "yes" : "NO", $0.how]
            }
        let widths = (0..<5).map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
                .trimmingCharacters(in: .whitespaces)
        }.joined(separator: "\n") + "\n"
    }
}
