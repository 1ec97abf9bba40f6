// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import SystemPackage

/// BPF_PROG_QUERY field by field: arrays of any length, or none, and what the kernel wrote into them.
struct Query {
    /// What nothing in the kernel would write.
    static let untouched: UInt32 = 0xdead_beef

    var count: UInt32
    var queryFlags: UInt32 = 0
    var attachFlags: UInt32 = 0
    /// nil: no array is given.
    var programs: [UInt32]?
    var programFlags: [UInt32]?
    var links: [UInt32]?
    var linkFlags: [UInt32]?
    /// Given in place of an array, by its field's offset.
    var pointers: [Int: UInt64] = [:]
    private(set) var revision = UInt64(Self.untouched)

    /// - Parameters:
    ///   - count: how many entries the kernel is told that there is room for.
    ///   - arrays: which of the four are given, each with `room` entries that have not been touched.
    init(count: UInt32, arrays: [WritableKeyPath<Query, [UInt32]?>], room: Int = 8) {
        self.count = count
        for array in arrays { self[keyPath: array] = [UInt32](repeating: Self.untouched, count: room) }
    }

    /// The system call; nil on success. The fields hold afterwards what the kernel left in them.
    mutating func run(_ target: MprogTarget) -> Errno? {
        var attr = Attr(size: 64)
        attr.set(target.ifindex, at: 0)
        attr.set(target.type.rawValue, at: 4)
        attr.set(queryFlags, at: 8)
        attr.set(attachFlags, at: 12)
        attr.set(count, at: 24)
        attr.set(revision, at: 56)
        let arrays: [(WritableKeyPath<Query, [UInt32]?>, Int)] = [
            (\.programs, 16), (\.programFlags, 32), (\.links, 40), (\.linkFlags, 48),
        ]
        // The kernel writes into memory of its own for each, copied back afterwards.
        var memory = arrays.map { self[keyPath: $0.0] ?? [] }
        let answer = Self.call(
            &attr, &memory, arrays.map(\.1), given: arrays.map { self[keyPath: $0.0] != nil }, pointers)
        for (index, array) in arrays.enumerated() where self[keyPath: array.0] != nil {
            self[keyPath: array.0] = memory[index]
        }
        attachFlags = attr.get(at: 12)
        count = attr.get(at: 24)
        revision = attr.get(at: 56)
        return answer
    }

    private static func call(
        _ attr: inout Attr, _ memory: inout [[UInt32]], _ offsets: [Int], given: [Bool], _ pointers: [Int: UInt64]
    ) -> Errno? {
        var flat = memory.flatMap { $0 }
        let sizes = memory.map(\.count)
        let answer = unsafe flat.withUnsafeMutableBytes { raw -> Errno? in
            var at = 0
            for index in offsets.indices {
                if given[index] {
                    let address = UInt(bitPattern: raw.baseAddress) + UInt(4 * at)
                    attr.set(UInt64(address), at: offsets[index])
                }
                at += sizes[index]
            }
            for (offset, pointer) in pointers { attr.set(pointer, at: offset) }
            return attr.call(.progQuery).errno
        }
        var at = 0
        for index in sizes.indices {
            memory[index] = Array(flat[at..<(at + sizes[index])])
            at += sizes[index]
        }
        return answer
    }
}

extension ListTest {
    /// States what a query answers and writes; arrays that were not given are nil, entries that the kernel left alone
    /// `Query.untouched`.
    ///
    /// - Parameters:
    ///   - count, revision: as they are afterwards.
    ///   - slots: what each array that was given must begin with; the rest must be untouched.
    func expect(
        _ query: Query, _ errno: Errno? = nil, count: UInt32, revision: UInt64, slots: [Slot], _ what: String,
        file: String = #fileID, line: Int = #line
    ) throws {
        var query = query
        test.expect(query.run(target), errno, what, file: file, line: line)
        test.expect(query.count, equals: count, "\(what): count", file: file, line: line)
        test.expect(query.revision, equals: revision, "\(what): revision", file: file, line: line)
        test.expect(query.attachFlags, equals: 0, "\(what): attach_flags", file: file, line: line)
        let zeros = slots.map { _ in UInt32(0) }
        let links = try slots.map { try $0.link.map { try BPFInfo.linkID(try madeLink($0).raw).get() } ?? 0 }
        let arrays: [(String, [UInt32]?, [UInt32])] = [
            ("prog_ids", query.programs, slots.map { programs.id($0.number) }), ("link_ids", query.links, links),
            ("prog_attach_flags", query.programFlags, zeros), ("link_attach_flags", query.linkFlags, zeros),
        ]
        for (name, observed, begin) in arrays {
            guard let observed else { continue }
            let rest = [UInt32](repeating: Query.untouched, count: observed.count - begin.count)
            test.expect(observed, equals: begin + rest, "\(what): \(name)", file: file, line: line)
        }
    }
}
