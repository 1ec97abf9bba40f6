// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Exploration

/// Rows of docs/semantics/mprog.md, section 9, from M-180 on.
@Suite("The model of programs on cgroups")
struct CgroupModelTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var id: String
        var calls: [(String, ErrorNumber)]
        /// Of cgroup B.
        var list: [UInt8]
        var revision: UInt64

        init(_ id: String, _ calls: [(String, ErrorNumber)], _ list: [UInt8], _ revision: UInt64) {
            (self.id, self.calls, self.list, self.revision) = (id, calls, list, revision)
        }
        var testDescription: String { id }
    }

    static let c1: (String, ErrorNumber) = ("attach B P1 flags MULTI", .none)
    static let c2: (String, ErrorNumber) = ("attach B P2 flags MULTI", .none)
    static let l1: (String, ErrorNumber) = ("link L1 B P1", .none)

    static let rows: [Row] = [
        Row("M-180", [("attach B P1 flags MULTI|BEFORE|AFTER revision 1", .none)], [1], 2),
        Row("M-181", [c1, ("attach B P2 flags MULTI|BEFORE", .none)], [2, 1], 3),
        Row("M-182", [c2, c1, ("attach B P3 flags MULTI|AFTER anchor P2", .none)], [2, 3, 1], 4),
        Row("M-183", [c1, c2], [1, 2], 3),
        Row("M-184", [c1, ("attach B P2 flags MULTI|BEFORE|AFTER", .invalid)], [1], 2),
        Row("M-185", [c1, ("attach B P1 flags MULTI|AFTER", .invalid)], [1], 2),
        Row("M-186", [c1, ("attach B P1 flags REPLACE|MULTI|AFTER replace P1", .invalid)], [1], 2),
        Row("M-187", [c1, ("attach B P1 flags REPLACE|MULTI replace P1", .none)], [1], 3),
        Row("M-188", [c1, ("attach B P2 flags REPLACE|MULTI replace P3", .noEntry)], [1], 2),
        Row("M-189", [c1, ("attach B P2 flags REPLACE replace P1", .invalid)], [1], 2),
        Row("M-190", [c1, ("attach B P2 flags MULTI|ID anchor P1", .invalid)], [1], 2),
        Row("M-191", [c1, ("attach B P2 flags MULTI|BEFORE|ID", .noEntry)], [1], 2),
        Row("M-192", [l1, ("attach B P2 flags MULTI|BEFORE anchor P1", .noEntry)], [1], 2),
        Row("M-193", [l1, ("attach B P2 flags MULTI|BEFORE|LINK anchor L1", .invalid)], [1], 2),
        Row("M-194", [c1, ("link L1 B P2 flags BEFORE anchor P1", .invalid)], [1], 2),
        Row("M-195", [l1, ("link L2 B P2 flags AFTER|LINK|ID anchor L1", .none)], [1, 2], 3),
        Row(
            "M-196",
            [c1, ("attach B P2 flags MULTI|PREORDER", .none), ("attach B P3 flags MULTI|AFTER anchor P2", .invalid)],
            [1, 2], 3),
        Row(
            "M-197",
            [
                c1, ("attach B P2 flags MULTI|PREORDER", .none),
                ("attach B P3 flags MULTI|AFTER|PREORDER anchor P2", .none),
            ], [1, 2, 3], 4),
        Row("M-200", [c1, ("attach B P2 flags OVERRIDE revision 1", .stale)], [1], 2),
        Row("M-201", [c1, ("detach B P1 revision 1", .stale), ("detach B P1 revision 2", .none)], [], 3),
        Row("M-202", [c1, ("detach B P1 flags BEFORE", .invalid), ("detach B P1 anchor P1", .invalid)], [1], 2),
        Row("M-205", [("attach B P1", .none), ("attach B P2", .none)], [2], 3),
        Row("M-206", [("attach B P1", .none), ("attach B P2 flags BEFORE anchor closed", .none)], [2], 3),
        Row("M-207", [("attach A P1", .none), ("attach B P2 flags MULTI", .perm)], [], 1),
        Row("M-208", [("attach A P1 flags OVERRIDE", .none), ("attach B P2", .none)], [2], 2),
        Row("M-209", [c1, ("attach B P2", .perm), ("attach B P2 flags OVERRIDE", .perm)], [1], 2),
        Row("M-210", [l1, ("detach B P1", .noEntry)], [1], 2),
        Row("M-211", [c1, ("detach B -", .invalid)], [1], 2),
        Row("M-212", [("attach B P1", .none), ("detach B closed", .none)], [], 3),
        Row("M-214", [l1, ("update L1 P1", .none)], [1], 3),
        Row("M-219", [("attach foreign P1", .badDescriptor), ("query absent", .badDescriptor)], [], 1),
        Row("M-221", [("link L1 B P1 flags MULTI", .invalid), ("link L1 B P1 flags REPLACE", .invalid)], [], 1),
        Row("M-226", [l1, c1, ("attach B P1 flags MULTI", .invalid)], [1, 1], 3),
    ]

    @Test(arguments: rows)
    func row(_ row: Row) throws {
        var model = CgroupModel()
        for (text, errno) in row.calls {
            let step = try CgroupStep(text: text)
            #expect(try CgroupStep(text: step.description) == step, "\(row.id)")
            #expect(model.apply(model.concrete(step)).errno == errno, "\(row.id): \(text)")
        }
        let group = try #require(model.view(after: .close(1), .far).groups.first { $0.name == .b })
        #expect(group.programs == row.list, "\(row.id)")
        #expect(group.revision == row.revision, "\(row.id)")
    }

    @Test("M-203, M-204: a cgroup takes 64, and then not even a replacement")
    func full() throws {
        var model = CgroupModel()
        for number in 1...64 { _ = model.apply(try CgroupStep(text: "attach A P\(number) flags MULTI")) }
        #expect(model.apply(try CgroupStep(text: "attach A P65 flags MULTI")).errno == .tooBig)
        #expect(model.apply(try CgroupStep(text: "attach A P65 flags MULTI|REPLACE replace P1")).errno == .tooBig)
    }

    @Test("M-198, M-225: what runs early, from the top down, then the rest from the bottom up")
    func order() throws {
        var model = CgroupModel()
        for text in [
            "attach A P1 flags MULTI", "attach A P2 flags MULTI|PREORDER", "attach B P4 flags MULTI",
            "attach B P5 flags MULTI|PREORDER",
        ] {
            #expect(model.apply(try CgroupStep(text: text)).errno == .none)
        }
        #expect(model.effective(1) == [2, 5, 4, 1])
        #expect(model.effective(2) == [2, 5, 4, 1])
        #expect(model.apply(try CgroupStep(text: "query B room 9 flags OVERRIDE")).values == [4, 0, 0, 2, 5, 4, 1])
    }

    @Test("every call that is made up can be written and read back; many succeed")
    func roundTrip() throws {
        var random = RandomSource(seed: 4)
        var source = CgroupSource()
        var model = CgroupModel()
        var succeeded = 0
        for _ in 0..<10_000 {
            let step = source.next(model, &random)
            #expect(try CgroupStep(text: step.description) == step)
            if model.apply(model.concrete(step)).errno == .none { succeeded += 1 }
        }
        #expect(succeeded > 3000)
    }
}

@Suite("The model of references in a map")
struct KptrModelTests {
    @Test("references are moved, multiplied and dropped, and counted")
    func counts() throws {
        var model = KptrModel()
        let calls: [(String, Answer)] = [
            ("create S1 T1", Answer(.none, values: [0])), ("create S1 T2", Answer(.none, values: [1])),
            ("acquire S1 S2", Answer(.none, values: [0])), ("acquire S1 S1", Answer(.none, values: [1])),
            ("move S1 S3", Answer(.none, values: [0])), ("move S1 S3", Answer(.noEntry)),
            ("move S3 S3", Answer(.none, values: [0])), ("drop S1", Answer(.noEntry)), ("wipe S4", .success),
        ]
        for (text, answer) in calls {
            let step = try KptrStep(text: text)
            #expect(step.description == text)
            #expect(model.apply(step) == answer, "\(text)")
        }
        #expect(model.view(after: .wipe(4), .near) == KptrView(slots: [0, 2, 2, 0], counts: [0, 2, 0]))
    }

    @Test("what is overwritten is released, or stays", arguments: [false, true])
    func overwritten(stays: Bool) {
        var model = KptrModel(keepsOverwritten: stays)
        #expect(model.apply(.create(1, task: 2)).errno == .none)
        #expect(model.apply(.wipe(1)) == .success)
        #expect(model.view(after: .wipe(1), .near).counts == [0, stays ? 1 : 0, 0])
    }
}

@Suite("All sequences up to a length")
struct ExhaustiveTests {
    enum Letters: Alphabet {
        static var steps: [CounterStep] { [.add(7), .add(9), .clear] }
        static func wayBack(_ model: CounterModel) -> [CounterStep] { model.total == 0 ? [] : [.clear] }
        static func state(_ model: CounterModel) -> String { "\(model.total)" }
    }

    @Test("every state that shorter sequences lead to is met once, with every step")
    func all() throws {
        let healthy = FaultyCounter()
        healthy.isFaulty = false
        let result = try Explorer(healthy).exhaust(Letters.self, length: 3, range: 0..<Int.max)
        // 0; 7, 9; 14, 16, 18.
        #expect(result.states == 6)
        #expect(result.pairs == 18)
        #expect(result.tried == 18)
        #expect(result.divergence == nil)
    }

    @Test("a fault that takes four steps is found with four, and not with three")
    func bounded() throws {
        #expect(try Explorer(FaultyCounter()).exhaust(Letters.self, length: 3, range: 0..<Int.max).divergence == nil)
        let found = try Explorer(FaultyCounter()).exhaust(Letters.self, length: 4, range: 0..<Int.max).divergence
        #expect(found?.steps == [.add(7), .add(7), .add(7), .add(9)])
    }

    @Test("parts make up the whole")
    func parts() throws {
        let healthy = FaultyCounter()
        healthy.isFaulty = false
        var tried = 0
        for start in stride(from: 0, to: 18, by: 5) {
            tried += try Explorer(healthy).exhaust(Letters.self, length: 3, range: start..<start + 5).tried
        }
        #expect(tried == 18)
    }
}
