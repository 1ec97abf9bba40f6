// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// BTF put together by hand, for maps whose types no compiler would write or no library would pass on.
///
/// - Source: Documentation/bpf/btf.rst.
public struct BTFBuilder {
    private var types: [UInt8] = []
    private var strings: [UInt8] = [0]
    private var count: UInt32 = 0

    public init() {}

    /// A member of a struct.
    public struct Member {
        let name: String
        let type: UInt32
        /// In bytes.
        let offset: Int

        public init(_ name: String, _ type: UInt32, at offset: Int) {
            self.name = name
            self.type = type
            self.offset = offset
        }
    }

    /// An integer, signed or not; its id, as of all that follow.
    public mutating func int(_ name: String, bytes: Int, isSigned: Bool = false) -> UInt32 {
        add(name, kind: 1, sizeOrType: UInt32(bytes), [UInt32(isSigned ? 1 << 24 : 0) | UInt32(bytes * 8)])
    }

    public mutating func pointer(to type: UInt32) -> UInt32 {
        add("", kind: 2, sizeOrType: type, [])
    }

    public mutating func array(of type: UInt32, count: Int, index: UInt32) -> UInt32 {
        add("", kind: 3, sizeOrType: 0, [type, index, UInt32(count)])
    }

    public mutating func structure(_ name: String, size: Int, _ members: [Member] = []) -> UInt32 {
        composed(4, name, size, members)
    }

    public mutating func union(_ name: String, size: Int, _ members: [Member] = []) -> UInt32 {
        composed(5, name, size, members)
    }

    /// `__attribute__((btf_type_tag("…")))`: between a pointer and what it points to.
    public mutating func typeTag(_ text: String, on type: UInt32) -> UInt32 {
        add(text, kind: 18, sizeOrType: type, [])
    }

    /// `__attribute__((btf_decl_tag("…")))`.
    ///
    /// - Parameter member: the number of the struct's member; -1 for the type itself.
    public mutating func declTag(_ text: String, on type: UInt32, member: Int32 = -1) {
        _ = add(text, kind: 17, sizeOrType: type, [UInt32(bitPattern: member)])
    }

    private mutating func composed(_ kind: UInt32, _ name: String, _ size: Int, _ members: [Member]) -> UInt32 {
        let words = members.flatMap { [offset(of: $0.name), $0.type, UInt32($0.offset * 8)] }
        return add(name, kind: kind, sizeOrType: UInt32(size), words, count: members.count)
    }

    private mutating func add(
        _ name: String, kind: UInt32, sizeOrType: UInt32, _ words: [UInt32], count members: Int = 0
    ) -> UInt32 {
        for word in [offset(of: name), kind << 24 | UInt32(members), sizeOrType] + words { types += word.bytes }
        count += 1
        return count
    }

    private mutating func offset(of name: String) -> UInt32 {
        if name.isEmpty { return 0 }
        defer { strings += Array(name.utf8) + [0] }
        return UInt32(strings.count)
    }

    /// The blob: a header of 24 bytes, the types, the strings.
    public var blob: [UInt8] {
        let header: [UInt8] = UInt16(0xeb9f).bytes + [1, 0] + UInt32(24).bytes
        let sections = [0, UInt32(types.count), UInt32(types.count), UInt32(strings.count)].flatMap(\.bytes)
        return header + sections + types + strings
    }

    /// BPF_BTF_LOAD.
    ///
    /// - Returns: the descriptor of what was loaded; or the errno of the kernel that did not take it.
    public func load() -> Result<FileHandle, Errno> {
        let blob = blob
        return unsafe blob.withUnsafeBytes { bytes in
            var attr = Attr(size: 32)
            attr.set(UInt64(UInt(bitPattern: bytes.baseAddress)), at: 0)
            attr.set(UInt32(bytes.count), at: 16)
            return attr.call(.btfLoad).map { FileHandle(adopting: $0) }
        }
    }
}
