// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// `enum bpf_attach_type`, as far as suites use it.
public enum AttachType: UInt32, Sendable {
    case cgroupInetIngress = 0
    case cgroupInetEgress = 1
    case cgroupSockCreate = 2
    case cgroupSockOps = 3
    case skMsgVerdict = 7
    case cgroupInet4Connect = 10
    case flowDissector = 17
    case traceIter = 28
    case skLookup = 36
    case xdp = 37
    case lsmCgroup = 43
    case tcxIngress = 46
    case tcxEgress = 47
    case traceUprobeMulti = 48
    case netkitPrimary = 54
    case netkitPeer = 55
}

/// Flags of attach, detach, query and link creation.
public struct AttachFlags: OptionSet, Sendable, CustomStringConvertible {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let allowOverride = AttachFlags(rawValue: 1 << 0)
    public static let allowMulti = AttachFlags(rawValue: 1 << 1)
    public static let replace = AttachFlags(rawValue: 1 << 2)
    public static let before = AttachFlags(rawValue: 1 << 3)
    public static let after = AttachFlags(rawValue: 1 << 4)
    public static let id = AttachFlags(rawValue: 1 << 5)
    public static let preorder = AttachFlags(rawValue: 1 << 6)
    public static let link = AttachFlags(rawValue: 1 << 13)

    public var description: String {
        let names = [
            (0, "OVERRIDE"), (1, "MULTI"), (2, "REPLACE"), (3, "BEFORE"), (4, "AFTER"), (5, "ID"), (6, "PREORDER"),
            (13, "LINK"),
        ].filter { rawValue & 1 << $0.0 != 0 }.map(\.1)
        return names.isEmpty ? "0" : names.joined(separator: "|")
    }
}

/// One of the kernel's lists of programs: a device and a direction.
///
/// Every call is the raw system call: nothing is refused, repaired or added on the way (docs/architecture.md,
/// "raw bpf(2)").
public struct MprogTarget: Sendable, Hashable {
    public var ifindex: UInt32
    public var type: AttachType

    public init(ifindex: UInt32, type: AttachType) {
        self.ifindex = ifindex
        self.type = type
    }

    /// BPF_PROG_ATTACH; nil on success.
    ///
    /// - Parameters:
    ///   - relative: descriptor or id of the anchor, whatever the flags say it is.
    ///   - size: of the attr: shorter ones leave the last fields out.
    public func attach(
        _ program: CInt, _ flags: AttachFlags = [], relative: UInt32 = 0, replace: CInt = 0, revision: UInt64 = 0,
        size: Int = 64
    ) -> Errno? {
        request(program, flags, relative, replace, revision, size, .progAttach)
    }

    /// BPF_PROG_DETACH; nil on success. Program 0 leaves the choice to the position.
    public func detach(
        _ program: CInt, _ flags: AttachFlags = [], relative: UInt32 = 0, revision: UInt64 = 0
    ) -> Errno? {
        request(program, flags, relative, 0, revision, 64, .progDetach)
    }

    private func request(
        _ program: CInt, _ flags: AttachFlags, _ relative: UInt32, _ replace: CInt, _ revision: UInt64, _ size: Int,
        _ command: Attr.Command
    ) -> Errno? {
        var attr = Attr(size: size)
        attr.set(ifindex, at: 0)
        attr.set(program, at: 4)
        attr.set(type.rawValue, at: 8)
        attr.set(flags.rawValue, at: 12)
        attr.set(replace, at: 16)
        attr.set(relative, at: 20)
        attr.set(revision, at: 24)
        return attr.call(command).errno
    }

    /// BPF_LINK_CREATE.
    public func createLink(
        _ program: CInt, _ flags: AttachFlags = [], relative: UInt32 = 0, revision: UInt64 = 0
    ) -> Result<BPFLink, Errno> {
        var attr = Attr(size: 64)
        attr.set(program, at: 0)
        attr.set(ifindex, at: 4)
        attr.set(type.rawValue, at: 8)
        attr.set(flags.rawValue, at: 12)
        attr.set(relative, at: 16)
        attr.set(revision, at: 24)
        return attr.call(.linkCreate).map { BPFLink(adopting: $0) }
    }

    /// What BPF_PROG_QUERY says about the list.
    public struct Contents: Sendable, Equatable {
        public var programs: [UInt32]
        /// The link's id in each slot; 0 where a program was attached without a link.
        public var links: [UInt32]
        /// What the kernel counted, also beyond the room given.
        public var count: UInt32
        public var revision: UInt64
    }

    /// BPF_PROG_QUERY with room for as many programs as any list can hold.
    public func query(room: Int = 64) -> Result<Contents, Errno> {
        var programs = [UInt32](repeating: 0, count: room)
        var links = [UInt32](repeating: 0, count: room)
        var attr = Attr(size: 64)
        attr.set(ifindex, at: 0)
        attr.set(type.rawValue, at: 4)
        attr.set(UInt32(room), at: 24)
        let answer = unsafe programs.withUnsafeMutableBytes { programs in
            unsafe links.withUnsafeMutableBytes { links in
                attr.set(UInt64(UInt(bitPattern: programs.baseAddress)), at: 16)
                attr.set(UInt64(UInt(bitPattern: links.baseAddress)), at: 40)
                return attr.call(.progQuery)
            }
        }
        return answer.map { _ in
            let count: UInt32 = attr.get(at: 24)
            let used = min(Int(count), room)
            return Contents(
                programs: Array(programs[..<used]), links: Array(links[..<used]), count: count,
                revision: attr.get(at: 56))
        }
    }
}

/// A BPF link: what it holds is released when the last descriptor is closed.
public final class BPFLink {
    public let handle: FileHandle

    public init(adopting raw: CInt) {
        handle = FileHandle(adopting: raw)
    }

    public var raw: CInt { handle.raw }

    /// BPF_LINK_UPDATE; nil on success.
    public func update(to program: CInt, flags: AttachFlags = [], old: CInt = 0) -> Errno? {
        var attr = Attr(size: 64)
        attr.set(raw, at: 0)
        attr.set(program, at: 4)
        attr.set(flags.rawValue, at: 8)
        attr.set(old, at: 12)
        return attr.call(.linkUpdate).errno
    }

    /// BPF_LINK_DETACH; nil on success.
    public func detach() -> Errno? {
        var attr = Attr(size: 64)
        attr.set(raw, at: 0)
        return attr.call(.linkDetach).errno
    }

    public func close() {
        handle.close()
    }
}

/// Ids and information about the kernel's BPF objects.
public enum BPFInfo {
    /// The first field of `struct bpf_link_info` is the type, the second the id.
    public static func linkID(_ link: CInt) -> Result<UInt32, Errno> {
        info(link, size: 80).map { UInt32($0, at: 4) }
    }

    /// `struct bpf_prog_info`: type, id.
    public static func programID(_ program: CInt) -> Result<UInt32, Errno> {
        info(program, size: 80).map { UInt32($0, at: 4) }
    }

    /// The ids of all links, in the kernel's order.
    public static func allLinkIDs() -> Result<[UInt32], Errno> {
        var ids: [UInt32] = []
        while true {
            var attr = Attr(size: 64)
            attr.set(ids.last ?? 0, at: 0)
            switch attr.call(.linkGetNextID) {
            case .success: ids.append(attr.get(at: 4))
            case .failure(.noSuchFileOrDirectory): return .success(ids)
            case .failure(let errno): return .failure(errno)
            }
        }
    }

    /// BPF_OBJ_GET_INFO_BY_FD: the first `size` bytes of the object's info.
    public static func info(_ descriptor: CInt, size: Int) -> Result<[UInt8], Errno> {
        var info = [UInt8](repeating: 0, count: size)
        var attr = Attr(size: 16)
        attr.set(descriptor, at: 0)
        attr.set(UInt32(size), at: 4)
        let answer = unsafe info.withUnsafeMutableBytes { raw in
            attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 8)
            return attr.call(.objGetInfoByFD)
        }
        return answer.map { _ in info }
    }
}
