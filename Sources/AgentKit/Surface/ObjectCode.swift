// SPDX-License-Identifier: Apache-2.0

/// The functions of a BPF object: what each calls and refers to, and what it asks to be relocated.
///
/// Read by us and not by libbpf, which tells neither before it loads: docs/surface-format.md, "What an object needs".
struct ObjectCode {
    /// A function, program or not.
    struct Function {
        var name: String
        var section: Int
        var range: Range<UInt64>
        var isGlobal: Bool
    }

    /// What instructions of a function lead to.
    struct References {
        /// Ids of helpers.
        var helpers: Set<Int32> = []
        /// Symbols that the object does not define, by name: kfuncs, variables of the kernel, values of its config.
        var externals: Set<String> = []
        /// Of these: those that are called.
        var calledExternals: Set<String> = []
        /// Of these: those whose address is taken, to see whether there is one.
        var askedExternals: Set<String> = []
        /// Indices of functions.
        var functions: Set<Int> = []
        var maps: Set<String> = []
        /// Those that not every kernel knows.
        var instructions: Set<InstructionKind> = []
    }

    private struct Symbol {
        var name: String
        var section: Int
        var value: UInt64
        var isWeak: Bool
        /// STT_SECTION
        var isSection: Bool
    }

    private struct Place: Hashable {
        var section: Int
        var offset: UInt64
    }

    let functions: [Function]
    /// Those that objects may do without.
    let weakExternals: Set<String>
    private let bytes: [UInt8]
    private let file: BPFObjectFile
    private let symbols: [Symbol]
    private let relocations: [Place: Int]

    init(_ bytes: [UInt8], _ file: BPFObjectFile) throws(FileProblem) {
        self.bytes = bytes
        self.file = file
        let reader = ByteReader(bytes)
        guard let table = file.sections.first(where: { $0.type == 2 }), file.sections.indices.contains(table.link)
        else {
            throw FileProblem(cause: "it has no symbols", advice: "do not strip it")
        }
        let strings = file.sections[table.link].content
        var symbols: [Symbol] = []
        var functions: [Function] = []
        for at in stride(from: table.content.lowerBound, to: table.content.upperBound, by: 24) {
            guard let name = reader.u32(at), let section = reader.u16(at + 6), let value = reader.u64(at + 8),
                let size = reader.u64(at + 16)
            else { break }
            let info = bytes[at + 4]
            let text = reader.string(name, in: strings) ?? ""
            symbols.append(
                Symbol(
                    name: text, section: Int(section), value: value, isWeak: info >> 4 == 2, isSection: info & 0xf == 3)
            )
            guard info & 0xf == 2, section > 0, file.sections.indices.contains(Int(section)),
                size <= UInt64(bytes.count), value <= UInt64(bytes.count)
            else { continue }
            functions.append(
                Function(
                    name: text, section: Int(section), range: value..<(value + size), isGlobal: info >> 4 != 0))
        }
        var relocations: [Place: Int] = [:]
        // SHT_REL
        for section in file.sections where section.type == 9 {
            for at in stride(from: section.content.lowerBound, to: section.content.upperBound, by: 16) {
                guard let place = reader.u64(at), let info = reader.u64(at + 8) else { break }
                relocations[Place(section: section.info, offset: place)] = Int(info >> 32)
            }
        }
        self.symbols = symbols
        self.functions = functions
        self.relocations = relocations
        weakExternals = Set(symbols.filter { $0.section == 0 && $0.isWeak }.map(\.name))
    }

    /// A program with all the functions that it reaches.
    func reached(from program: Int) -> (functions: [Int], references: References) {
        var all = References()
        var order: [Int] = []
        var waiting = [program]
        var seen: Set<Int> = []
        while let next = waiting.popLast() {
            guard seen.insert(next).inserted else { continue }
            order.append(next)
            let some = references(of: functions[next])
            all.helpers.formUnion(some.helpers)
            all.externals.formUnion(some.externals)
            all.calledExternals.formUnion(some.calledExternals)
            all.askedExternals.formUnion(some.askedExternals)
            all.maps.formUnion(some.maps)
            all.instructions.formUnion(some.instructions)
            waiting += some.functions
        }
        return (order, all)
    }

    private func references(of function: Function) -> References {
        var found = References()
        guard file.sections.indices.contains(function.section) else { return found }
        let content = file.sections[function.section].content
        let reader = ByteReader(bytes)
        var offset = function.range.lowerBound
        while offset + 8 <= function.range.upperBound, Int(offset) + 8 <= content.count {
            let at = content.lowerBound + Int(offset)
            let code = bytes[at]
            let source = bytes[at + 1] >> 4
            let field = Int16(bitPattern: reader.u16(at + 2) ?? 0)
            if let kind = InstructionKind(
                code: code, offset: field, immediate: Int32(bitPattern: reader.u32(at + 4) ?? 0))
            {
                found.instructions.insert(kind)
            }
            let immediate = Int64(Int32(bitPattern: reader.u32(at + 4) ?? 0))
            let symbol = relocations[Place(section: function.section, offset: offset)].flatMap {
                symbols.indices.contains($0) ? symbols[$0] : nil
            }
            switch (code, source) {
            // BPF_CALL of a helper
            case (0x85, 0): if symbol == nil { found.helpers.insert(Int32(truncatingIfNeeded: immediate)) }
            // BPF_CALL, BPF_PSEUDO_CALL or BPF_PSEUDO_KFUNC_CALL
            case (0x85, 1), (0x85, 2):
                if let symbol {
                    if symbol.section == 0 {
                        found.externals.insert(symbol.name)
                        found.calledExternals.insert(symbol.name)
                    } else {
                        let byteOffset = symbol.isSection ? (immediate + 1) * 8 : 0
                        add(symbol, byteOffset, &found)
                    }
                } else if source == 1 {
                    let target = Int64(offset) + (immediate + 1) * 8
                    if let index = self.function(in: function.section, at: target) { found.functions.insert(index) }
                }
            // BPF_LD_IMM64
            case (0x18, _):
                if let symbol {
                    if symbol.section == 0 {
                        found.externals.insert(symbol.name)
                        found.askedExternals.insert(symbol.name)
                    } else {
                        add(symbol, immediate, &found)
                    }
                }
                offset += 8
            default: break
            }
            offset += 8
        }
        return found
    }

    /// What an instruction with a symbol of the object leads to.
    private func add(_ symbol: Symbol, _ offset: Int64, _ found: inout References) {
        guard file.sections.indices.contains(symbol.section) else { return }
        let section = file.sections[symbol.section]
        if section.flags & 4 != 0 {
            let place = Int64(clamping: symbol.value) &+ (symbol.isSection ? offset : 0)
            if let index = function(in: symbol.section, at: place) { found.functions.insert(index) }
        } else if section.name == ".maps", !symbol.isSection {
            found.maps.insert(symbol.name)
        }
    }

    private func function(in section: Int, at offset: Int64) -> Int? {
        functions.firstIndex { $0.section == section && Int64($0.range.lowerBound) == offset }
    }
}
