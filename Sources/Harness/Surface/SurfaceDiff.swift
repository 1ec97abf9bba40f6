// SPDX-License-Identifier: Apache-2.0

/// What is different in one kernel's surface from another's.
public struct SurfaceDiff: Sendable, Equatable, Codable {
    public static let currentFormat = "bpftest-surface-diff"

    public var format = SurfaceDiff.currentFormat
    public var version = Surface.currentVersion
    public var from: String
    public var to: String
    /// In the order of areas, then of names.
    public var changes: [Change] = []

    public struct Change: Sendable, Equatable, Codable {
        /// `helper`, `kfunc`, `program type` and so on.
        public var area: String
        public var name: String
        public var kind: Kind
        /// What it was; nil: it was not there.
        public var before: String?
        public var after: String?
        /// Whether it breaks what the kernel promises to programs: helpers and numbers stay.
        public var breaksABI: Bool

        public init(area: String, name: String, kind: Kind, before: String?, after: String?, breaksABI: Bool = false) {
            self.area = area
            self.name = name
            self.kind = kind
            self.before = before
            self.after = after
            self.breaksABI = breaksABI
        }
    }

    public enum Kind: String, Sendable, Codable, CaseIterable {
        case added
        case removed
        /// The name has another number.
        case renumbered
        /// The number has another name.
        case renamed
        /// Another prototype, whatever its parameters are called.
        case signature
        case flags
        /// Registered for other kinds of programs.
        case hooks
        /// It is in another module, or was.
        case moved
        /// The kernel took it when it was tried, and does not any more, or the other way round.
        case accepted
    }

    /// - Parameters:
    ///   - old: what is compared with.
    ///   - new: what has changed since.
    public init(from old: Surface, to new: Surface) {
        from = old.kernel
        to = new.kernel
        for area in Surface.Area.allCases { changes += Self.compare(area, old[area], new[area]) }
        changes += Self.compare(old.kfuncs, new.kfuncs)
    }

    public var breaksABI: Bool { changes.contains(where: \.breaksABI) }

    // MARK: Names with numbers

    private static func compare(_ area: Surface.Area, _ old: [Surface.Named], _ new: [Surface.Named]) -> [Change] {
        let before = Dictionary(old.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let after = Dictionary(new.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var changes: [Change] = []
        func add(_ name: String, _ kind: Kind, _ before: String?, _ after: String?, breaks: Bool = false) {
            changes.append(
                Change(area: area.rawValue, name: name, kind: kind, before: before, after: after, breaksABI: breaks))
        }
        for one in old {
            guard let now = after[one.name] else {
                // A number that goes on under another name alone: objects of old run as before, sources do not compile.
                let others = new.filter { $0.value == one.value && before[$0.name] == nil }
                if let other = others.first {
                    add(one.name, .renamed, "\(one.value)", "\(other.name) \(other.value)")
                } else {
                    add(one.name, .removed, "\(one.value)", nil, breaks: true)
                }
                continue
            }
            if now.value != one.value {
                add(one.name, .renumbered, "\(one.value)", "\(now.value)", breaks: true)
            }
            if let was = one.accepted, let isNow = now.accepted, was != isNow {
                add(one.name, .accepted, was ? "taken" : "refused", isNow ? "taken" : "refused")
            }
        }
        let renamed = Set(
            changes.filter { $0.kind == .renamed }.compactMap {
                $0.after?.split(separator: " ").first.map(String.init)
            })
        for one in new where before[one.name] == nil && !renamed.contains(one.name) {
            add(one.name, .added, nil, "\(one.value)")
        }
        return changes.sorted { ($0.name, $0.kind.rawValue) < ($1.name, $1.kind.rawValue) }
    }

    // MARK: Kfuncs

    private static func compare(_ old: [Surface.Kfunc], _ new: [Surface.Kfunc]) -> [Change] {
        let before = Dictionary(grouping: old, by: \.name)
        let after = Dictionary(grouping: new, by: \.name)
        var changes: [Change] = []
        for name in Set(before.keys).union(after.keys).sorted() {
            func add(_ kind: Kind, _ before: String?, _ after: String?) {
                changes.append(Change(area: "kfunc", name: name, kind: kind, before: before, after: after))
            }
            // A name that several modules have is compared module by module.
            let were = before[name] ?? []
            let are = after[name] ?? []
            guard were.count <= 1, are.count <= 1 else {
                changes += compareSeveral(name, were, are)
                continue
            }
            changes += compare(name, were.first, are.first)
        }
        return changes
    }

    private static func compareSeveral(_ name: String, _ old: [Surface.Kfunc], _ new: [Surface.Kfunc]) -> [Change] {
        Set((old + new).map(\.module)).sorted().flatMap { module in
            compare("\(name) [\(module)]", old.first { $0.module == module }, new.first { $0.module == module })
        }
    }

    private static func compare(_ name: String, _ old: Surface.Kfunc?, _ new: Surface.Kfunc?) -> [Change] {
        var changes: [Change] = []
        func add(_ kind: Kind, _ before: String?, _ after: String?) {
            changes.append(Change(area: "kfunc", name: name, kind: kind, before: before, after: after))
        }
        guard let old else {
            add(.added, nil, new?.prototype)
            return changes
        }
        guard let new else {
            add(.removed, old.prototype, nil)
            return changes
        }
        if old.module != new.module { add(.moved, old.module, new.module) }
        if old.signature != new.signature { add(.signature, old.prototype, new.prototype) }
        if let was = old.flags, let isNow = new.flags, was != isNow { add(.flags, Self.list(was), Self.list(isNow)) }
        if let was = old.hooks, let isNow = new.hooks, was != isNow { add(.hooks, Self.list(was), Self.list(isNow)) }
        return changes
    }

    static func list(_ words: [String]) -> String { words.isEmpty ? "none" : words.joined(separator: " ") }

    public func json() throws(HarnessError) -> String { try Surface.json(self) }
}
