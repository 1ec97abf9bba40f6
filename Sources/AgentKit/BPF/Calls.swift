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

    /// BPF_MAP_CREATE.
    ///
    /// - Parameter token: taken by the kernel where `flags` has `RawProgram.tokenFlag`.
    public static func createMap(
        _ type: UInt32, key: UInt32 = 4, value: UInt32 = 8, entries: UInt32 = 1, flags: UInt32 = 0, token: CInt = 0
    ) -> Result<FileHandle, Errno> {
        var attr = Attr(size: 80)
        attr.set(type, at: 0)
        attr.set(key, at: 4)
        attr.set(value, at: 8)
        attr.set(entries, at: 12)
        attr.set(flags, at: 16)
        attr.set(token, at: 76)
        return attr.call(.mapCreate).map { FileHandle(adopting: $0) }
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

    /// BPF_MAP_UPDATE_ELEM; nil on success.
    public static func update(_ map: CInt, key: UInt32, value: [UInt8]) -> Errno? {
        let key = (0..<4).map { UInt8(truncatingIfNeeded: key >> (8 * $0)) }
        var attr = Attr(size: 32)
        attr.set(map, at: 0)
        return unsafe key.withUnsafeBytes { key in
            unsafe value.withUnsafeBytes { value in
                attr.set(UInt64(UInt(bitPattern: key.baseAddress)), at: 8)
                attr.set(UInt64(UInt(bitPattern: value.baseAddress)), at: 16)
                return attr.call(.mapUpdateElem).errno
            }
        }
    }
}
