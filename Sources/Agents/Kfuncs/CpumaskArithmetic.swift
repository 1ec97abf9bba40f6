// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// What tests-bpf/kfuncs/cpumask.bpf.c computes, beside the same with numbers.
struct CpumaskArithmetic {
    private let test: Test
    private let object: BPFObject
    /// Processors that there can be, as far as masks are made of them.
    private let cpus: Int
    /// A mask of them all.
    private let all: UInt64
    /// What bpf_cpumask_setall sets: whole words.
    private let everything: UInt64
    /// The bits of a word that count: those of processors, or all where the kernel's masks have a fixed size.
    private let counted: UInt64
    /// Whether a mask of all processors is full: it is not where the kernel's masks have a fixed size.
    private let allIsFull: Bool

    init(_ test: Test) throws {
        self.test = test
        object = try BPFObject("kfuncs/cpumask.bpf.o", programs: ["calculate", "change"])
        let possible = try Processors.possible
        test.expect(possible >= 2, "the machine has two processors or more")
        cpus = min(possible, 3)
        all = (1 << UInt64(cpus)) - 1
        try object.set("operation", to: Int32(5))
        test.expect(try object.run("change").get(), equals: 1, "bpf_cpumask_setall")
        everything = try object.value(of: "bits")
        test.expect(everything & all, equals: all, "bpf_cpumask_setall sets the bits of all processors")
        // include/linux/cpumask.h, small_cpumask_bits and large_cpumask_bits: fixed up to 64 and 256 (6.3).
        let text = String(decoding: try readFile("/sys/devices/system/cpu/kernel_max"), as: UTF8.self)
        guard let most = Int(text.filter(\.isNumber)).map({ $0 + 1 }) else { throw Errno.badMessage }
        let width = min(most <= 64 ? most : possible, 64)
        counted = width == 64 ? .max : (1 << UInt64(width)) - 1
        allIsFull = possible == cpus && (most > 256 || most == possible)
    }

    private func number(_ variable: String) throws -> UInt32 { try object.value(of: variable) }
    private func mask(_ variable: String) throws -> UInt64 { try object.value(of: variable) }

    /// The lowest processor of a mask; an empty one has none, which is any number above those that there are.
    private func expectFirst(_ variable: String, of bits: UInt64, _ what: String) throws {
        let found = try number(variable)
        if bits & all == 0 {
            test.expect(found >= UInt32(cpus), "\(what) is no processor: \(found)")
        } else {
            test.expect(found, equals: UInt32((bits & all).trailingZeroBitCount), what)
        }
    }

    /// What is asked of one mask.
    private func expectDescription(_ bits: UInt64, _ name: String) throws {
        test.expect(try mask("bits"), equals: bits, "bits of \(name)")
        test.expect(try mask("tested"), equals: bits & all, "\(name) by bpf_cpumask_test_cpu")
        try expectFirst("first", of: bits, "bpf_cpumask_first of \(name)")
        try expectFirst("first_zero", of: ~bits, "bpf_cpumask_first_zero of \(name)")
        test.expect(
            try number("weight"), equals: UInt32((bits & counted).nonzeroBitCount), "bpf_cpumask_weight of \(name)")
        test.expect(try number("empty"), equals: bits == 0 ? 1 : 0, "bpf_cpumask_empty of \(name)")
        let isFull = bits == everything || allIsFull && bits == all
        test.expect(try number("full"), equals: isFull ? 1 : 0, "bpf_cpumask_full of \(name)")
        test.expect(
            try mask("distributed") & all, equals: bits & all,
            "what bpf_cpumask_any_distribute of \(name) gives in turn")
    }

    func judgeAll() throws {
        for a in 0...all {
            try object.set("in_a", to: a)
            for b in 0...all {
                try object.set("in_b", to: b)
                test.expect(try object.run("calculate").get(), equals: 1, "1: three masks are made")
                let name = "\(String(a, radix: 2)) and \(String(b, radix: 2))"
                try expectDescription(a, String(a, radix: 2))
                test.expect(try mask("and_bits"), equals: a & b, "bpf_cpumask_and of \(name)")
                test.expect(
                    try number("and_any"), equals: a & b == 0 ? 0 : 1, "bpf_cpumask_and returns whether any is left")
                test.expect(try mask("or_bits"), equals: a | b, "bpf_cpumask_or of \(name)")
                test.expect(try mask("xor_bits"), equals: a ^ b, "bpf_cpumask_xor of \(name)")
                test.expect(try mask("copy_bits"), equals: a, "bpf_cpumask_copy of \(a)")
                test.expect(try number("equal"), equals: a == b ? 1 : 0, "bpf_cpumask_equal of \(name)")
                test.expect(try number("intersects"), equals: a & b == 0 ? 0 : 1, "bpf_cpumask_intersects of \(name)")
                test.expect(try number("subset"), equals: a & ~b == 0 ? 1 : 0, "bpf_cpumask_subset of \(name)")
                try expectFirst("first_and", of: a & b, "bpf_cpumask_first_and of \(name)")
                test.expect(
                    try mask("distributed_and") & all, equals: a & b,
                    "what bpf_cpumask_any_and_distribute of \(name) gives in turn")
            }
        }
    }

    /// The operations of the program `change`: what they make of a mask, and what they return; -1: nothing.
    private func changed(
        _ operation: Int32, _ bits: UInt64, _ cpu: UInt64
    ) -> (bits: UInt64, answer: Int32, name: String) {
        let bit: UInt64 = cpu < UInt64(cpus) ? 1 << cpu : 0
        let was: Int32 = bits & bit == 0 ? 0 : 1
        switch operation {
        case 0: return (bits | bit, -1, "bpf_cpumask_set_cpu")
        case 1: return (bits & ~bit, -1, "bpf_cpumask_clear_cpu")
        case 2: return (bits | bit, was, "bpf_cpumask_test_and_set_cpu")
        case 3: return (bits & ~bit, was, "bpf_cpumask_test_and_clear_cpu")
        case 4: return (bits, was, "bpf_cpumask_test_cpu")
        case 5: return (everything, -1, "bpf_cpumask_setall")
        default: return (0, -1, "bpf_cpumask_clear")
        }
    }

    func judgeChanges() throws {
        let possible = UInt64(try Processors.possible)
        // Processors that there are, and numbers that no processor has.
        let numbers = Array(0..<UInt64(cpus)) + [possible, 63, 64, 8192, UInt64(UInt32.max)].filter { $0 >= possible }
        for bits in 0...all {
            try object.set("in_a", to: bits)
            for cpu in numbers {
                try object.set("cpu", to: UInt32(cpu))
                for operation in 0...Int32(6) {
                    try object.set("operation", to: operation)
                    test.expect(try object.run("change").get(), equals: 1, "1: a mask is made")
                    let expected = changed(operation, bits, cpu)
                    let what = "\(expected.name)(\(cpu)) of \(String(bits, radix: 2))"
                    test.expect(try object.value(of: "answer"), equals: expected.answer, what)
                    try expectDescription(expected.bits, "what is left by \(what)")
                }
            }
        }
    }
}
