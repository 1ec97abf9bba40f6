// SPDX-License-Identifier: Apache-2.0

/// Why a file's programs cannot be judged at all, and what to do about it.
struct FileProblem: Error, Equatable, CustomStringConvertible {
    var cause: String
    var advice: String

    var description: String { "\(cause); \(advice)" }
}

/// A BPF object file as far as its annotations need it: programs and type information, read without loading anything.
///
/// Read by us and not by libbpf: the host reads files too, and a broken one must end as a message, not as a crash.
///
/// - Source: the ELF-64 object file format; tools/lib/bpf/libbpf.c of 6.12 for which functions are programs.
struct BPFObjectFile: Equatable {
    struct Program: Equatable {
        var name: String
        /// The section as it is named in the file: `?tp_btf/task_newtask`.
        var section: String
        /// Where its instructions begin in the section.
        var offset: UInt64
        /// Functions that it calls where the kernel has them: weak, and not in the file.
        var weakFunctions: [String] = []
    }

    struct Section: Equatable {
        var name: String
        var type: UInt32
        var flags: UInt64
        var content: Range<Int>
        var link: Int
        var info: Int
    }

    let sections: [Section]
    let programs: [Program]
    /// The bytes of `.BTF`.
    let types: [UInt8]
    /// The bytes of `.BTF.ext`; empty where there is none.
    let extendedTypes: [UInt8]

    private static let machine = 247  // EM_BPF
    private static let headerSize = 64
    private static let sectionSize = 64
    private static let symbolSize = 24

    /// - Parameter bytes: the whole file.
    init(_ bytes: [UInt8]) throws(FileProblem) {
        let reader = ByteReader(bytes)
        try Self.checkHeader(reader)
        sections = try Self.sections(reader)
        guard let types = sections.first(where: { $0.name == ".BTF" }) else {
            throw FileProblem(
                cause: "it has no BTF, where annotations and types are kept",
                advice: "compile it with -g, and do not strip .BTF")
        }
        self.types = Array(bytes[types.content])
        extendedTypes = sections.first { $0.name == ".BTF.ext" }.map { Array(bytes[$0.content]) } ?? []
        programs = try Self.programs(reader, sections)
    }

    // MARK: Header

    private static func checkHeader(_ reader: ByteReader) throws(FileProblem) {
        let again = "build it again, or copy it again"
        if reader.count == 0 { throw FileProblem(cause: "it is empty", advice: again) }
        guard reader.bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) else {
            throw FileProblem(
                cause: "it is no ELF file: it does not begin with 7f 45 4c 46",
                advice: "give an object that clang -target bpf made")
        }
        guard reader.count >= headerSize else {
            throw FileProblem(cause: "it is truncated: \(reader.count) bytes do not hold an ELF header", advice: again)
        }
        let forBPF = "compile it with clang -target bpfel for this guest"
        guard reader.bytes[5] == 1 else {
            throw FileProblem(
                cause: reader.bytes[5] == 2
                    ? "it is for the other byte order: big-endian"
                    : "its ELF header is corrupt: byte order "
                        + "\(reader.bytes[5])", advice: forBPF)
        }
        let machine = Int(reader.u16(18) ?? 0)
        guard reader.bytes[4] == 2, machine == Self.machine else {
            throw FileProblem(
                cause: "it is for another architecture: \(name(ofMachine: machine)), not BPF",
                advice: "compile it with clang -target bpf -g")
        }
        guard reader.u16(16) == 1 else {
            throw FileProblem(
                cause: "it is no relocatable object: ELF type \(reader.u16(16) ?? 0)",
                advice: "give what clang -c or bpftool gen object made")
        }
    }

    private static func name(ofMachine machine: Int) -> String {
        let names = [
            3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "s390", 40: "ARM", 62: "x86-64", 183: "AArch64",
            243: "RISC-V", 258: "LoongArch",
        ]
        return names[machine] ?? "ELF machine \(machine)"
    }

    // MARK: Sections

    private static func sections(_ reader: ByteReader) throws(FileProblem) -> [Section] {
        guard let start = reader.u64(40).flatMap({ Int(exactly: $0) }), let count = reader.u16(60).map(Int.init),
            let names = reader.u16(62).map(Int.init), start > 0, count > 0
        else { throw corrupt("it has no section headers") }
        guard let table = reader.range(start, count * sectionSize) else {
            throw FileProblem(
                cause: "it is truncated: its section headers are at byte \(start), and it has \(reader.count) bytes",
                advice: "build it again, or copy it again")
        }
        var found: [(name: UInt32, section: Section)] = []
        for index in 0..<count {
            let at = table.lowerBound + index * sectionSize
            guard let name = reader.u32(at), let type = reader.u32(at + 4), let flags = reader.u64(at + 8),
                let offset = reader.u64(at + 24), let size = reader.u64(at + 32), let link = reader.u32(at + 40),
                let info = reader.u32(at + 44)
            else { throw corrupt("section header \(index)") }
            var content = 0..<0
            // SHT_NULL and SHT_NOBITS have no bytes in the file.
            if type != 0, type != 8 {
                guard
                    let range = Int(exactly: offset).flatMap({ start in
                        Int(exactly: size).flatMap { reader.range(start, $0) }
                    })
                else {
                    throw FileProblem(
                        cause: "it is truncated or corrupt: section \(index) is \(size) bytes at byte \(offset), and "
                            + "the file has \(reader.count) bytes",
                        advice: "build it again, or copy it again")
                }
                content = range
            }
            found.append(
                (name, Section(name: "", type: type, flags: flags, content: content, link: Int(link), info: Int(info))))
        }
        guard found.indices.contains(names) else { throw corrupt("the section of section names is \(names)") }
        let strings = found[names].section.content
        return try found.map { (one) throws(FileProblem) in
            var section = one.section
            guard let name = reader.string(one.name, in: strings) else { throw corrupt("a section's name") }
            section.name = name
            return section
        }
    }

    // MARK: Programs

    private static func programs(_ reader: ByteReader, _ sections: [Section]) throws(FileProblem) -> [Program] {
        // SHT_SYMTAB
        guard let symbols = sections.first(where: { $0.type == 2 }) else {
            throw FileProblem(cause: "it has no symbols", advice: "do not strip it")
        }
        guard sections.indices.contains(symbols.link) else { throw corrupt("the symbols' names") }
        let strings = sections[symbols.link].content
        var found: [(section: Int, size: UInt64, program: Program)] = []
        var weak: [Int: String] = [:]
        var at = symbols.content.lowerBound
        while at + symbolSize <= symbols.content.upperBound {
            guard let name = reader.u32(at), let section = reader.u16(at + 6), let value = reader.u64(at + 8) else {
                throw corrupt("a symbol")
            }
            let info = reader.bytes[at + 4]
            let size = reader.u64(at + 16) ?? 0
            let number = (at - symbols.content.lowerBound) / symbolSize
            at += symbolSize
            if section == 0, info >> 4 == 2, let text = reader.string(name, in: strings) { weak[number] = text }
            // STT_FUNC that is defined; static functions are no programs.
            guard info & 0xf == 2, info >> 4 != 0, section > 0, section < 0xff00 else { continue }
            guard sections.indices.contains(Int(section)) else { throw corrupt("a symbol's section") }
            let home = sections[Int(section)]
            // PROGBITS with instructions; .text has functions that programs call.
            guard home.type == 1, home.flags & 4 != 0, home.name != ".text" else { continue }
            guard let text = reader.string(name, in: strings) else { throw corrupt("a symbol's name") }
            found.append((Int(section), size, Program(name: text, section: home.name, offset: value)))
        }
        for index in found.indices {
            let calls = references(reader, sections, to: found[index].section).filter { place, _ in
                place >= found[index].program.offset && place - found[index].program.offset < found[index].size
            }
            found[index].program.weakFunctions = calls.compactMap { weak[$0.symbol] }
        }
        return found.sorted { ($0.section, $0.program.offset) < ($1.section, $1.program.offset) }.map(\.program)
    }

    /// Places in a section that refer to symbols, by number: what SHT_REL sections say.
    private static func references(
        _ reader: ByteReader, _ sections: [Section], to section: Int
    ) -> [(place: UInt64, symbol: Int)] {
        sections.filter { $0.type == 9 && $0.info == section }.flatMap { table in
            stride(from: table.content.lowerBound, to: table.content.upperBound, by: 16).compactMap { at in
                guard let place = reader.u64(at), let info = reader.u64(at + 8) else { return nil }
                return (place, Int(info >> 32))
            }
        }
    }

    private static func corrupt(_ what: String) -> FileProblem {
        FileProblem(cause: "it is corrupt: \(what)", advice: "build it again, or copy it again")
    }
}

/// Numbers and strings out of bytes, little endian; nil beyond the end.
struct ByteReader {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var count: Int { bytes.count }

    func range(_ start: Int, _ length: Int) -> Range<Int>? {
        guard start >= 0, length >= 0, start <= bytes.count, length <= bytes.count - start else { return nil }
        return start..<(start + length)
    }

    private func number<Value: FixedWidthInteger>(_ at: Int) -> Value? {
        guard let range = range(at, Value.bitWidth / 8) else { return nil }
        return bytes[range].reversed().reduce(0) { $0 << 8 | Value($1) }
    }

    func u16(_ at: Int) -> UInt16? { number(at) }
    func u32(_ at: Int) -> UInt32? { number(at) }
    func u64(_ at: Int) -> UInt64? { number(at) }

    /// A text that ends with a zero inside of a table of strings.
    func string(_ offset: UInt32, in table: Range<Int>) -> String? {
        let start = table.lowerBound + Int(offset)
        guard start < table.upperBound, let end = bytes[start..<table.upperBound].firstIndex(of: 0) else { return nil }
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }
}
