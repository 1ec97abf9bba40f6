// SPDX-License-Identifier: Apache-2.0
internal import Foundation

/// A vmlinux: what QEMU needs of it, and its release. Every offset in the file is checked before it is used.
///
/// - Source: the System V ABI, "ELF Header" and "Program Header"; QEMU 10.0, hw/i386/x86-common.c, load_elfboot().
struct KernelELF {
    private let data: Data
    /// Type and place in the file.
    private var segments: [(type: UInt64, range: Range<Int>)] = []

    private static let load: UInt64 = 1
    private static let note: UInt64 = 4
    /// XEN_ELFNOTE_PHYS32_ENTRY: where a PVH boot enters.
    private static let entryNote: UInt64 = 18
    /// "Xen" and a NUL.
    private static let xen: UInt64 = 0x006e_6558

    /// - Returns: nil for what is not a 64-bit x86 ELF file or does not hold its program headers.
    init?(_ data: Data) {
        self.data = data
        guard data.count >= 64, data.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1]), number(18, 2) == 62,
            let table = number(32, 8), let size = number(54, 2), let count = number(56, 2), size >= 56
        else { return nil }
        for index in 0..<count {
            let (at, overflow) = table.addingReportingOverflow(index * size)
            guard !overflow, let at = Int(exactly: at), let type = number(at, 4), let offset = number(at + 8, 8),
                let length = number(at + 32, 8), let start = Int(exactly: offset), let length = Int(exactly: length),
                start <= data.count, length <= data.count - start
            else { return nil }
            segments.append((type, start..<(start + length)))
        }
    }

    /// A little-endian number; nil outside of the file.
    private func number(_ at: Int, _ size: Int) -> UInt64? {
        guard at >= 0, at <= data.count - size else { return nil }
        return data[(data.startIndex + at)..<(data.startIndex + at + size)].reversed().reduce(0) {
            $0 << 8 | UInt64($1)
        }
    }

    /// As `uname -r` will say: from the banner, which is in what gets loaded and not in the debug information.
    var release: String? {
        for segment in segments where segment.type == Self.load {
            var rest = data.startIndex + segment.range.lowerBound..<data.startIndex + segment.range.upperBound
            while let banner = data.range(of: Data("Linux version ".utf8), in: rest) {
                let text = data[banner.upperBound..<min(rest.upperBound, banner.upperBound + 256)]
                let release = String(decoding: text.prefix { $0 != 0x20 && $0 != 0 }, as: UTF8.self)
                // The words are in other strings of the kernel, too.
                if KernelVersion(release) != nil { return release }
                rest = banner.upperBound..<rest.upperBound
            }
        }
        return nil
    }

    var hasPVHEntry: Bool {
        segments.contains { $0.type == Self.note && holdsEntry($0.range) }
    }

    private func holdsEntry(_ range: Range<Int>) -> Bool {
        var at = range.lowerBound
        while at + 12 <= range.upperBound, let nameSize = number(at, 4), let size = number(at + 4, 4),
            let type = number(at + 8, 4)
        {
            if type == Self.entryNote, nameSize == 4, number(at + 12, 4) == Self.xen { return true }
            at += 12 + (Int(nameSize) + 3) / 4 * 4 + (Int(size) + 3) / 4 * 4
        }
        return false
    }
}
