// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// A BPF map by descriptor, through the system call itself: nothing is refused or repaired on the way.
public struct BPFMap {
    private let handle: FileHandle?
    private let borrowed: CInt

    /// Takes over a descriptor: closed with the last copy of this value, or by `close`.
    public init(adopting raw: CInt) {
        handle = FileHandle(adopting: raw)
        borrowed = -1
    }

    /// Uses a descriptor that somebody else owns and keeps open meanwhile, such as `BPFObject.map(_:)`.
    public init(borrowing raw: CInt) {
        handle = nil
        borrowed = raw
    }

    /// The descriptor; -1 after `close`.
    public var raw: CInt { handle?.raw ?? borrowed }

    /// Gives the descriptor up, if it is ours.
    public func close() {
        handle?.close()
    }
}

// MARK: Creation

extension BPFMap {
    /// `enum bpf_map_type`.
    public enum Kind: UInt32, Sendable, CaseIterable {
        case hash = 1
        case array = 2
        case progArray = 3
        case perfEventArray = 4
        case percpuHash = 5
        case percpuArray = 6
        case stackTrace = 7
        case cgroupArray = 8
        case lruHash = 9
        case lruPercpuHash = 10
        case lpmTrie = 11
        case arrayOfMaps = 12
        case hashOfMaps = 13
        case devmap = 14
        case sockmap = 15
        case cpumap = 16
        case xskmap = 17
        case sockhash = 18
        case cgroupStorage = 19
        case reuseportSockArray = 20
        case percpuCgroupStorage = 21
        case queue = 22
        case stack = 23
        case socketStorage = 24
        case devmapHash = 25
        case structOps = 26
        case ringBuffer = 27
        case inodeStorage = 28
        case taskStorage = 29
        case bloomFilter = 30
        case userRingBuffer = 31
        case cgroupLocalStorage = 32
        case arena = 33
        case instructionArray = 34
        case resizableHash = 35
    }

    /// BPF_F_… of map creation.
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let noPreallocation = Flags(rawValue: 1 << 0)
        public static let noCommonLRU = Flags(rawValue: 1 << 1)
        public static let readOnly = Flags(rawValue: 1 << 3)
        public static let writeOnly = Flags(rawValue: 1 << 4)
        public static let readOnlyForPrograms = Flags(rawValue: 1 << 7)
        public static let writeOnlyForPrograms = Flags(rawValue: 1 << 8)
        public static let mappable = Flags(rawValue: 1 << 10)
        public static let token = Flags(rawValue: 1 << 16)
    }

    /// The types of key and value: ids in a loaded BTF (`BTFBuilder.load()`).
    public struct Types {
        public var btf: CInt
        public var key: UInt32
        public var value: UInt32

        public init(btf: CInt, key: UInt32, value: UInt32) {
            self.btf = btf
            self.key = key
            self.value = value
        }
    }

    /// BPF_MAP_CREATE, with exactly these values.
    ///
    /// - Parameter token: used by the kernel where `flags` has `.token`; nil for an attr that ends before it.
    public static func create(
        _ kind: Kind, key: Int = 4, value: Int = 8, entries: Int = 1, flags: Flags = [], types: Types? = nil,
        inner: CInt = 0, extra: UInt64 = 0, name: String = "", token: CInt? = nil
    ) -> Result<BPFMap, Errno> {
        var attr = Attr(size: token == nil ? 72 : 80)
        if let token { attr.set(token, at: 76) }
        attr.set(kind.rawValue, at: 0)
        attr.set(UInt32(key), at: 4)
        attr.set(UInt32(value), at: 8)
        attr.set(UInt32(entries), at: 12)
        attr.set(flags.rawValue, at: 16)
        attr.set(inner, at: 20)
        for (index, byte) in name.utf8.prefix(15).enumerated() { attr.set(byte, at: 28 + index) }
        if let types {
            attr.set(types.btf, at: 48)
            attr.set(types.key, at: 52)
            attr.set(types.value, at: 56)
        }
        attr.set(extra, at: 64)
        return attr.call(.mapCreate).map { BPFMap(adopting: $0) }
    }
}

// MARK: Elements

extension BPFMap {
    /// BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK.
    public struct UpdateFlags: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }
        public static let mustNotExist = UpdateFlags(rawValue: 1)
        public static let mustExist = UpdateFlags(rawValue: 2)
        public static let lock = UpdateFlags(rawValue: 4)
    }

    /// BPF_MAP_LOOKUP_ELEM.
    ///
    /// - Parameter size: of a value; for per-cpu maps times the number of possible CPUs, each rounded up to 8.
    public func lookup(_ key: [UInt8], size: Int, flags: UpdateFlags = []) -> Result<[UInt8], Errno> {
        read(.mapLookupElem, key, size, flags)
    }

    /// BPF_MAP_LOOKUP_AND_DELETE_ELEM.
    public func lookupAndDelete(_ key: [UInt8], size: Int, flags: UpdateFlags = []) -> Result<[UInt8], Errno> {
        read(.mapLookupAndDeleteElem, key, size, flags)
    }

    /// BPF_MAP_GET_NEXT_KEY; of nil: the first. ENOENT after the last.
    public func nextKey(after key: [UInt8]?, size: Int) -> Result<[UInt8], Errno> {
        read(.mapGetNextKey, key ?? [], size, [])
    }

    /// BPF_MAP_UPDATE_ELEM; nil on success.
    public func update(_ key: [UInt8], to value: [UInt8], flags: UpdateFlags = []) -> Errno? {
        write(.mapUpdateElem, key, value, flags)
    }

    /// BPF_MAP_DELETE_ELEM; nil on success.
    public func delete(_ key: [UInt8]) -> Errno? {
        write(.mapDeleteElem, key, [], [])
    }

    /// BPF_MAP_FREEZE; nil on success.
    public func freeze() -> Errno? {
        var attr = Attr(size: 4)
        attr.set(raw, at: 0)
        return attr.call(.mapFreeze).errno
    }

    private func read(
        _ command: Attr.Command, _ key: [UInt8], _ size: Int, _ flags: UpdateFlags
    ) -> Result<[UInt8], Errno> {
        var value = [UInt8](repeating: 0, count: size)
        let answer = unsafe key.withUnsafeBytes { key in
            unsafe value.withUnsafeMutableBytes { value in
                unsafe element(command, key, UnsafeRawBufferPointer(value), flags)
            }
        }
        return answer.map { _ in value }
    }

    private func write(_ command: Attr.Command, _ key: [UInt8], _ value: [UInt8], _ flags: UpdateFlags) -> Errno? {
        unsafe key.withUnsafeBytes { key in
            unsafe value.withUnsafeBytes { value in unsafe element(command, key, value, flags).errno }
        }
    }

    private func element(
        _ command: Attr.Command, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ flags: UpdateFlags
    ) -> Result<CInt, Errno> {
        var attr = Attr(size: 32)
        attr.set(raw, at: 0)
        if unsafe !key.isEmpty { attr.set(UInt64(UInt(bitPattern: key.baseAddress)), at: 8) }
        if unsafe !value.isEmpty { attr.set(UInt64(UInt(bitPattern: value.baseAddress)), at: 16) }
        attr.set(flags.rawValue, at: 24)
        return attr.call(command)
    }
}

// MARK: Names and numbers

extension BPFMap {
    /// `struct bpf_map_info`.
    public struct Info: Sendable, Equatable {
        public var kind: UInt32
        public var id: UInt32
        public var keySize: UInt32
        public var valueSize: UInt32
        public var entries: UInt32
        public var flags: Flags.RawValue
        public var btf: UInt32
    }

    /// BPF_OBJ_GET_INFO_BY_FD.
    public func info() -> Result<Info, Errno> {
        BPFInfo.info(raw, size: 80).map { bytes in
            Info(
                kind: UInt32(bytes, at: 0), id: UInt32(bytes, at: 4), keySize: UInt32(bytes, at: 8),
                valueSize: UInt32(bytes, at: 12), entries: UInt32(bytes, at: 16), flags: UInt32(bytes, at: 20),
                btf: UInt32(bytes, at: 64))
        }
    }

    /// BPF_MAP_GET_FD_BY_ID: ENOENT when no such map is left.
    public static func byID(_ id: UInt32) -> Result<BPFMap, Errno> {
        var attr = Attr(size: 12)
        attr.set(id, at: 0)
        return attr.call(.mapGetFDByID).map { BPFMap(adopting: $0) }
    }

    /// BPF_OBJ_PIN in a bpffs; nil on success.
    public func pin(_ path: String) -> Errno? {
        BPFPath.pin(raw, path)
    }

    /// BPF_OBJ_GET of what was pinned.
    public static func pinned(_ path: String) -> Result<BPFMap, Errno> {
        BPFPath.get(path).map { BPFMap(adopting: $0) }
    }
}

/// Files in a bpffs that keep BPF objects.
public enum BPFPath {
    /// BPF_OBJ_PIN of any object; nil on success.
    public static func pin(_ descriptor: CInt, _ path: String) -> Errno? {
        call(.objPin, path, descriptor).errno
    }

    /// BPF_OBJ_GET: a new descriptor, the caller's.
    public static func get(_ path: String) -> Result<CInt, Errno> {
        call(.objGet, path, 0)
    }

    private static func call(_ command: Attr.Command, _ path: String, _ descriptor: CInt) -> Result<CInt, Errno> {
        let text = Array(path.utf8) + [0]
        return unsafe text.withUnsafeBytes { bytes in
            var attr = Attr(size: 16)
            attr.set(UInt64(UInt(bitPattern: bytes.baseAddress)), at: 0)
            attr.set(descriptor, at: 8)
            return attr.call(command)
        }
    }
}

/// Integers as the bytes of keys and values.
extension FixedWidthInteger {
    /// Little endian, as all machines that bpftest runs on.
    public var bytes: [UInt8] {
        (0..<(Self.bitWidth / 8)).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) }
    }

    /// From bytes at an offset; 0 for those beyond the end.
    public init(_ bytes: [UInt8], at offset: Int = 0) {
        self = (0..<(Self.bitWidth / 8)).reduce(0) { sum, index in
            guard offset + index < bytes.count else { return sum }
            return sum | Self(truncatingIfNeeded: bytes[offset + index]) << (8 * index)
        }
    }
}
