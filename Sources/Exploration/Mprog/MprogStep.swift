// SPDX-License-Identifier: Apache-2.0

/// A call on lists of programs, or a change of what they hang on.
public enum MprogStep: ScriptStep {
    /// BPF_PROG_ATTACH.
    case attach(MprogPlace, MprogRequest)
    /// BPF_LINK_CREATE; nothing where the link's number is in use.
    case link(Int, MprogPlace, MprogRequest)
    /// BPF_PROG_DETACH.
    case detach(MprogPlace, MprogRequest)
    /// BPF_LINK_UPDATE.
    case update(Int, to: Thing, flags: MprogFlags, old: Thing)
    /// BPF_LINK_DETACH.
    case unlink(Int)
    /// close(2) of the only descriptor of a link.
    case close(Int)
    /// BPF_PROG_QUERY with room for so many.
    case query(MprogPlace, room: Int, flags: UInt32)
    /// The device is removed, and another one is made under its name.
    case remake(MprogDevice)
    /// The qdisc clsact comes or goes; nothing where it is so already.
    case clsact(MprogDevice, isThere: Bool)

    /// How many links can be held at a time.
    public static let links = 24
    /// How many programs there are: one more than a list takes, and a few.
    public static let programs = 66
}

/// What a descriptor or an id stands for.
public enum Thing: Sendable, Hashable {
    /// 0.
    case none
    case program(Int)
    case link(Int)
    case map
    /// A program of a type that no list takes.
    case otherType
    /// A descriptor that is not open, an id that nothing has.
    case closed
}

public enum MprogDevice: String, Sendable, Hashable, CaseIterable {
    case a = "A"
    case b = "B"
    /// No device has its number.
    case absent
    /// The end of A that lists are not attached through: netkit alone.
    case peer
    /// A device of another kind: netkit alone.
    case foreign
}

public enum MprogHook: String, Sendable, Hashable {
    case ingress
    case egress
    case primary
    case peer
}

public struct MprogPlace: Sendable, Hashable {
    public var device: MprogDevice
    public var hook: MprogHook

    public init(_ device: MprogDevice, _ hook: MprogHook) {
        self.device = device
        self.hook = hook
    }
}

/// The kernel's flags of attach, detach and link creation, and any other bit.
public struct MprogFlags: OptionSet, Sendable, Hashable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let allowOverride = MprogFlags(rawValue: 1 << 0)
    public static let allowMulti = MprogFlags(rawValue: 1 << 1)
    public static let replace = MprogFlags(rawValue: 1 << 2)
    public static let before = MprogFlags(rawValue: 1 << 3)
    public static let after = MprogFlags(rawValue: 1 << 4)
    public static let id = MprogFlags(rawValue: 1 << 5)
    public static let preorder = MprogFlags(rawValue: 1 << 6)
    public static let link = MprogFlags(rawValue: 1 << 13)

    /// What programs on devices may be attached with.
    static let ofDevices: MprogFlags = [.replace, .before, .after, .id, .link]
}

/// `expected_revision`.
public enum MprogRevision: Sendable, Hashable {
    /// 0: no expectation.
    case any
    case exactly(UInt64)
    /// So much beside the one that the list has.
    case right(Int64)
}

/// The fields of an attach, a detach or a link creation.
public struct MprogRequest: Sendable, Hashable {
    public var program: Thing
    public var flags: MprogFlags
    /// `relative_fd`, or `relative_id` where the flags say so.
    public var anchor: Thing
    /// `replace_bpf_fd`; also given where the flags do not ask for it.
    public var replace: Thing
    public var revision: MprogRevision

    public init(
        _ program: Thing, _ flags: MprogFlags = [], anchor: Thing = .none, replace: Thing = .none,
        revision: MprogRevision = .any
    ) {
        self.program = program
        self.flags = flags
        self.anchor = anchor
        self.replace = replace
        self.revision = revision
    }
}
