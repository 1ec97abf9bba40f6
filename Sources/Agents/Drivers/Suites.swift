// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

/// The suites of docs/semantics/drivers.md: one for each device.
public let driverSuites: [Suite] = DeviceKind.allCases.map { kind in
    Suite(
        "drivers.\(kind.rawValue)", "packets on \(kind.rawValue): order, verdicts, traffic and offloads",
        cards: Wire.everyCard,
        prepare: {
            try Chain.load()
            try Links.bringUpCards()
        }
    ) {
        for direction in Direction.allCases {
            for row in Tables.rows where row.direction == nil || row.direction == direction {
                Case(
                    "\(row.id).\(direction)", "\(direction): \(row.title)", spec: [row.id], since: "6.6",
                    needs: kind.needs
                ) { try row.body(try Rig($0, kind, direction)) }
            }
        }
    }
}

/// One line of the table that every device and direction goes through.
struct Row: Sendable {
    let id: String
    let title: String
    /// nil: both.
    let direction: Direction?
    let body: @Sendable (Rig) throws -> Void

    init(
        _ id: String, _ title: String, _ direction: Direction? = nil, _ body: @escaping @Sendable (Rig) throws -> Void
    ) {
        self.direction = direction
        self.id = id
        self.title = title
        self.body = body
    }
}

enum Tables {
    static let rows = order + verdicts + traffic + checksums + tags + tagsByHand + segmentation + jumbo + xdp
}
