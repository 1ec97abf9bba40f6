// SPDX-License-Identifier: Apache-2.0
internal import BTF
internal import CBpf
internal import Glibc
internal import LinuxIO
internal import Synchronization
internal import SystemPackage

/// Tells the host which instructions of a loaded program come from which lines of its source, so that a frame
/// `bpf_prog_TAG_NAME+0x1c` of a crash can be resolved when the guest is gone.
///
/// On the console, which has been written when the call returns, and only when the host asks for it: a line costs what
/// every line of the console costs. docs/agent-output.md, "Lines of programs".
///
/// - Source: `struct bpf_prog_info`, the same from 5.10 to 7.x; the kernel gives addresses to those who may see them
///   (CAP_SYSLOG, kernel.kptr_restrict below 2) and zeros to others.
enum ProgramLines {
    private static let wanted = Atomic<Bool>(false)

    /// From now on programs are reported.
    static func begin() { wanted.store(true, ordering: .relaxed) }

    static func end() { wanted.store(false, ordering: .relaxed) }

    /// A case's id for a process that was forked earlier: whether programs are reported goes with it.
    static func marked(_ id: String) -> String { (wanted.load(ordering: .relaxed) ? mark : "") + id }

    /// The id behind the mark, which is obeyed.
    static func unmarked(_ id: String) -> String {
        guard id.hasPrefix(mark) else { return id }
        begin()
        return String(id.dropFirst(mark.count))
    }

    private static let mark = "--report-lines "

    /// Reports the programs that an object has brought into the kernel.
    @safe static func report(_ object: OpaquePointer) {
        guard wanted.load(ordering: .relaxed) else { return }
        var next = unsafe bpf_object__next_program(object, nil)
        while let program = unsafe next {
            let descriptor = unsafe bpf_program__fd(program)
            // What cannot be told is missing from a crash's report, and harms nothing else.
            if descriptor >= 0 { Self.report(descriptor) }
            unsafe next = unsafe bpf_object__next_program(object, program)
        }
    }

    private static func report(_ descriptor: CInt) {
        guard let info = ProgramInfo(descriptor), let types = info.types else { return }
        var files: [String: Int] = [:]
        var room = 64 << 10
        func say(_ text: String) {
            room -= text.utf8.count
            if room > 0 { SuiteRun.sayOnConsole("bpftest: \(text)") }
        }
        say("programs")
        for (index, function) in info.functions.enumerated() {
            let address = String(function.address, radix: 16)
            say("program \(function.tag) \(address) \(function.length) \(function.name)")
            var last: (file: String, line: UInt32)?
            for (at, record) in zip(info.lineAddresses, info.lines) where function.holds(at) {
                let file = types.text(record.file)
                if let last, last == (file, record.line) { continue }
                last = (file, record.line)
                if files[file] == nil {
                    files[file] = files.count
                    say("file \(files[file] ?? 0) \(file.prefix(400))")
                }
                let source = types.text(record.source).drop { $0 == " " || $0 == "\t" }
                say("line \(index) \(at - function.address) \(files[file] ?? 0) \(record.line) \(source.prefix(200))")
            }
        }
    }
}

/// What the kernel tells of a program's machine code.
private struct ProgramInfo {
    struct Function {
        var tag: String
        var address: UInt64
        var length: UInt32
        var name: String

        func holds(_ at: UInt64) -> Bool { at >= address && at - address < UInt64(length) }
    }

    struct Line {
        /// Offsets in the strings of the program's BTF.
        var file: UInt32
        var source: UInt32
        var line: UInt32
    }

    private(set) var functions: [Function] = []
    private(set) var lines: [Line] = []
    private(set) var lineAddresses: [UInt64] = []
    private(set) var types: BTFStrings?

    private static let size = 192

    /// nil where the kernel tells nothing that a line could be found with.
    init?(_ descriptor: CInt) {
        guard case .success(let first) = BPFInfo.info(descriptor, size: Self.size) else { return nil }
        let counts = Counts(first)
        guard counts.areSensible, counts.lines > 0, counts.lines == counts.lineAddresses else { return nil }
        var addresses = [UInt8](repeating: 0, count: 8 * counts.functions)
        var lengths = [UInt8](repeating: 0, count: 4 * counts.functions)
        var names = [UInt8](repeating: 0, count: 8 * counts.names)
        var records = [UInt8](repeating: 0, count: 16 * counts.lines)
        var places = [UInt8](repeating: 0, count: 8 * counts.lines)
        var tags = [UInt8](repeating: 0, count: 8 * counts.tags)
        var info = [UInt8](repeating: 0, count: Self.size)
        // Counts and the sizes of records, as the kernel has just said, with the places for what they count.
        for (at, value) in counts.fields {
            for byte in 0..<4 { info[at + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
        }
        var attr = Attr(size: 16)
        attr.set(descriptor, at: 0)
        attr.set(UInt32(info.count), at: 4)
        let answer = unsafe addresses.withUnsafeMutableBytes { addresses in
            unsafe lengths.withUnsafeMutableBytes { lengths in
                unsafe names.withUnsafeMutableBytes { names in
                    unsafe records.withUnsafeMutableBytes { records in
                        unsafe places.withUnsafeMutableBytes { places in
                            unsafe tags.withUnsafeMutableBytes { tags in
                                unsafe info.withUnsafeMutableBytes { info in
                                    let all = unsafe [addresses, lengths, names, records, places, tags]
                                    let starts = unsafe all.map { UInt64(UInt(bitPattern: $0.baseAddress)) }
                                    for (at, start) in zip([112, 120, 136, 152, 160, 184], starts) {
                                        unsafe info.storeBytes(of: start, toByteOffset: at, as: UInt64.self)
                                    }
                                    attr.set(UInt64(UInt(bitPattern: info.baseAddress)), at: 8)
                                    return attr.call(.objGetInfoByFD)
                                }
                            }
                        }
                    }
                }
            }
        }
        guard answer.errno == nil, let types = BTFStrings(id: word(info, 128)) else { return nil }
        self.types = types
        let ownName = String(decoding: info[64..<80].prefix { $0 != 0 }, as: UTF8.self)
        for index in 0..<counts.functions {
            let address = long(addresses, 8 * index)
            guard address != 0 else { return nil }
            let named = index < counts.names ? types.name(of: word(names, 8 * index + 4)) : ""
            let tag = index < counts.tags ? tags[8 * index..<8 * index + 8] : info[8..<16]
            functions.append(
                Function(
                    tag: tag.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined(),
                    address: address, length: word(lengths, 4 * index), name: named.isEmpty ? ownName : named))
        }
        for index in 0..<counts.lines {
            lines.append(
                Line(
                    file: word(records, 16 * index + 4), source: word(records, 16 * index + 8),
                    line: word(records, 16 * index + 12) >> 10))
            lineAddresses.append(long(places, 8 * index))
        }
    }

    private struct Counts {
        let functions: Int
        let names: Int
        let lines: Int
        let lineAddresses: Int
        let tags: Int

        init(_ info: [UInt8]) {
            functions = Int(word(info, 104))
            names = Int(word(info, 144))
            lines = Int(word(info, 148))
            lineAddresses = Int(word(info, 168))
            tags = Int(word(info, 180))
        }

        var areSensible: Bool {
            [functions, names, lines, tags].allSatisfy { $0 < 1 << 20 } && functions > 0
        }

        /// Of `struct bpf_prog_info`, by their offsets.
        var fields: [(Int, Int)] {
            [
                (104, functions), (108, functions), (132, 8), (144, names), (148, lines), (168, lines), (172, 16),
                (176, 8), (180, tags),
            ]
        }
    }
}

/// The strings and names of a program's own BTF.
private struct BTFStrings {
    private let bytes: [UInt8]
    private let start: Int
    private let types: BTFTypes

    init?(id: UInt32) {
        guard id != 0, case .success(let raw) = BPFCall.byID(.btfGetFDByID, id) else { return nil }
        let file = FileHandle(adopting: raw)
        guard case .success(let first) = BPFInfo.info(file.raw, size: 16) else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(word(first, 8)))
        var info = [UInt8](repeating: 0, count: 16)
        var attr = Attr(size: 16)
        attr.set(file.raw, at: 0)
        attr.set(UInt32(info.count), at: 4)
        let count = UInt32(bytes.count)
        let answer = unsafe bytes.withUnsafeMutableBytes { space in
            unsafe info.withUnsafeMutableBytes { raw in
                unsafe raw.storeBytes(of: UInt64(UInt(bitPattern: space.baseAddress)), as: UInt64.self)
                unsafe raw.storeBytes(of: count, toByteOffset: 8, as: UInt32.self)
                attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 8)
                return attr.call(.objGetInfoByFD)
            }
        }
        // Types that are not understood are some other kernel's: without names there is nothing to tell.
        guard answer.errno == nil, bytes.count >= 24, let types = try? BTFTypes(bytes, base: nil) else { return nil }
        self.bytes = bytes
        self.types = types
        start = Int(word(bytes, 4)) + Int(word(bytes, 16))
    }

    func text(_ offset: UInt32) -> String {
        let from = start + Int(offset)
        guard from < bytes.count else { return "" }
        return String(decoding: bytes[from...].prefix { $0 != 0 }, as: UTF8.self)
    }

    func name(of type: UInt32) -> String { types.ids.contains(type) ? types.name(of: type) : "" }
}

private func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * $1) }
}

private func long(_ bytes: [UInt8], _ at: Int) -> UInt64 {
    UInt64(word(bytes, at)) | UInt64(word(bytes, at + 4)) << 32
}
