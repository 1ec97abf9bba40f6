// SPDX-License-Identifier: Apache-2.0

/// The surfaces of several kernels on one page.
public enum SurfacePage {
    /// - Parameter surfaces: oldest first.
    /// - Returns: Markdown; the same for the same surfaces.
    public static func markdown(_ surfaces: [Surface]) -> String {
        var text = """
            <!-- SPDX-License-Identifier: Apache-2.0 -->
            # The surface of kernels

            What these kernels offer to BPF programs, as they said themselves when they were booted: `make surface` \
            makes this page anew. How it is found out: [surface-format.md](surface-format.md).

            | | kernel | helpers | kfuncs | program types | map types | attach types | link types |
            |---|---|---|---|---|---|---|---|

            """
        for (index, one) in surfaces.enumerated() {
            let counts = [
                one.helpers.count, one.kfuncs.count, one.programTypes.count, one.mapTypes.count,
                one.attachTypes.count, one.linkTypes.count,
            ]
            text += "| \(column(index)) | `\(one.kernel)` | \(counts.map(String.init).joined(separator: " | ")) |\n"
        }
        let notes = surfaces.enumerated().flatMap { index, one in one.notes.map { "- \(column(index)): \($0)\n" } }
        if !notes.isEmpty { text += "\n" + notes.joined() }
        text += changes(surfaces)
        for area in Surface.Area.allCases { text += table(area, surfaces) }
        return text + kfuncs(surfaces)
    }

    /// Kernels are columns a, b, c, …: their names are too long for headings of tables.
    private static func column(_ index: Int) -> String {
        index < 26 ? String(UnicodeScalar(UInt8(97 + index))) : "k\(index + 1)"
    }

    private static func heading(_ first: String, _ surfaces: [Surface]) -> String {
        let columns = surfaces.indices.map { column($0) }
        let rule = String(repeating: "---|", count: 1 + columns.count)
        return "| \(first) | \(columns.joined(separator: " | ")) |\n|\(rule)\n"
    }

    // MARK: Step by step

    private static func changes(_ surfaces: [Surface]) -> String {
        var text = "\n## From each kernel to the next\n\n"
        let kinds = ["added", "removed or renumbered"]
        text += "| from | to | helpers and types: \(kinds.joined(separator: " / ")) | kfuncs: added / removed "
        text += "| kfuncs with another signature / other flags / for other programs |\n|---|---|---|---|---|\n"
        for index in surfaces.indices.dropFirst() {
            let diff = SurfaceDiff(from: surfaces[index - 1], to: surfaces[index])
            func count(_ isKfunc: Bool, _ kinds: SurfaceDiff.Kind...) -> String {
                "\(diff.changes.filter { ($0.area == "kfunc") == isKfunc && kinds.contains($0.kind) }.count)"
            }
            text += "| \(column(index - 1)) | \(column(index)) | "
            text += [count(false, .added), count(false, .removed, .renumbered)].joined(separator: " / ") + " | "
            text += [count(true, .added), count(true, .removed)].joined(separator: " / ") + " | "
            let others = [count(true, .signature), count(true, .flags), count(true, .hooks)]
            text += others.joined(separator: " / ") + " |\n"
        }
        return text
    }

    // MARK: Names with numbers

    private static func table(_ area: Surface.Area, _ surfaces: [Surface]) -> String {
        var names: [(name: String, value: Int64)] = []
        var seen: Set<String> = []
        for surface in surfaces {
            for one in surface[area] where seen.insert(one.name).inserted { names.append((one.name, one.value)) }
        }
        names.sort { ($0.value, $0.name) < ($1.value, $1.name) }
        var text = "\n## \(area.title)\n\n"
        if area == .helpers {
            text += "The first of these kernels that has it; a helper that a later one lacks, or has under another "
            text += "number, is marked.\n\n| id | helper | first |\n|---|---|---|\n"
        } else {
            text += "`+` the kernel has it, `-` it has the name and refuses a small one.\n\n"
            text += heading("number and name", surfaces)
        }
        for (name, value) in names {
            let cells = surfaces.map { surface in surface[area].first { $0.name == name } }
            let others = cells.compactMap { $0?.value }.filter { $0 != value }
            let first = cells.firstIndex { $0 != nil } ?? 0
            let gone = cells[first...].contains { $0 == nil }
            let mark = (others.isEmpty ? "" : " **renumbered**") + (gone ? " **gone**" : "")
            if area == .helpers {
                text += "| \(value) | `\(name)` | \(column(first))\(mark) |\n"
            } else {
                let signs = cells.map { one in one.map { $0.accepted == false ? "-" : "+" } ?? "" }
                text += "| \(value) `\(name)`\(mark) | \(signs.joined(separator: " | ")) |\n"
            }
        }
        return text
    }

    // MARK: Kfuncs

    private static func kfuncs(_ surfaces: [Surface]) -> String {
        var text = """

            ## Kfuncs

            `+` the kernel has it; `s` its signature, `f` its flags, `p` the kinds of programs that may call it are \
            others than in the kernel before that had it; `?` its flags are not known. Flags and programs are those of \
            the newest kernel that has it. A module's name stands behind the function.


            """
        text += heading("kfunc", surfaces)
        let all = surfaces.map { Dictionary(grouping: $0.kfuncs, by: \.name) }
        let names = all.reduce(into: Set<String>()) { $0.formUnion($1.keys) }.sorted()
        for name in names {
            var before: Surface.Kfunc?
            var cells: [String] = []
            for kernel in all {
                guard let one = kernel[name]?.first else {
                    cells.append("")
                    continue
                }
                cells.append(cell(one, before))
                before = one
            }
            guard let newest = before else { continue }
            let module = newest.module == "vmlinux" ? "" : " [\(newest.module)]"
            text += "| `\(name)`\(module) | \(cells.joined(separator: " | ")) |\n"
        }
        text += "\n### Prototypes, flags and programs\n\n| kfunc | prototype | flags | for |\n|---|---|---|---|\n"
        for name in names {
            guard let newest = all.compactMap({ $0[name]?.first }).last else { continue }
            let flags = newest.flags.map { $0.map(short).joined(separator: " ") } ?? "unknown"
            let hooks = newest.hooks?.joined(separator: " ") ?? "unknown"
            text += "| `\(name)` | `\(newest.prototype)` | \(flags) | \(hooks) |\n"
        }
        return text
    }

    private static func short(_ flag: String) -> String {
        flag.hasPrefix("KF_") ? String(flag.dropFirst(3)) : flag
    }

    private static func cell(_ one: Surface.Kfunc, _ before: Surface.Kfunc?) -> String {
        var marks = ""
        if let before {
            if before.signature != one.signature { marks += "s" }
            if let was = before.flags, let now = one.flags, was != now { marks += "f" }
            if let was = before.hooks, let now = one.hooks, was != now { marks += "p" }
        }
        if one.flags == nil { marks += "?" }
        return marks.isEmpty ? "+" : marks
    }
}
