// SPDX-License-Identifier: Apache-2.0

/// Maps that the kernel's own runner fills before it runs the programs of an object, without a word of it in the object.
///
/// - Source: tools/testing/selftests/bpf/prog_tests/verifier.c (6.12, 7.2), init_test_val_map() and its callers.
struct FilledMap: Equatable {
    var map: String
    var key: [UInt8]
    var value: [UInt8]

    /// What is to be filled in for an object.
    ///
    /// - Parameter object: the file's name or path.
    static func all(for object: String) -> [FilledMap] {
        let file = object.split(separator: "/").last ?? ""
        guard let name = file.split(separator: ".").first, let map = table[String(name)] else { return [] }
        return [FilledMap(map: map, key: words([0]), value: words(testValue))]
    }

    private static let table = [
        "verifier_array_access": "map_array_ro",
        "verifier_value_ptr_arith": "map_array_48b",
    ]

    /// `struct test_val`: the size of what is used of it, and eleven numbers, of which the seventh is set.
    private static let testValue: [UInt32] = [28, 0, 0, 0, 0, 0, 0, 0xabcd_ef12, 0, 0, 0, 0]

    /// Little endian.
    private static func words(_ numbers: [UInt32]) -> [UInt8] {
        numbers.flatMap { number in [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: number >> $0) } }
    }
}
