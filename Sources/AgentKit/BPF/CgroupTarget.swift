// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// One of a cgroup's lists of programs: a cgroup and an attach type.
///
/// As with `MprogTarget` every call is the raw system call; the attr's fields are the same ones.
public struct CgroupTarget: Sendable, Hashable {
    /// A descriptor of the cgroup's directory, or of whatever a case gives for one.
    public var cgroup: CInt
    public var type: AttachType

    public init(_ cgroup: CInt, _ type: AttachType) {
        self.cgroup = cgroup
        self.type = type
    }

    private var list: MprogTarget { MprogTarget(ifindex: UInt32(bitPattern: cgroup), type: type) }

    /// BPF_PROG_ATTACH; nil on success.
    ///
    /// - Parameter relative: descriptor or id of the anchor, whatever the flags say it is.
    public func attach(
        _ program: CInt, _ flags: AttachFlags = [], relative: UInt32 = 0, replace: CInt = 0, revision: UInt64 = 0
    ) -> Errno? {
        list.attach(program, flags, relative: relative, replace: replace, revision: revision)
    }

    /// BPF_PROG_DETACH; nil on success.
    public func detach(
        _ program: CInt, _ flags: AttachFlags = [], relative: UInt32 = 0, revision: UInt64 = 0
    ) -> Errno? {
        list.detach(program, flags, relative: relative, revision: revision)
    }

    /// BPF_LINK_CREATE: a link is always one of several (ALLOW_MULTI is implied).
    public func createLink(
        _ program: CInt, _ flags: AttachFlags = [], relative: UInt32 = 0, revision: UInt64 = 0
    ) -> Result<BPFLink, Errno> {
        list.createLink(program, flags, relative: relative, revision: revision)
    }

    // MARK: Looking

    /// What BPF_PROG_QUERY says about a list.
    public struct Contents: Sendable, Equatable {
        /// Ids, as many as there was room for.
        public var programs: [UInt32]
        /// `prog_attach_flags`, where they were asked for.
        public var programFlags: [UInt32]
        /// What the kernel counted, also beyond the room given.
        public var count: UInt32
        /// `attach_flags`: OVERRIDE or MULTI, as of the list's first program.
        public var flags: AttachFlags
        /// 0 where the kernel knows none.
        public var revision: UInt64
    }

    /// What a query asks for beside the programs of the cgroup itself.
    public struct QueryOptions: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// BPF_F_QUERY_EFFECTIVE: what runs in the cgroup, its ancestors' programs too.
        public static let effective = QueryOptions(rawValue: 1)
        /// `prog_attach_flags` is given (6.0).
        public static let programFlags = QueryOptions(rawValue: 2)
    }

    /// BPF_PROG_QUERY.
    ///
    /// - Returns: what was filled in, and the errno: ENOSPC comes with as many programs as there was room for.
    public func query(_ options: QueryOptions = [], room: Int = 130) -> (contents: Contents, errno: Errno?) {
        // What the kernel does not write stays as it is.
        var programs = [UInt32](repeating: Self.untouched, count: room)
        var flags = programs
        var attr = Attr(size: 64)
        attr.set(cgroup, at: 0)
        attr.set(type.rawValue, at: 4)
        if options.contains(.effective) { attr.set(UInt32(1), at: 8) }
        attr.set(UInt32(room), at: 24)
        let answer = unsafe programs.withUnsafeMutableBytes { programs in
            unsafe flags.withUnsafeMutableBytes { flags in
                if room > 0 {
                    attr.set(UInt64(UInt(bitPattern: programs.baseAddress)), at: 16)
                    if options.contains(.programFlags) { attr.set(UInt64(UInt(bitPattern: flags.baseAddress)), at: 32) }
                }
                return attr.call(.progQuery)
            }
        }
        let written = programs.prefix { $0 != Self.untouched }
        let contents = Contents(
            programs: Array(written), programFlags: Array(flags.prefix { $0 != Self.untouched }),
            count: attr.get(at: 24), flags: AttachFlags(rawValue: attr.get(at: 12)), revision: attr.get(at: 56))
        return (contents, answer.errno)
    }

    /// No id and no flags.
    private static let untouched: UInt32 = 0xffff_ffff
}

/// `struct bpf_link_info` of a cgroup's link.
public struct CgroupLinkInfo: Sendable, Equatable {
    public var type: UInt32
    public var id: UInt32
    public var program: UInt32
    /// 0: the cgroup is gone, or the link was detached.
    public var cgroup: UInt64
    public var attachType: UInt32

    /// BPF_OBJ_GET_INFO_BY_FD.
    public static func of(_ link: BPFLink) throws(Errno) -> CgroupLinkInfo {
        let bytes = try BPFInfo.info(link.raw, size: 32).get()
        return CgroupLinkInfo(
            type: UInt32(bytes, at: 0), id: UInt32(bytes, at: 4), program: UInt32(bytes, at: 8),
            cgroup: UInt64(bytes, at: 16), attachType: UInt32(bytes, at: 24))
    }
}

extension Feature {
    /// Programs on cgroups (CONFIG_CGROUP_BPF, 4.10), all that the oldest kernel here has of them.
    public static let cgroupPrograms = Feature("cgroup-bpf", since: "4.15", config: ["CONFIG_CGROUP_BPF"]) {
        onCgroup([.allowMulti])
    }

    /// Positions in a cgroup's list, and its revision (commit 1209339844601, 6.17).
    public static let cgroupOrdering = Feature("cgroup-ordering", since: "6.17", config: ["CONFIG_CGROUP_BPF"]) {
        onCgroup([.allowMulti, .before])
    }

    /// BPF_F_PREORDER (commit 4b82b181a26c, 6.15).
    public static let cgroupPreorder = Feature("cgroup-preorder", since: "6.15", config: ["CONFIG_CGROUP_BPF"]) {
        onCgroup([.allowMulti, .preorder])
    }

    /// BPF_F_PREORDER of links: with the positions (commit 1209339844601, 6.17); before it a link takes no flags.
    public static let cgroupPreorderLinks = Feature(
        "cgroup-preorder-links", since: "6.17", config: ["CONFIG_CGROUP_BPF"]
    ) {
        onCgroup("BPF_LINK_CREATE on a cgroup with PREORDER") { (target, program) throws(Errno) in
            _ = try target.createLink(program, .preorder).get()
        }
    }

    /// Attaches a program to a cgroup that nobody is in, and says whether that is taken.
    private static func onCgroup(_ flags: AttachFlags) -> Presence {
        onCgroup("BPF_PROG_ATTACH to a cgroup with \(flags)") { (target, program) throws(Errno) in
            if let errno = target.attach(program, flags) { throw errno }
        }
    }

    /// Makes a call on a cgroup that nobody is in, with a program, and says whether it is taken.
    private static func onCgroup(
        _ name: String, _ call: (CgroupTarget, CInt) throws(Errno) -> Void
    ) -> Presence {
        var step = "mount of cgroup2"
        do throws(Errno) {
            if let errno = Cgroup.mount() { throw errno }
            step = "mkdir of a cgroup"
            let cgroup = try Cgroup(under: .root, "bpftest-probe")
            defer { _ = cgroup.remove() }
            let directory = try cgroup.open()
            step = "BPF_PROG_LOAD of a cgroup_sock program"
            let program = try RawProgram.returning(
                1, .cgroupSock, expectedAttachType: AttachType.cgroupSockCreate.rawValue
            ).load().program.get()
            step = name
            try call(CgroupTarget(directory.raw, .cgroupSockCreate), program.raw)
            return .present
        } catch {
            return .absent(evidence: "\(step): \(error.name) (\(error.rawValue))")
        }
    }
}
