// SPDX-License-Identifier: Apache-2.0

/// Appends fields in the wire's form: integers little endian, texts and lists behind a 32-bit count.
public struct ByteWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    public mutating func append(_ value: some FixedWidthInteger) {
        var rest = value
        for _ in 0..<(value.bitWidth / 8) {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    public mutating func append(_ text: String) {
        append(UInt32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    public mutating func append(_ list: [String]) {
        append(UInt32(list.count))
        for text in list { append(text) }
    }

    public mutating func append(_ raw: some Sequence<UInt8>) {
        bytes.append(contentsOf: raw)
    }
}

/// Takes fields off the front of a byte sequence; every read is checked against what is left.
public struct ByteReader: Sendable {
    private var rest: ArraySlice<UInt8>

    public init(_ bytes: some Collection<UInt8>) {
        rest = ArraySlice(bytes)
    }

    public var count: Int { rest.count }

    public mutating func integer<Value: FixedWidthInteger>() throws(FrameError) -> Value {
        let size = Value.bitWidth / 8
        guard rest.count >= size else { throw .truncated }
        var value: Value = 0
        for (index, byte) in rest.prefix(size).enumerated() {
            value |= Value(truncatingIfNeeded: byte) << (8 * index)
        }
        rest = rest.dropFirst(size)
        return value
    }

    public mutating func text() throws(FrameError) -> String {
        let length: UInt32 = try integer()
        guard rest.count >= Int(length) else { throw .truncated }
        guard let text = String(validating: rest.prefix(Int(length)), as: UTF8.self) else { throw .badText }
        rest = rest.dropFirst(Int(length))
        return text
    }

    public mutating func list() throws(FrameError) -> [String] {
        let count: UInt32 = try integer()
        // Each entry takes four bytes at least: a count beyond that is a lie, and nothing is reserved for it.
        guard rest.count / 4 >= Int(count) else { throw .truncated }
        var list: [String] = []
        for _ in 0..<count { list.append(try text()) }
        return list
    }

    /// The next bytes, as many as that.
    public mutating func bytes(_ count: Int) throws(FrameError) -> ArraySlice<UInt8> {
        guard count >= 0, rest.count >= count else { throw .truncated }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// All bytes that are left.
    public mutating func remainder() -> ArraySlice<UInt8> {
        defer { rest = [] }
        return rest
    }
}
