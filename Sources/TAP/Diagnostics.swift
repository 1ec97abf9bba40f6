// SPDX-License-Identifier: Apache-2.0

/// What is known about one result beyond its verdict: keys and texts, in the order they were given.
public struct Diagnostics: Sendable, Equatable {
    public struct Field: Sendable, Equatable {
        public var key: String
        public var value: String

        public init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }

    public var fields: [Field]

    public init(_ fields: [Field] = []) {
        self.fields = fields
    }

    public var isEmpty: Bool { fields.isEmpty }

    /// The first value under a key; setting replaces it or adds it at the end.
    public subscript(key: String) -> String? {
        get { fields.first { $0.key == key }?.value }
        set {
            if let index = fields.firstIndex(where: { $0.key == key }) {
                if let newValue { fields[index].value = newValue } else { fields.remove(at: index) }
            } else if let newValue {
                fields.append(Field(key, newValue))
            }
        }
    }

    /// The lines between `---` and `...` of a YAML block: one-line values quoted, longer ones as literal blocks.
    public var yaml: [String] {
        fields.flatMap { field in
            let key = Self.isPlainKey(field.key) ? field.key : JSONText.quote(field.key)
            let lines = field.value.split(separator: "\n", omittingEmptySubsequences: false)
            guard lines.count > 1, Self.isLiteral(field.value) else {
                return ["\(key): \(JSONText.quote(field.value))"]
            }
            // "-" drops the final newline, which the value need not have; "2" because a first line may be indented.
            return ["\(key): |2-"] + lines.map { $0.isEmpty ? "" : "  \($0)" }
        }
    }

    private static func isPlainKey(_ key: String) -> Bool {
        !key.isEmpty
            && key.utf8.allSatisfy {
                ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || $0 == 0x5f || ($0 >= 0x30 && $0 <= 0x39)
            }
    }

    /// A literal block cannot hold control characters, nor end in empty lines without losing them.
    private static func isLiteral(_ value: String) -> Bool {
        !value.hasSuffix("\n")
            && value.unicodeScalars.allSatisfy { $0 == "\n" || $0 == "\t" || $0.value >= 0x20 && $0.value != 0x7f }
    }
}

/// Strings in JSON's form, which is YAML's double-quoted form too.
public enum JSONText {
    public static func quote(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _
            where scalar.value < 0x20 || scalar.value == 0x7f || scalar.value == 0x2028 || scalar.value == 0x2029:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// The text of a quoted string; nil when it is not one.
    public static func unquote(_ quoted: some StringProtocol) -> String? {
        var input = Array(quoted.utf8)[...]
        guard input.popFirst() == UInt8(ascii: "\""), input.popLast() == UInt8(ascii: "\"") else { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(input.count)
        while let byte = input.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                if byte == UInt8(ascii: "\"") { return nil }
                output.append(byte)
                continue
            }
            switch input.popFirst() {
            case UInt8(ascii: "n"): output.append(0x0a)
            case UInt8(ascii: "r"): output.append(0x0d)
            case UInt8(ascii: "t"): output.append(0x09)
            case UInt8(ascii: "b"): output.append(0x08)
            case UInt8(ascii: "f"): output.append(0x0c)
            case let plain?
            where plain == UInt8(ascii: "\"") || plain == UInt8(ascii: "\\") || plain == UInt8(ascii: "/"):
                output.append(plain)
            case UInt8(ascii: "u"):
                guard let unit = hex4(&input) else { return nil }
                guard let scalar = scalar(unit, &input) else { return nil }
                output.append(contentsOf: String(Character(scalar)).utf8)
            default: return nil
            }
        }
        return String(validating: output, as: UTF8.self)
    }

    private static func hex4(_ input: inout ArraySlice<UInt8>) -> UInt32? {
        guard input.count >= 4 else { return nil }
        let digits = String(decoding: input.prefix(4), as: UTF8.self)
        guard digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else { return nil }
        input = input.dropFirst(4)
        return UInt32(digits, radix: 16)
    }

    private static func scalar(_ unit: UInt32, _ input: inout ArraySlice<UInt8>) -> Unicode.Scalar? {
        guard (0xd800..<0xdc00).contains(unit) else { return Unicode.Scalar(unit) }
        guard input.prefix(2) == [UInt8(ascii: "\\"), UInt8(ascii: "u")] else { return nil }
        input = input.dropFirst(2)
        guard let low = hex4(&input), (0xdc00..<0xe000).contains(low) else { return nil }
        return Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))
    }
}
