// SPDX-License-Identifier: Apache-2.0

/// Where programs begin in their source text, from the line information of `.BTF.ext`.
///
/// - Source: Documentation/bpf/btf.rst, "line_info".
struct SourceLines {
    private struct Place: Hashable {
        var section: String
        var offset: UInt64
    }

    private var places: [Place: (file: String, line: Int)] = [:]

    /// What cannot be read is left out: it only says where something is.
    init(types: [UInt8], extended: [UInt8]) {
        let reader = ByteReader(extended)
        let text = ByteReader(types)
        guard reader.u16(0) == 0xeb9f, let header = reader.u32(4), let offset = reader.u32(16),
            let length = reader.u32(20), let info = reader.range(Int(header) + Int(offset), Int(length)),
            let textHeader = text.u32(4), let stringOffset = text.u32(16), let stringLength = text.u32(20),
            let strings = text.range(Int(textHeader) + Int(stringOffset), Int(stringLength)),
            let size = reader.u32(info.lowerBound), size >= 16
        else { return }
        var at = info.lowerBound + 4
        while at + 8 <= info.upperBound, let name = reader.u32(at), let count = reader.u32(at + 4) {
            at += 8
            guard let section = text.string(name, in: strings) else { return }
            for _ in 0..<count {
                guard at + Int(size) <= info.upperBound, let instruction = reader.u32(at),
                    let file = reader.u32(at + 4), let column = reader.u32(at + 12)
                else { return }
                at += Int(size)
                let place = Place(section: section, offset: UInt64(instruction))
                guard places[place] == nil, let name = text.string(file, in: strings) else { continue }
                places[place] = (name, Int(column >> 10))
            }
        }
    }

    func line(of program: BPFObjectFile.Program) -> (file: String, line: Int)? {
        places[Place(section: program.section, offset: program.offset)]
    }
}
