// SPDX-License-Identifier: Apache-2.0

/// A call on the programs of cgroups.
public enum CgroupStep: ScriptStep {
    /// BPF_PROG_ATTACH.
    case attach(CgroupName, MprogRequest)
    /// BPF_LINK_CREATE; nothing where the link's number is in use.
    case link(Int, CgroupName, MprogRequest)
    /// BPF_PROG_DETACH.
    case detach(CgroupName, MprogRequest)
    /// BPF_LINK_UPDATE.
    case update(Int, to: Thing, flags: MprogFlags, old: Thing)
    /// BPF_LINK_DETACH.
    case unlink(Int)
    /// close(2) of the only descriptor of a link.
    case close(Int)
    /// BPF_PROG_QUERY with room for so many.
    case query(CgroupName, room: Int, flags: UInt32)
    /// The cgroup is removed, and another one is made under its name; C alone, which has none below.
    case remake

    /// How many programs a cgroup takes.
    public static let limit = 64
}

public enum CgroupName: String, Sendable, Hashable, CaseIterable {
    /// Below the root.
    case a = "A"
    /// Below A.
    case b = "B"
    /// Below B.
    case c = "C"
    /// A descriptor that is not open.
    case absent
    /// A descriptor of something else.
    case foreign

    /// 0, 1, 2 from the top; nil for what is no cgroup.
    public var level: Int? {
        switch self {
        case .a: 0
        case .b: 1
        case .c: 2
        case .absent, .foreign: nil
        }
    }

    public static let all: [CgroupName] = [.a, .b, .c]
}

extension CgroupStep: CustomStringConvertible {
    public var description: String {
        switch self {
        case .attach(let name, let request): "attach \(name.rawValue) \(request)"
        case .link(let number, let name, let request): "link L\(number) \(name.rawValue) \(request)"
        case .detach(let name, let request): "detach \(name.rawValue) \(request)"
        case .update(let number, let to, let flags, let old):
            MprogStep.update(number, to: to, flags: flags, old: old).description
        case .unlink(let number): "unlink L\(number)"
        case .close(let number): "close L\(number)"
        case .query(let name, let room, let flags):
            "query \(name.rawValue) room \(room)" + (flags == 0 ? "" : " flags \(MprogFlags(rawValue: flags))")
        case .remake: "remake C"
        }
    }

    public init(text: String) throws(ScriptError) {
        var words = Words(text)
        switch try words.next("an operation") {
        case "attach": self = .attach(try words.cgroup(), try words.request())
        case "link": self = .link(try words.link(), try words.cgroup(), try words.request())
        case "detach": self = .detach(try words.cgroup(), try words.request())
        case "query":
            let name = try words.cgroup()
            let (room, flags) = try words.roomAndFlags()
            self = .query(name, room: room, flags: flags)
        case "remake":
            let name = try words.next("C")
            guard name == "C" else { throw ScriptError("only C can be made anew") }
            self = .remake
        case "clsact": throw ScriptError("unknown operation clsact")
        default:
            // The calls on links are the same everywhere.
            switch try MprogStep(text: text) {
            case .update(let number, let to, let flags, let old):
                self = .update(number, to: to, flags: flags, old: old)
            case .unlink(let number): self = .unlink(number)
            case .close(let number): self = .close(number)
            default: throw ScriptError("\(text) is no call on cgroups")
            }
            return
        }
        try words.end()
    }

    public var simpler: [CgroupStep] {
        switch self {
        case .attach(let name, let request): request.simpler.map { .attach(name, $0) }
        case .link(let number, let name, let request): request.simpler.map { .link(number, name, $0) }
        case .detach(let name, let request): request.simpler.map { .detach(name, $0) }
        case .update(let number, let to, let flags, let old) where !flags.isEmpty || old != .none:
            [.update(number, to: to, flags: [], old: .none)]
        case .update, .unlink, .close, .query, .remake: []
        }
    }

    /// The cgroup that is looked at after the step.
    ///
    /// - Parameter origins: where each link was last said to be made.
    public func name(_ origins: [CgroupName?]) -> CgroupName? {
        switch self {
        case .attach(let name, _), .link(_, let name, _), .detach(let name, _), .query(let name, _, _): name
        case .update(let number, _, _, _), .unlink(let number), .close(let number): origins[number]
        case .remake: .c
        }
    }
}

extension Words {
    mutating func cgroup() throws(ScriptError) -> CgroupName {
        let word = try next("a cgroup")
        guard let name = CgroupName(rawValue: word) else {
            throw ScriptError("\(word) is none of the cgroups A, B, C, absent, foreign")
        }
        return name
    }
}
