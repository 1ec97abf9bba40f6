// SPDX-License-Identifier: Apache-2.0
internal import CArchive

/// SHA-256 of what is fed in.
public struct Digest {
    private var context = SHA2_CTX()

    public init() {
        unsafe SHA256Init(&context)
    }

    public mutating func update(_ bytes: some Collection<UInt8>) {
        let done: Void? = bytes.withContiguousStorageIfAvailable { raw in
            if let base = raw.baseAddress { unsafe SHA256Update(&context, base, raw.count) }
        }
        if done == nil { update(Array(bytes)) }
    }

    /// The digest as 64 hexadecimal digits.
    public consuming func finish() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe SHA256Final(&digest, &context)
        return Self.hexadecimal(digest)
    }

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    public static func of(_ bytes: some Collection<UInt8>) -> String {
        var digest = Digest()
        digest.update(bytes)
        return digest.finish()
    }

    static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
