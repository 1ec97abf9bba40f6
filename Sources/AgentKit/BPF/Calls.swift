// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// Calls of bpf(2) as they are, for cases about what the kernel answers to them.
public enum BPFCall {
    /// BPF_PROG_ATTACH to what a descriptor stands for: a cgroup, a map; 0 for what needs none. nil on success.
    public static func attach(
        _ program: CInt, to target: CInt, _ type: AttachType, flags: AttachFlags = []
    ) -> Errno? {
        var attr = Attr(size: 64)
        attr.set(target, at: 0)
        attr.set(program, at: 4)
        attr.set(type.rawValue, at: 8)
        attr.set(flags.rawValue, at: 12)
        return attr.call(.progAttach).errno
    }

    /// BPF_PROG_DETACH; nil on success.
    public static func detach(_ program: CInt, from target: CInt, _ type: AttachType) -> Errno? {
        var attr = Attr(size: 64)
        attr.set(target, at: 0)
        attr.set(program, at: 4)
        attr.set(type.rawValue, at: 8)
        return attr.call(.progDetach).errno
    }

    /// BPF_LINK_CREATE for a cgroup or a network namespace.
    public static func link(
        _ program: CInt, to target: CInt, _ type: AttachType, flags: UInt32 = 0
    ) -> Result<BPFLink, Errno> {
        var attr = Attr(size: 64)
        attr.set(program, at: 0)
        attr.set(target, at: 4)
        attr.set(type.rawValue, at: 8)
        attr.set(flags, at: 12)
        return attr.call(.linkCreate).map { BPFLink(adopting: $0) }
    }

    /// BPF_LINK_CREATE for an iterator.
    ///
    /// - Parameter info: `union bpf_iter_link_info`; empty for none.
    public static func iterator(_ program: CInt, info: [UInt8] = []) -> Result<BPFLink, Errno> {
        var attr = Attr(size: 64)
        attr.set(program, at: 0)
        attr.set(AttachType.traceIter.rawValue, at: 8)
        attr.set(UInt32(info.count), at: 24)
        return unsafe info.withUnsafeBytes { raw in
            if !info.isEmpty { attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 16) }
            return attr.call(.linkCreate).map { BPFLink(adopting: $0) }
        }
    }

    /// BPF_ITER_CREATE, and all that the new file has to say.
    public static func read(iterator link: BPFLink) throws(Errno) -> String {
        var attr = Attr(size: 8)
        attr.set(link.raw, at: 0)
        let file: FileHandle
        switch attr.call(.iterCreate) {
        case .success(let raw): file = FileHandle(adopting: raw)
        case .failure(let errno): throw errno
        }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = try file.read(into: &chunk)
            if count == 0 { return String(decoding: text, as: UTF8.self) }
            text += chunk[..<count]
        }
    }

    /// A call that takes an id: the next one after it, or a descriptor for it.
    public static func byID(_ command: Attr.Command, _ id: UInt32) -> Result<CInt, Errno> {
        var attr = Attr(size: 16)
        attr.set(id, at: 0)
        return attr.call(command)
    }

    /// BPF_PROG_QUERY of what is attached to a descriptor's target.
    ///
    /// - Returns: how many programs there are.
    public static func count(at target: CInt, _ type: AttachType) -> Result<UInt32, Errno> {
        var attr = Attr(size: 64)
        attr.set(target, at: 0)
        attr.set(type.rawValue, at: 4)
        return attr.call(.progQuery).map { _ in attr.get(at: 24) }
    }
}
