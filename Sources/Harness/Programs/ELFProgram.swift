// SPDX-License-Identifier: Apache-2.0
internal import Foundation
internal import SystemPackage

/// What an ELF program or library says about what it needs to be run. Every offset in the file is checked before use.
///
/// - Source: the System V ABI, "ELF Header", "Program Header", "Dynamic Section".
struct ELFProgram: Equatable {
    /// `e_machine`: 62 is x86-64, 247 is BPF.
    var machine = 0
    var is64Bit = true
    /// The loader that the kernel starts; nil for static programs and most libraries.
    var interpreter: String?
    var needed: [String] = []
    /// Search path of the old kind: also for what the libraries need. Empty where there is a `runpath`.
    var rpath: [String] = []
    var runpath: [String] = []

    static let x86 = 62
    static let bpf = 247

    /// - Returns: nil for what is not an ELF file.
    init?(_ file: FilePath) {
        // Mapped: a program with debug information has hundreds of megabytes, of which a few pages are looked at.
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: file.string), options: .mappedIfSafe) else {
            return nil
        }
        self.init(data)
    }

    init?(_ data: Data) {
        let reader = Reader(data: data)
        guard data.count >= 52, data.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else { return nil }
        is64Bit = data[data.startIndex + 4] == 2
        guard data[data.startIndex + 5] == 1, let machine = reader.number(18, 2) else {
            // Big-endian: for another machine than any guest of ours.
            return
        }
        self.machine = machine
        guard is64Bit, data.count >= 64, let table = reader.number(32, 8), let size = reader.number(54, 2),
            let count = reader.number(56, 2), size >= 56
        else { return }
        var segments: [Segment] = []
        for index in 0..<count {
            guard let at = reader.sum(table, index * size), let type = reader.number(at, 4),
                let offset = reader.number(at + 8, 8), let address = reader.number(at + 16, 8),
                let length = reader.number(at + 32, 8)
            else { break }
            segments.append(Segment(type: type, offset: offset, address: address, length: length))
        }
        interpreter = segments.first { $0.type == 3 }.flatMap { reader.text($0.offset) }
        if let dynamic = segments.first(where: { $0.type == 2 }) { read(dynamic, segments, reader) }
    }

    private struct Segment {
        var type: Int
        var offset: Int
        var address: Int
        var length: Int

        func holds(_ place: Int) -> Bool { place >= address && place - address < length }
    }

    private mutating func read(_ dynamic: Segment, _ segments: [Segment], _ reader: Reader) {
        var entries: [(tag: Int, value: Int)] = []
        // More entries than any linker makes, fewer than would take long.
        for index in 0..<min(dynamic.length / 16, 4096) {
            guard let at = reader.sum(dynamic.offset, index * 16), let tag = reader.number(at, 8),
                let value = reader.number(at + 8, 8), tag != 0
            else { break }
            entries.append((tag, value))
        }
        guard let address = entries.first(where: { $0.tag == 5 })?.value,
            let home = segments.first(where: { $0.type == 1 && $0.holds(address) })
        else { return }
        let strings = home.offset + (address - home.address)
        let text = { (value: Int) in reader.sum(strings, value).flatMap { reader.text($0) } }
        let paths = { (tag: Int) in
            entries.filter { $0.tag == tag }.compactMap { text($0.value) }.flatMap {
                $0.split(separator: ":").map(String.init)
            }
        }
        needed = entries.filter { $0.tag == 1 }.compactMap { text($0.value) }
        runpath = paths(29)
        rpath = runpath.isEmpty ? paths(15) : []
    }

    private struct Reader {
        let data: Data

        /// A little-endian number that is an Int; nil outside of the file.
        func number(_ at: Int, _ size: Int) -> Int? {
            guard at >= 0, at <= data.count - size else { return nil }
            let value = data[(data.startIndex + at)..<(data.startIndex + at + size)].reversed().reduce(UInt64(0)) {
                $0 << 8 | UInt64($1)
            }
            return Int(exactly: value)
        }

        func sum(_ first: Int, _ second: Int) -> Int? {
            let (sum, overflow) = first.addingReportingOverflow(second)
            return overflow ? nil : sum
        }

        /// A text that ends with a NUL.
        func text(_ at: Int) -> String? {
            guard at >= 0, at < data.count else { return nil }
            let bytes = data[(data.startIndex + at)...].prefix(4096).prefix { $0 != 0 }
            return bytes.count == 4096 ? nil : String(decoding: bytes, as: UTF8.self)
        }
    }
}
