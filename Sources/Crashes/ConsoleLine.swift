// SPDX-License-Identifier: Apache-2.0

/// A line of the kernel's console, without what printk puts in front of it.
public struct ConsoleLine: Sendable, Equatable {
    /// Who wrote it, `T61` for a task or `C0` for an interrupt of a processor; nil without CONFIG_PRINTK_CALLER.
    public var caller: String?
    public var text: String

    /// - Source: kernel/printk/printk.c, print_time() and print_caller(); `[    1.234567]`, `[    1.234567][   T61]`,
    ///   and either alone.
    public init(_ line: some StringProtocol) {
        var rest = Array(line.utf8)[...]
        while rest.first == UInt8(ascii: "["), let end = rest.firstIndex(of: UInt8(ascii: "]")) {
            let inside = rest[(rest.startIndex + 1)..<end].drop { $0 == UInt8(ascii: " ") }
            if Self.isTime(inside) {
                // The level of `<4>` is not printed; what else stands here is the message's own.
            } else if Self.isCaller(inside) {
                caller = String(decoding: inside, as: UTF8.self)
            } else {
                break
            }
            rest = rest[(end + 1)...]
            if rest.first != UInt8(ascii: "[") {
                // One blank is printk's; further ones are an indentation.
                if rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
                if rest.first != UInt8(ascii: "[") { break }
            }
        }
        text = String(decoding: rest, as: UTF8.self)
    }

    private static func isTime(_ bytes: ArraySlice<UInt8>) -> Bool {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(isDigit) }
    }

    private static func isCaller(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.first == UInt8(ascii: "T") || bytes.first == UInt8(ascii: "C") else { return false }
        return bytes.count > 1 && bytes.dropFirst().allSatisfy(isDigit)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}
