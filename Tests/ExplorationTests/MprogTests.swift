// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Exploration

@Suite("Calls on lists of programs, as text")
struct MprogStepTests {
    @Test("every call that is made up can be written and read back", arguments: [1, 2, 3] as [UInt64])
    func roundTrip(_ seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var source = MprogSource<NetkitFlavour>()
        var model = NetkitModel()
        for _ in 0..<5000 {
            let step = source.next(model, &random)
            #expect(try MprogStep(text: step.description) == step)
            _ = model.apply(model.concrete(step))
        }
    }

    @Test("the calls that are made up succeed often, fail in many ways, and fill lists")
    func variety() {
        var random = RandomSource(seed: 1)
        var answers: [ErrorNumber: Int] = [:]
        var longest = 0
        for _ in 0..<20 {
            var source = MprogSource<TcxFlavour>()
            var model = TcxModel()
            for _ in 0..<2000 {
                let step = source.next(model, &random)
                answers[model.apply(model.concrete(step)).errno, default: 0] += 1
                longest = max(longest, model.devices.flatMap(\.lists).map(\.slots.count).max() ?? 0)
            }
        }
        #expect(longest == 63)
        #expect((answers[.none] ?? 0) > 16_000, "\(answers)")
        let wanted: [ErrorNumber] = [
            .noEntry, .badDescriptor, .busy, .exists, .noDevice, .invalid, .noSpace, .range, .noLink, .perm, .stale,
        ]
        for errno in wanted { #expect((answers[errno] ?? 0) > 20, "\(errno): \(answers)") }
    }
}

/// Rows of docs/semantics/mprog.md, as scripts: calls, what each answers, and the list in the end.
@Suite("The model of lists on devices")
struct MprogModelTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var id: String
        var calls: [(String, ErrorNumber)]
        var list: String
        init(_ id: String, _ calls: [(String, ErrorNumber)], _ list: String) {
            (self.id, self.calls, self.list) = (id, calls, list)
        }
        var testDescription: String { id }
    }

    static let p1: (String, ErrorNumber) = ("attach @ P1", .none)
    static let p2: (String, ErrorNumber) = ("attach @ P2", .none)
    static let p3: (String, ErrorNumber) = ("attach @ P3", .none)
    static let l1: (String, ErrorNumber) = ("link L1 @ P1", .none)

    static let rows: [Row] = [
        Row("M-001", [], "r1 []"),
        Row("M-003", [p1, p2], "r3 [P1 P2]"),
        Row("M-006", [p1, p2, ("attach @ P3 flags BEFORE", .none)], "r4 [P3 P1 P2]"),
        Row("M-008", [p1, p2, ("attach @ P3 flags BEFORE anchor P2", .none)], "r4 [P1 P3 P2]"),
        Row("M-009", [p1, p2, ("attach @ P3 flags BEFORE|ID anchor P1", .none)], "r4 [P3 P1 P2]"),
        Row("M-010", [p1, p2, ("attach @ P3 flags AFTER anchor P1", .none)], "r4 [P1 P3 P2]"),
        Row("M-014", [("attach @ P1 flags BEFORE|AFTER", .range)], "r1 []"),
        Row("M-016", [p1, ("attach @ P2 flags BEFORE|AFTER anchor P1", .range)], "r2 [P1]"),
        Row("M-017", [("attach @ P1 flags BEFORE|AFTER anchor P2", .noEntry)], "r1 []"),
        Row("M-018", [("attach @ P1 flags BEFORE|ID", .noEntry)], "r1 []"),
        Row("M-020", [("attach @ P1 flags ID anchor P2", .invalid)], "r1 []"),
        Row("M-022", [("attach @ P1 anchor P2", .invalid)], "r1 []"),
        Row("M-024", [p1, ("attach @ P1 flags BEFORE anchor P1", .exists)], "r2 [P1]"),
        Row("M-026", [p1, ("attach @ P2 flags BEFORE anchor closed", .badDescriptor)], "r2 [P1]"),
        Row("M-027", [p1, ("attach @ P2 flags BEFORE anchor map", .invalid)], "r2 [P1]"),
        Row("M-028", [p1, ("attach @ P2 flags BEFORE anchor other", .invalid)], "r2 [P1]"),
        Row("M-029", [p1, ("attach @ P2 flags BEFORE|LINK anchor P1", .invalid)], "r2 [P1]"),
        Row("M-030", [p1, ("attach @ P2 flags BEFORE|LINK", .invalid)], "r2 [P1]"),
        Row("M-031", [p1, ("attach @ P2 flags BEFORE|LINK|ID", .noEntry)], "r2 [P1]"),
        Row("M-034", [l1, ("attach @ P2 flags BEFORE|LINK anchor L1", .none)], "r3 [P2 L1:P1]"),
        Row("M-035", [l1, ("attach @ P2 flags AFTER anchor P1", .none)], "r3 [L1:P1 P2]"),
        Row("M-036", [p1, ("link L2 @ P2 flags BEFORE anchor P1", .none)], "r3 [L2:P2 P1]"),
        Row("M-038", [l1, ("link L2 @ P2 flags BEFORE|LINK|ID anchor L1", .none)], "r3 [L2:P2 L1:P1]"),
        Row("M-039", [l1, ("link L2 @ P1", .exists)], "r2 [L1:P1]"),
        Row("M-044", [p1, ("attach @ P2 revision 1", .stale), ("attach @ P2 revision 3", .stale)], "r2 [P1]"),
        Row("M-046", [p1, ("attach @ P1 revision right-1", .stale)], "r2 [P1]"),
        Row("M-049", [p1, ("attach @ P2 revision right+4294967296", .stale)], "r2 [P1]"),
        Row("M-050", [p1, p2, ("attach @ P3 flags REPLACE replace P1", .none)], "r4 [P3 P2]"),
        Row("M-051", [p1, p2, ("attach @ P3 flags REPLACE|AFTER anchor P1 replace P2", .none)], "r4 [P1 P3]"),
        Row("M-053", [p1, p2, ("attach @ P3 flags REPLACE|AFTER anchor P2 replace P1", .range)], "r3 [P1 P2]"),
        Row("M-054", [p1, ("attach @ P1 flags REPLACE replace P1", .exists)], "r2 [P1]"),
        Row("M-055", [p1, ("attach @ P3 flags REPLACE replace P2", .noEntry)], "r2 [P1]"),
        Row("M-056", [p1, ("attach @ P2 flags REPLACE replace closed", .badDescriptor)], "r2 [P1]"),
        Row("M-057", [p1, ("attach @ P2 flags REPLACE", .invalid)], "r2 [P1]"),
        Row("M-058", [l1, ("attach @ P2 flags REPLACE replace P1", .busy)], "r2 [L1:P1]"),
        Row("M-060", [p1, ("attach @ P2 flags REPLACE|BEFORE replace P1", .range)], "r2 [P1]"),
        Row("M-061", [p1, ("link L1 @ P2 flags REPLACE anchor P1", .noEntry)], "r2 [P1]"),
        Row("M-062", [p1, ("attach @ P2 flags REPLACE anchor P1 replace P1", .none)], "r3 [P2]"),
        Row("M-070", [("detach @ P1", .noEntry), ("detach @ -", .noEntry)], "r1 []"),
        Row("M-072", [("detach @ P1 revision 7", .noEntry)], "r1 []"),
        Row("M-076", [p1, p2, p3, ("detach @ -", .none)], "r5 [P1 P2]"),
        Row("M-077", [p1, p2, p3, ("detach @ - flags BEFORE", .none)], "r5 [P2 P3]"),
        Row("M-079", [p1, p2, p3, ("detach @ - flags BEFORE anchor P3", .none)], "r5 [P1 P3]"),
        Row("M-081", [p1, p2, ("detach @ - flags BEFORE anchor P1", .none)], "r4 [P2]"),
        Row("M-082", [p1, p2, ("detach @ - flags AFTER anchor P2", .none)], "r4 [P1]"),
        Row("M-084", [p1, p2, p3, ("detach @ P1 flags BEFORE anchor P3", .range)], "r4 [P1 P2 P3]"),
        Row("M-086", [p1, p2, ("detach @ P1 flags BEFORE", .range)], "r3 [P1 P2]"),
        Row("M-088", [p1, p2, ("detach @ P1 flags AFTER anchor P1", .range)], "r3 [P1 P2]"),
        Row("M-089", [p1, ("detach @ - flags BEFORE|AFTER", .range)], "r2 [P1]"),
        Row("M-090", [p1, ("detach @ P1 flags REPLACE", .invalid)], "r2 [P1]"),
        Row("M-091", [p1, ("detach @ - flags ID anchor P1", .invalid)], "r2 [P1]"),
        Row("M-093", [l1, ("detach @ P1", .busy), ("detach @ -", .busy)], "r2 [L1:P1]"),
        Row("M-096", [p1, ("detach @ P1 flags 0x80", .invalid)], "r2 [P1]"),
        Row("M-116", [("attach @ P1 flags PREORDER", .invalid), ("attach @ P1 flags 0x80000000", .invalid)], "r1 []"),
        Row("M-117", [p1, ("link L1 @ P2 flags PREORDER", .invalid)], "r2 [P1]"),
        Row("M-118", [p1, ("link L1 @ P2 flags BEFORE|0x80", .none)], "r3 [L1:P2 P1]"),
        Row("M-123", [("attach absent.# P1", .noDevice)], "r1 []"),
        Row("M-136", [l1, ("update L1 P2", .none)], "r3 [L1:P2]"),
        Row("M-137", [l1, ("update L1 P1", .none)], "r2 [L1:P1]"),
        Row("M-138", [l1, p2, ("update L1 P2", .exists)], "r3 [L1:P1 P2]"),
        Row("M-139", [l1, ("update L1 P3 flags REPLACE old P2", .perm)], "r2 [L1:P1]"),
        Row("M-140", [l1, ("update L1 P2 old P1", .invalid)], "r2 [L1:P1]"),
        Row("M-141", [l1, ("update L1 other", .invalid)], "r2 [L1:P1]"),
        Row("M-142", [l1, ("update L1 P2 flags BEFORE", .invalid)], "r2 [L1:P1]"),
        Row("M-143", [p3, l1, p2, ("update L1 P4", .none)], "r5 [P3 L1:P4 P2]"),
        Row("M-150", [l1, ("remake A", .none), ("update L1 P2", .noLink), ("unlink L1", .none)], "r1 []"),
    ]

    /// The rows that hold for both flavours.
    @Test(arguments: rows)
    func row(_ row: Row) throws {
        try check(row, TcxModel(), "ingress")
        try check(row, TcxModel(), "egress")
        try check(row, NetkitModel(), "primary")
        try check(row, NetkitModel(), "peer")
    }

    @Test(
        "rows that are tcx's own",
        arguments: [
            Row("M-098", [p1, ("detach @ P1", .none)], "r1 []"),
            Row("M-099", [p1, ("clsact A on", .none), ("detach @ P1", .none)], "r3 []"),
            Row(
                "M-100", [p1, ("clsact A on", .none), ("detach @ P1", .none), ("clsact A off", .none)], "r1 []"),
            Row("M-073", [("clsact A on", .none), ("detach @ P1 revision 7", .stale)], "r1 []"),
            Row("M-144", [l1, ("unlink L1", .none), ("unlink L1", .none), ("update L1 P2", .noLink)], "r1 []"),
        ])
    func tcx(_ row: Row) throws {
        try check(row, TcxModel(), "egress")
    }

    @Test(
        "rows that are netkit's own",
        arguments: [
            Row("M-102", [p1, ("detach @ P1", .none), ("attach @ P1 revision 1", .stale)], "r1 []"),
            Row("M-103", [p1, ("detach @ P1", .none), ("attach @ P1 revision 3", .none)], "r4 [P1]"),
            Row("M-104", [("attach foreign.# P1", .noSuchDevice)], "r1 []"),
            Row("M-105", [("attach peer.# P1", .access), ("query peer.#", .access)], "r1 []"),
        ])
    func netkit(_ row: Row) throws {
        try check(row, NetkitModel(), "peer")
    }

    private func check<Flavour: MprogFlavour>(_ row: Row, _ fresh: MprogModel<Flavour>, _ hook: String) throws {
        var model = fresh
        var last = MprogStep.remake(.a)
        for (text, errno) in row.calls {
            let text = text.replacing("@", with: "A.\(hook)").replacing("#", with: hook)
            last = try MprogStep(text: text)
            #expect(model.apply(model.concrete(last)).errno == errno, "\(row.id): \(text)")
        }
        let list = try #require(model.view(after: last, .far).lists.first { $0.place.hook.rawValue == hook })
        #expect(MprogView.text(list) == row.list, "\(row.id) on \(hook)")
    }

    @Test("M-065, M-174, M-175: a list of 63 takes no more, and loses none by its end")
    func full() throws {
        var model = TcxModel()
        for number in 1...63 { _ = model.apply(try MprogStep(text: "attach B.egress P\(number)")) }
        for text in [
            "attach B.egress P64", "attach B.egress P64 flags BEFORE", "attach B.egress P64 flags AFTER anchor P5",
            "link L1 B.egress P64", "detach B.egress -", "detach B.egress - flags AFTER anchor P63",
        ] {
            #expect(model.apply(try MprogStep(text: text)).errno == .range, "\(text)")
        }
        #expect(model.apply(try MprogStep(text: "attach B.egress P64 flags REPLACE replace P6")).errno == .none)
        #expect(model.apply(try MprogStep(text: "detach B.egress - flags BEFORE")).errno == .none)
        #expect(model.apply(try MprogStep(text: "detach B.egress P63")).errno == .none)
        #expect(model.list(MprogPlace(.b, .egress))?.slots.count == 61)
    }

    @Test("M-126 to M-128: queries with and without room")
    func queries() throws {
        var model = TcxModel()
        for number in 1...4 { _ = model.apply(try MprogStep(text: "attach A.egress P\(number)")) }
        #expect(model.apply(try MprogStep(text: "query A.egress room 0")) == Answer(.none, values: [4, 5]))
        #expect(
            model.apply(try MprogStep(text: "query A.egress room 2")) == Answer(.noSpace, values: [4, 5, 1, 0, 2, 0]))
        #expect(model.apply(try MprogStep(text: "query A.egress flags OVERRIDE")).errno == .invalid)
        #expect(model.apply(try MprogStep(text: "query absent.egress flags OVERRIDE")).errno == .noDevice)
    }
}
