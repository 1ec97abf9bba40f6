// SPDX-License-Identifier: Apache-2.0

/// The parts that an agent's `surface` and `load` send: `KIND NAME BYTES`, so many bytes, a line's end; the first names
/// the form and its version, `end` is the last.
///
/// The bytes are the guest's, which nobody vouches for.
struct GuestParts {
    struct Part {
        var kind: String
        var name: String
        var content: ArraySlice<UInt8>
    }

    private let bytes: [UInt8]
    private var at = 0
    private var count = 0

    /// More than any kernel has modules, hooks and probes, and any object programs.
    private static let partsAtMost = 20_000

    /// - Parameter form: what the first part must be, in version 1.
    init(_ bytes: [UInt8], begins form: String) throws(SurfaceError) {
        self.bytes = bytes
        guard let first = try next(), first.kind == form, first.name == "1" else {
            throw SurfaceError("it does not begin with `\(form) 1`")
        }
    }

    /// nil at the end, which must be there.
    mutating func next() throws(SurfaceError) -> Part? {
        count += 1
        guard count <= Self.partsAtMost else { throw SurfaceError("it has more than \(Self.partsAtMost) parts") }
        guard let end = bytes[at...].prefix(300).firstIndex(of: 0x0a) else {
            throw SurfaceError("it is cut off, or no part of it begins at byte \(at)")
        }
        let words = bytes[at..<end].split(separator: 0x20, omittingEmptySubsequences: false)
        guard words.count == 3, let kind = Self.name(words[0]), let name = Self.name(words[1]),
            let count = Int(String(decoding: words[2], as: UTF8.self)), count >= 0
        else { throw SurfaceError("a part begins with \"\(Self.printable(bytes[at..<end]))\"") }
        let start = end + 1
        guard count < bytes.count - start, bytes[start + count] == 0x0a else {
            throw SurfaceError("part \(kind) \(name) is cut off, or longer than the \(count) bytes that it claims")
        }
        at = start + count + 1
        return kind == "end" ? nil : Part(kind: kind, name: name, content: bytes[start..<(start + count)])
    }

    /// A name of this form: of modules, hooks, kinds of parts.
    private static func name(_ bytes: ArraySlice<UInt8>) -> String? {
        let isName = bytes.allSatisfy { byte in
            byte >= 0x30 && byte <= 0x39 || byte >= 0x41 && byte <= 0x5a || byte >= 0x61 && byte <= 0x7a
                || [0x2d, 0x2e, 0x2f, 0x5f].contains(byte)
        }
        return isName && !bytes.isEmpty && bytes.count <= 128 ? String(decoding: bytes, as: UTF8.self) : nil
    }

    /// A guest's text for a terminal and for files: bounded, and nothing in it that a terminal would act on.
    static func printable(_ bytes: ArraySlice<UInt8>, limit: Int = 4000) -> String {
        let scalars = String(decoding: bytes.prefix(limit), as: UTF8.self).unicodeScalars.map { scalar in
            let isText = scalar.properties.generalCategory != .control && scalar.properties.generalCategory != .format
            return isText || scalar == "\n" || scalar == "\t" ? scalar : "\u{fffd}"
        }
        return String(String.UnicodeScalarView(scalars))
    }
}
