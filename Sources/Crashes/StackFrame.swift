// SPDX-License-Identifier: Apache-2.0

/// A place in the kernel's code as the kernel prints it: `function+0x1c/0x30 [module]`.
public struct StackFrame: Sendable, Equatable {
    public var symbol: String
    public var offset: UInt64
    public var size: UInt64
    public var module: String?
    /// `? ` in front: an address that was found on the stack, and may be left over from an earlier call.
    public var isGuess = false
    /// Where the machine was, and not where a call returns to.
    public var isExact = false

    /// - Source: lib/vsprintf.c, `%pS` and `%pB`; arch/x86/kernel/dumpstack.c. A build id may stand behind the module's
    ///   name (CONFIG_STACKTRACE_BUILD_ID).
    public init?(_ text: some StringProtocol) {
        var rest = Substring(text).drop { $0 == " " || $0 == "\t" }
        if rest.hasPrefix("RIP: ") {
            // `RIP: 0010:function+0x1/0x2`; of user space it is only a number.
            rest = rest.dropFirst(5)
            guard let colon = rest.firstIndex(of: ":") else { return nil }
            rest = rest[rest.index(after: colon)...]
            isExact = true
        }
        // `[<ffffffff81000000>] function+0x1/0x2`, in kmemleak's reports before 5.10 and in addresses of locks.
        if rest.hasPrefix("[<"), let end = rest.firstIndex(of: "]") {
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
        }
        if rest.hasPrefix("? ") {
            isGuess = true
            rest = rest.dropFirst(2)
        }
        guard let plus = rest.firstIndex(of: "+"), plus > rest.startIndex else { return nil }
        let name = rest[..<plus]
        guard name.utf8.allSatisfy(Self.isOfName), let first = name.utf8.first, !(0x30...0x39).contains(first) else {
            return nil
        }
        rest = rest[rest.index(after: plus)...]
        let numbers = rest.prefix { $0.isASCII && ($0.isHexDigit || $0 == "x" || $0 == "/") }
        let parts = numbers.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let offset = Self.number(parts[0]), let size = Self.number(parts[1]) else { return nil }
        rest = rest[numbers.endIndex...].drop { $0 == " " }
        if rest.hasPrefix("["), let end = rest.firstIndex(where: { $0 == "]" || $0 == " " }) {
            module = String(rest[rest.index(after: rest.startIndex)..<end])
        }
        symbol = String(name)
        self.offset = offset
        self.size = size
    }

    /// An address without a name, which stands in a trace that is told when its code has gone: of a BPF program that was
    /// freed before kmemleak or KASAN told who had allocated something.
    public static func bareAddress(_ text: some StringProtocol) -> UInt64? {
        var rest = Substring(text).drop { $0 == " " || $0 == "\t" }
        if rest.hasPrefix("[<"), let end = rest.firstIndex(of: "]") {
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
        }
        guard rest.hasPrefix("0x"), rest.utf8.count == 18 else { return nil }
        return UInt64(rest.dropFirst(2), radix: 16)
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte == 0x5f || byte == 0x2e
            || byte == 0x24 || byte == 0x3a
    }

    private static func number(_ text: Substring) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : nil
    }

    /// The parts of a name `bpf_prog_TAG_NAME`; nil for another function.
    public var program: (tag: String, name: String)? {
        guard symbol.hasPrefix("bpf_prog_") else { return nil }
        let rest = symbol.dropFirst(9)
        let tag = rest.prefix(16)
        guard tag.utf8.count == 16, tag.allSatisfy({ $0.isHexDigit }),
            rest.utf8.count == 16 || rest.dropFirst(16).hasPrefix("_")
        else { return nil }
        return (String(tag), String(rest.dropFirst(17)))
    }
}
