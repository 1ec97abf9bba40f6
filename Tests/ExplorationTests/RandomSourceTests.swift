// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Exploration

@Suite("Random numbers")
struct RandomSourceTests {
    @Test("the same seed gives the same numbers, those of SplitMix64")
    func reference() {
        var random = RandomSource(seed: 1_234_567)
        // Of the reference implementation.
        let expected: [UInt64] = [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        ]
        #expect(expected.map { _ in random.next() } == expected)
    }

    @Test("numbers below a bound reach all of them")
    func bound() {
        var random = RandomSource(seed: 7)
        #expect(Set((0..<1000).map { _ in random.below(6) }) == Set(0..<6))
    }
}
