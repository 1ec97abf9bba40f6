// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Archives

@Suite struct DigestTests {
    /// FIPS 180-4's examples.
    @Test func sumsAreSHA256() {
        #expect(Digest.of([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(Digest.of(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
