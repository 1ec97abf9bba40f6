// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

private let object = "iters/num.bpf.o"
private let most: Int64 = 8 << 20

/// What a program of num.bpf.c saw.
private struct Seen: Equatable {
    var made: Errno?
    var count: UInt32
    var sum: Int64
    /// The first 16.
    var numbers: [Int32]
}

extension [UInt8] {
    /// Numbers side by side in memory.
    func numbers<Value: FixedWidthInteger>(_ count: Int) -> [Value] {
        let size = Value.bitWidth / 8
        return (0..<count).map { index in
            (0..<size).reduce(0) { $0 | Value(truncatingIfNeeded: self[index * size + $1]) << (8 * $1) }
        }
    }
}

private func loop(
    _ test: Test, _ object: BPFObject, _ program: String, _ from: Int32 = 0, _ to: Int32 = 0, stopAfter: UInt32 = 0
) throws -> Seen {
    try object.set("from", to: from)
    try object.set("to", to: to)
    try object.set("stop_after", to: stopAfter)
    try object.set("made", to: Int32(-9999))
    try object.set("count", to: UInt32(0))
    try object.set("sum", to: Int64(0))
    test.expect(try object.run(program).get(), equals: 1, "the program comes to its end")
    let count: UInt32 = try object.value(of: "count")
    return Seen(
        made: errno(Int64(try object.value(of: "made", as: Int32.self))), count: count,
        sum: try object.value(of: "sum"),
        numbers: try object.bytes(of: "kept").numbers(min(Int(count), 16)))
}

/// I-001 to I-012 and I-028: loops over numbers.
public let iterNumSuite = Suite("iter.num", "bpf_iter_num: loops over numbers", objects: [object]) {
    Case("I-001", "a loop goes over all numbers from the first up to before the last", needs: [Features.iterNum]) {
        test in
        let object = try BPFObject(object, programs: ["range"])
        for (from, to, count, sum, numbers) in [
            (0, 10, 10, 45, Array(0..<10)), (0, 1, 1, 0, [0]), (3, 5, 2, 7, [3, 4]), (-2, 3, 5, 0, [-2, -1, 0, 1, 2]),
            (-10, -7, 3, -27, [-10, -9, -8]), (0, 1000, 1000, 499_500, Array(0..<16)),
        ] as [(Int32, Int32, UInt32, Int64, [Int32])] {
            test.expect(
                try loop(test, object, "range", from, to),
                equals: Seen(made: nil, count: count, sum: sum, numbers: numbers),
                "numbers from \(from) to \(to)")
        }
    }
    Case("I-002", "a loop that ends before it starts is EINVAL and has no number", needs: [Features.iterNum]) { test in
        let object = try BPFObject(object, programs: ["range", "beyond", "unused"])
        for (from, to) in [(5, 3), (1, 0), (0, -1), (.max, .min), (.max, .max - 1), (.min + 1, .min)]
            as [(Int32, Int32)]
        {
            for program in ["range", "beyond", "unused"] {
                test.expect(
                    try loop(test, object, program, from, to),
                    equals: Seen(made: .EINVAL, count: 0, sum: 0, numbers: []), "\(program): \(from) to \(to)")
            }
        }
    }
    Case("I-003", "a loop has 8388608 numbers at most; more are E2BIG, and none comes", needs: [Features.iterNum]) {
        test in
        let object = try BPFObject(object, programs: ["range"])
        let sum = most * (most - 1) / 2
        let full = try loop(test, object, "range", 0, Int32(most))
        test.expect(full.made, nil, "8388608 numbers")
        test.expect(full.count, equals: UInt32(most), "how many came")
        test.expect(full.sum, equals: sum, "their sum")
        for (from, to) in [(0, Int32(most) + 1), (-1, Int32(most)), (.min, .max), (0, .max), (.min, 0)]
            as [(Int32, Int32)]
        {
            test.expect(
                try loop(test, object, "range", from, to), equals: Seen(made: .E2BIG, count: 0, sum: 0, numbers: []),
                "\(from) to \(to)")
        }
        for (from, to) in [(-4, Int32(most) - 4), (.max - Int32(most), .max), (.min, .min + Int32(most))]
            as [(Int32, Int32)]
        {
            let seen = try loop(test, object, "range", from, to, stopAfter: 2)
            test.expect(seen.made, nil, "8388608 numbers from \(from)")
            test.expect(seen.numbers, equals: [from, from + 1], "the first two")
        }
    }
    Case(
        "I-004", "loops reach to both ends of what a number can be; from a number to itself there is none",
        needs: [Features.iterNum]
    ) { test in
        let object = try BPFObject(object, programs: ["range", "beyond"])
        for program in ["range", "beyond"] {
            for (from, to) in [(.min, .min + 2), (.max - 3, .max), (-1, 1), (.max - 1, .max)] as [(Int32, Int32)] {
                let numbers = Array(from..<to)
                test.expect(
                    try loop(test, object, program, from, to),
                    equals: Seen(
                        made: nil, count: UInt32(numbers.count), sum: numbers.reduce(0) { $0 + Int64($1) },
                        numbers: numbers), "\(program): \(from) to \(to)")
            }
            for same: Int32 in [0, 7, -7, .min, .max] {
                test.expect(
                    try loop(test, object, program, same, same),
                    equals: Seen(made: nil, count: 0, sum: 0, numbers: []), "\(program): \(same) to \(same)")
            }
        }
    }
    Case(
        "I-004.end", "after its end a loop gives no number again, however often it is asked", spec: ["I-004"],
        needs: [Features.iterNum]
    ) { test in
        let object = try BPFObject(object, programs: ["beyond"])
        for (from, to) in [(0, 3), (0, 0), (5, 3), (.max - 1, .max), (.min, .min + 1)] as [(Int32, Int32)] {
            _ = try loop(test, object, "beyond", from, to)
            test.expect(try object.value(of: "after_end", as: UInt64.self), equals: 0, "NULL after \(from) to \(to)")
            test.expect(try object.value(of: "and_then", as: UInt64.self), equals: 0, "and once more")
        }
    }
    Case("I-012", "loops in loops are left, gone on with and ended each on its own", needs: [Features.iterNum]) {
        test in
        let object = try BPFObject(object, programs: ["nested", "in_turns", "again", "range", "in_subprogram"])
        let seen = try loop(test, object, "nested")
        var numbers: [Int32] = []
        for i: Int32 in [0, 2, 3, 4] {
            for j: Int32 in 0..<5 {
                for k: Int32 in 0..<3 { numbers.append(100 * i + 10 * j + k) }
            }
        }
        test.expect(try object.value(of: "outer", as: UInt32.self), equals: 4, "rounds of the outer loop")
        test.expect(try object.value(of: "middle", as: UInt32.self), equals: 20, "rounds of the middle loop")
        test.expect(try object.value(of: "inner", as: UInt32.self), equals: 60, "rounds of the inner loop")
        test.expect(seen.sum, equals: numbers.reduce(0) { $0 + Int64($1) }, "sum of what they made")
        test.expect(seen.numbers, equals: Array(numbers.prefix(16)), "the first of what they made")
        test.expect(
            try loop(test, object, "in_turns").numbers, equals: [0, 10, 1, 11, 2, 12, 13], "two loops in turns")
        test.expect(
            try loop(test, object, "again", 5, 8).numbers, equals: [100, 5, 6, 7],
            "a loop in the place of one that was left")
        test.expect(
            try loop(test, object, "range", 4, 100, stopAfter: 3),
            equals: Seen(made: nil, count: 3, sum: 15, numbers: [4, 5, 6]), "a loop left after three")
        test.expect(
            try loop(test, object, "in_subprogram").numbers, equals: [0, 0, 1, 3, 6],
            "sums of loops in a subprogram, called from a loop")
    }
    Case("I-028", "a loop over numbers runs under a lock, from 6.14 on", needs: [Features.iterNum]) { test in
        let release = KernelRelease.running
        if release <= .v6_12 {
            test.expect(
                object, program: "under_lock",
                refused: Rejection(.EINVAL, "function calls are not allowed while holding a lock"))
            return
        }
        if release < KernelRelease(6, 14) { throw test.skip("whether 6.13 has it was not read") }
        let object = try BPFObject(object, programs: ["under_lock"])
        for round: UInt32 in 1...3 {
            test.expect(
                try object.run("under_lock", data: packet(64)).errno, nil, "test run, and the lock is free again")
            test.expect(try object.value(of: "counted", as: UInt32.self), equals: 10 * round, "rounds of the loop")
        }
    }
}
