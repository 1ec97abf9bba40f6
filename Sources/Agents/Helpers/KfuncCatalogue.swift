// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// docs/semantics/kfuncs-catalogue.csv, which is brought into the guest beside the objects.
struct KfuncCatalogue {
    /// The releases that have columns.
    static let releases: [KernelRelease] = [.v6_1, .v6_12, .v7_2, .v7_3]

    struct Row {
        /// What the sources of one release say.
        private struct Column {
            let flags: String
            let types: String
            let set: String
        }

        let name: String
        let file: String
        let config: String
        let isOfTestModule: Bool
        /// In the order of `releases`.
        private let columns: [Column]
        private let latestPrototype: String
        private let earlierPrototypes: String

        fileprivate init(_ fields: [String], _ places: [String: Int]) {
            func field(_ column: String) -> String {
                guard let place = places[column], place < fields.count else { return "" }
                return fields[place]
            }
            name = field("kfunc")
            file = field("file")
            config = field("config")
            isOfTestModule = field("in_testmod") == "yes"
            columns = KfuncCatalogue.releases.map { release in
                Column(
                    flags: field("\(release)_flags"), types: field("\(release)_types"), set: field("\(release)_set"))
            }
            latestPrototype = field("proto_latest")
            earlierPrototypes = field("proto_earlier")
        }

        private func column(_ release: KernelRelease) -> Column? {
            KfuncCatalogue.releases.firstIndex(of: release).map { columns[$0] }
        }

        /// Whether the sources of a release register it.
        func isIn(_ release: KernelRelease) -> Bool {
            column(release).map { !$0.set.isEmpty || !$0.types.isEmpty } ?? false
        }

        func flags(in release: KernelRelease) -> [String] {
            column(release)?.flags.split(separator: " ").map(String.init) ?? []
        }

        /// The types of programs that it is registered for: `XDP`, or with a filter in brackets `LSM[filter]`.
        func types(in release: KernelRelease) -> [String] {
            column(release)?.types.split(separator: " ").map(String.init) ?? []
        }

        /// Its prototypes in a release, several where a stable update changed it; none where the catalogue does not say.
        func prototypes(in release: KernelRelease) -> [String] {
            // `7.2.6: PROTOTYPE | 6.12: PROTOTYPE | 6.1: PROTOTYPE`, each up to its release, the newest first.
            var found = latestPrototype
            var before: [String] = []
            for part in earlierPrototypes.components(separatedBy: " | ") {
                let words = part.components(separatedBy: ": ")
                guard words.count == 2, let until = KernelRelease(words[0]) else { continue }
                let isUpdate = words[0].split(separator: ".").count > 2
                if isUpdate, release == until { before.append(words[1]) }
                if isUpdate ? release < until : release <= until { found = words[1] }
            }
            return (before + [found]).filter { !$0.isEmpty }.map(Prototype.canonical)
        }
    }

    let rows: [Row]

    init() throws {
        var records = Self.parse(try readFile(BPFObject.directory + "/helpers/kfuncs-catalogue.csv"))
        guard records.count > 1 else { throw Errno.badMessage }
        let head = records.removeFirst()
        let places = Dictionary(zip(head, head.indices)) { first, _ in first }
        rows = records.map { Row($0, places) }
    }

    /// The columns that hold for a kernel: its own release's, or those of the neighbours on both sides.
    static func columns(for release: KernelRelease) -> [KernelRelease] {
        if releases.contains(release) { return [release] }
        return [releases.last { $0 < release }, releases.first { $0 > release }].compactMap { $0 }
    }

    /// Comma-separated values with quotes.
    private static func parse(_ text: [UInt8]) -> [[String]] {
        var records: [[String]] = []
        var record: [String] = []
        var field: [UInt8] = []
        var isQuoted = false
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: "\r") where !isQuoted: break
            case UInt8(ascii: ",") where !isQuoted, UInt8(ascii: "\n") where !isQuoted:
                record.append(String(decoding: field, as: UTF8.self))
                field.removeAll(keepingCapacity: true)
                if byte == UInt8(ascii: "\n") {
                    records.append(record)
                    record.removeAll(keepingCapacity: true)
                }
            default: field.append(byte)
            }
        }
        return records
    }
}

/// Prototypes of functions as text.
enum Prototype {
    /// What the verifier passes of its own accord, and programs do not see.
    private static let implicit = [
        "struct btf_struct_meta *meta, u64 off", "struct btf_struct_meta *meta", "const struct bpf_prog_aux *aux",
        "struct bpf_prog_aux *aux",
    ]

    /// One form for what sources and BTF have in two: C's names of integers, stars at names, no parameters of
    /// callbacks, no `__user`, no implicit arguments.
    static func canonical(_ text: String) -> String {
        var text = text
        for (long, short) in [
            ("__user ", ""), ("long long unsigned int", "unsigned long long"),
            ("long unsigned int", "unsigned long"), ("long long int", "long long"), ("long int", "long"),
            ("short unsigned int", "unsigned short"), ("short int", "short"), ("* ", " *"), ("  ", " "),
        ] {
            text = text.components(separatedBy: long).joined(separator: short)
        }
        text = withoutCallbackParameters(text)
        for tail in implicit where text.hasSuffix(tail + ")") {
            text = String(text.dropLast(tail.count + 1))
            if text.hasSuffix(", ") { return text.dropLast(2) + ")" }
            return text + "void)"
        }
        return text
    }

    /// `bool (*less)(struct a *, struct b *)` and `bool (less)(struct a *a, struct b *b)` as `bool (*less)()`.
    private static func withoutCallbackParameters(_ text: String) -> String {
        var result = ""
        var depth = 0
        var skipping = false
        var last: Character = " "
        for character in text {
            if character == "(" {
                depth += 1
                if depth == 2 {
                    skipping = last == ")"
                    result.append("(")
                    if !skipping { result.append("*") }
                    last = "("
                    continue
                }
            }
            if character == ")" {
                depth -= 1
                if depth == 1 { skipping = false }
            }
            let isStarOfCallback = character == "*" && depth == 2 && last == "("
            if !skipping, !isStarOfCallback { result.append(character) }
            last = character
        }
        return result
    }
}
