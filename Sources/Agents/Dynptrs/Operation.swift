// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// What one run of a program of tests-bpf/include/dynptr_ops.h does with its dynptr.
struct Operation {
    enum Kind: UInt32 {
        case nothing, read, write, data, slice, sliceBare, sliceRdwr, sliceRdwrBare
    }

    var kind: Kind
    var offset: UInt64 = 0
    var length: UInt32 = 8
    var flags: UInt64 = 0
    /// Done to the clone and not to its parent.
    var onClone = false
    var makeFlags: UInt64 = 0
    var adjustment: Adjustment?
    /// What is written, 64 bytes at most.
    var input: [UInt8] = Self.given

    struct Adjustment {
        var ofClone = false
        var start: UInt64
        var end: UInt64
    }

    init(_ kind: Kind, at offset: UInt64 = 0, length: UInt32 = 8) {
        self.kind = kind
        self.offset = offset
        self.length = length
    }

    /// What programs write, unless a case says otherwise.
    static let given: [UInt8] = (0..<64).map { 0xa0 &+ $0 }
    /// What was never written to.
    static let untouched: UInt8 = 0xee

    func with(_ change: (inout Operation) -> Void) -> Operation {
        var copy = self
        change(&copy)
        return copy
    }

    /// The same on a dynptr whose view was changed before.
    func adjusting(_ start: UInt64, _ end: UInt64, ofClone: Bool = false) -> Operation {
        with { $0.adjustment = Adjustment(ofClone: ofClone, start: start, end: end) }
    }
}

/// What came of it.
struct Answer {
    /// Of making it, of cloning it, of changing the view, and of the operation itself; nil for 0.
    var made: Errno?
    var cloned: Errno?
    var adjusted: Errno?
    var result: Errno?
    /// Whether data or a slice was given.
    var found: Bool
    var sizes: (parent: UInt64, clone: UInt64)
    var isNull: (parent: Bool, clone: Bool)
    var isReadOnly: (parent: Bool, clone: Bool)
    var narrowSize: UInt32
    /// What was read, or seen through a slice.
    var out: [UInt8]
    /// What a slice may have been copied to.
    var buffer: [UInt8]

    /// The first bytes read.
    func read(_ count: Int) -> [UInt8] { Array(out.prefix(count)) }
}

/// 0 is no error; what is neither 0 nor negative is no answer of these functions.
func errno(_ value: Int64) -> Errno? {
    value == 0 ? nil : Errno(rawValue: CInt(truncatingIfNeeded: -value))
}

extension BPFObject {
    /// Says what the next run does, and wipes what the last one left.
    func instruct(_ operation: Operation) throws {
        try set("make_flags", to: operation.makeFlags)
        try set("adjusting", to: UInt32(operation.adjustment.map { $0.ofClone ? 2 : 1 } ?? 0))
        try set("start", to: operation.adjustment?.start ?? 0)
        try set("end", to: operation.adjustment?.end ?? 0)
        try set("on_clone", to: UInt32(operation.onClone ? 1 : 0))
        try set("operation", to: operation.kind.rawValue)
        try set("offset", to: operation.offset)
        try set("length", to: operation.length)
        try set("flags", to: operation.flags)
        try setBytes(of: "in", to: operation.input)
        try wipe()
    }

    /// Makes sure that what is read after a run was written in it.
    func wipe() throws {
        for name in ["made", "cloned", "adjusted", "answer"] { try set(name, to: Int64(-9999)) }
        try set("adjusted", to: Int64(0))
        try set("found", to: UInt32(9999))
        try set("runs", to: UInt32(0))
        try setBytes(of: "out", to: [UInt8](repeating: Operation.untouched, count: 64))
        try setBytes(of: "buffer", to: [UInt8](repeating: Operation.untouched, count: 8))
    }

    /// What the last run left.
    func gather() throws -> Answer {
        Answer(
            made: errno(try value(of: "made")), cloned: errno(try value(of: "cloned")),
            adjusted: errno(try value(of: "adjusted")), result: errno(try value(of: "answer")),
            found: try value(of: "found", as: UInt32.self) == 1,
            sizes: (try value(of: "size_parent"), try value(of: "size_clone")),
            isNull: (
                try value(of: "null_parent", as: UInt32.self) != 0, try value(of: "null_clone", as: UInt32.self) != 0
            ),
            isReadOnly: (
                try value(of: "rdonly_parent", as: UInt32.self) != 0,
                try value(of: "rdonly_clone", as: UInt32.self) != 0
            ),
            narrowSize: try value(of: "narrow_size"), out: try bytes(of: "out"), buffer: try bytes(of: "buffer"))
    }

    /// Runs a program once.
    ///
    /// - Returns: what the program saw, and the packet afterwards.
    func perform(
        _ test: Test, _ operation: Operation, _ program: String, _ request: TestRun = TestRun(data: packet(64))
    ) throws -> (answer: Answer, data: [UInt8]) {
        try instruct(operation)
        let outcome = try run(program, request)
        try test.require(success: outcome.errno, "test run of \(program)")
        try test.require(try value(of: "runs", as: UInt32.self) == 1, "\(program) came to its end")
        return (try gather(), try outcome.get().data)
    }
}
