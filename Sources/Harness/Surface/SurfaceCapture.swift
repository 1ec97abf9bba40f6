// SPDX-License-Identifier: Apache-2.0
internal import SystemPackage

/// What a guest said of its kernel's surface, split into parts.
///
/// The bytes are the guest's, which nobody vouches for: this is the one place where they become values. What is found
/// wrong ends it; nothing is repaired.
///
/// - Source: docs/surface-format.md, "What the guest sends".
struct SurfaceCapture: Equatable {
    /// Types of the kernel (`vmlinux`, always first) and of its modules.
    var types: [(name: String, bytes: [UInt8])] = []
    /// Kfuncs of one owner for one hook: BTF ids and flags.
    var kfuncs: [KfuncSet] = []
    /// What was answered when a number was tried; 0: it was taken.
    var probes: [String: [UInt32: Int32]] = [:]
    /// What could not be found out.
    var notes: [String: String] = [:]

    struct KfuncSet: Equatable {
        var owner: String
        var hook: UInt32
        var pairs: [Pair]
    }

    struct Pair: Equatable {
        var id: UInt32
        var flags: UInt32
    }

    /// All that a guest may send; the largest kernels of distributions have 12 MiB of types, with all their modules.
    static let bytesAtMost = 96 << 20

    init(_ bytes: [UInt8]) throws(SurfaceError) {
        guard bytes.count <= Self.bytesAtMost else { throw SurfaceError("it sent more than \(Self.bytesAtMost) bytes") }
        var parts = try GuestParts(bytes, begins: "surface")
        while let part = try parts.next() {
            switch part.kind {
            case "btf":
                guard !types.contains(where: { $0.name == part.name }) else {
                    throw SurfaceError("it has the types of \(part.name) twice")
                }
                types.insert((part.name, Array(part.content)), at: part.name == "vmlinux" ? 0 : types.count)
            case "kfuncs": kfuncs.append(try Self.kfuncs(part.name, part.content))
            case "probe": probes[part.name] = try Self.probes(part.name, part.content)
            case "note": notes[part.name] = GuestParts.printable(part.content)
            default: throw SurfaceError("it has a part of an unknown kind, \(part.kind)")
            }
        }
    }

    // MARK: Parts

    private static func kfuncs(_ name: String, _ content: ArraySlice<UInt8>) throws(SurfaceError) -> KfuncSet {
        let words = name.split(separator: "/")
        guard words.count == 2, let hook = UInt32(words[1]), content.count % 8 == 0 else {
            throw SurfaceError("kfuncs \(name) of \(content.count) bytes")
        }
        let pairs = stride(from: content.startIndex, to: content.endIndex, by: 8).map { at in
            Pair(id: word(content, at), flags: word(content, at + 4))
        }
        return KfuncSet(owner: String(words[0]), hook: hook, pairs: pairs)
    }

    private static func word(_ bytes: ArraySlice<UInt8>, _ at: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) }
    }

    private static func probes(
        _ name: String, _ content: ArraySlice<UInt8>
    ) throws(SurfaceError) -> [UInt32: Int32] {
        var answers: [UInt32: Int32] = [:]
        for line in content.split(separator: 0x0a) {
            let words = line.split(separator: 0x20)
            guard words.count == 2, let number = UInt32(String(decoding: words[0], as: UTF8.self)),
                let errno = Int32(String(decoding: words[1], as: UTF8.self)), answers.count < 4096
            else { throw SurfaceError("probe \(name): \"\(GuestParts.printable(line))\"") }
            answers[number] = errno
        }
        return answers
    }

    static func == (left: SurfaceCapture, right: SurfaceCapture) -> Bool {
        left.types.map(\.name) == right.types.map(\.name) && left.types.map(\.bytes) == right.types.map(\.bytes)
            && left.kfuncs == right.kfuncs && left.probes == right.probes && left.notes == right.notes
    }
}

/// What is wrong with what a guest, or a file, says of a kernel's surface.
public struct SurfaceError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
