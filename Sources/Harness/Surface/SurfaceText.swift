// SPDX-License-Identifier: Apache-2.0

/// Surfaces and their differences as text for people.
public enum SurfaceText {
    /// A kernel's surface.
    public static func table(_ surface: Surface) -> String {
        var text = "Surface of \(surface.kernel)\n"
        for note in surface.notes { text += "note: \(note)\n" }
        for area in Surface.Area.allCases {
            let entries = surface[area]
            text += "\n\(area.title) (\(entries.count))\n"
            let width = entries.map { "\($0.value)".count }.max() ?? 0
            for one in entries {
                let number = "\(one.value)"
                let refused = one.accepted == false ? "  (refused by this kernel)" : ""
                let space = String(repeating: " ", count: 2 + width - number.count)
                text += "\(space)\(number)  \(one.name)\(refused)\n"
            }
        }
        text += "\nKfuncs (\(surface.kfuncs.count))\n"
        for one in surface.kfuncs {
            text += "  \(one.name)" + (one.module == "vmlinux" ? "" : " [\(one.module)]") + "\n"
            text += "      \(one.prototype)\n"
            text += "      flags: \(one.flags.map(SurfaceDiff.list) ?? "unknown")"
            text += "; for: \(one.hooks.map(SurfaceDiff.list) ?? "unknown")\n"
        }
        return text
    }

    /// What is different.
    public static func table(_ diff: SurfaceDiff) -> String {
        var text = "From \(diff.from) to \(diff.to)\n"
        if diff.changes.isEmpty { return text + "no difference\n" }
        let areas = Surface.Area.allCases.map { ($0.rawValue, $0.title) } + [("kfunc", "Kfuncs")]
        for (area, title) in areas {
            let changes = diff.changes.filter { $0.area == area }
            if changes.isEmpty { continue }
            let counts = SurfaceDiff.Kind.allCases.compactMap { kind -> String? in
                let count = changes.filter { $0.kind == kind }.count
                return count == 0 ? nil : "\(count) \(word(kind))"
            }
            text += "\n\(title): \(counts.joined(separator: ", "))\n"
            for change in changes { text += line(change) }
        }
        let breaks = diff.changes.filter(\.breaksABI).count
        text += "\n" + (breaks == 0 ? "No ABI break.\n" : "\(breaks) ABI break\(breaks == 1 ? "" : "s").\n")
        return text
    }

    private static func word(_ kind: SurfaceDiff.Kind) -> String {
        switch kind {
        case .added: "added"
        case .removed: "removed"
        case .renumbered: "renumbered"
        case .renamed: "renamed"
        case .signature: "with another signature"
        case .flags: "with other flags"
        case .hooks: "for other programs"
        case .moved: "in another module"
        case .accepted: "answered otherwise"
        }
    }

    private static func line(_ change: SurfaceDiff.Change) -> String {
        let mark = change.breaksABI ? "! ABI break: " : ""
        switch change.kind {
        case .added: return "  + \(change.name)  \(change.after ?? "")\n"
        case .removed: return "  - \(mark)\(change.name)  \(change.before ?? "")\n"
        case .signature, .flags, .hooks:
            return "  ~ \(change.name): \(change.kind.rawValue)\n"
                + "      \(change.before ?? "")\n      \(change.after ?? "")\n"
        case .renumbered, .renamed, .moved, .accepted:
            return "  ~ \(mark)\(change.name): \(word(change.kind)): \(change.before ?? "") -> \(change.after ?? "")\n"
        }
    }
}
