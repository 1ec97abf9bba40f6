// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import SystemPackage

/// Types of map values with fields of all kinds, as no compiler need write them.
struct ValueTypes {
    var builder = BTFBuilder()
    let int: UInt32
    private var known: [String: UInt32] = [:]

    init() {
        int = builder.int("unsigned int", bytes: 4)
    }

    /// A pointer with a tag to a struct, of which nothing but its name is given.
    mutating func field(_ tag: String, _ type: String, size: Int = 8) -> UInt32 {
        let target: UInt32
        if let found = known[type] {
            target = found
        } else {
            let long = builder.int("unsigned char", bytes: 1)
            let bytes = builder.array(of: long, count: size, index: int)
            target = builder.structure(type, size: size, size == 0 ? [] : [.init("bytes", bytes, at: 0)])
            known[type] = target
        }
        return builder.pointer(to: builder.typeTag(tag, on: target))
    }

    /// A struct of so many fields after 8 bytes of padding.
    mutating func value(_ tag: String, _ type: String, count: Int = 1, size: Int = 8) -> UInt32 {
        let pointer = field(tag, type, size: size)
        let members = (0..<count).map { BTFBuilder.Member("field\($0)", pointer, at: 8 + 8 * $0) }
        return builder.structure("value", size: 8 + 8 * count, members)
    }

    /// A map of the kind with such values; what the kind wants besides is given to it.
    func create(
        _ kind: BPFMap.Kind, value: UInt32, size: Int, flags: BPFMap.Flags = [], entries: Int? = nil
    ) -> Result<BPFMap, Errno> {
        builder.load().flatMap { btf in
            var flags = flags
            if kind.isLocalStorage { flags.insert(.noPreallocation) }
            return BPFMap.create(
                kind, key: kind.hasKey ? 4 : 0, value: size, entries: entries ?? (kind.isLocalStorage ? 0 : 4),
                flags: flags, types: .init(btf: btf.raw, key: kind.hasKey ? int : 0, value: value))
        }
    }
}

extension BPFMap.Kind {
    var isLocalStorage: Bool {
        switch self {
        case .taskStorage, .inodeStorage, .socketStorage, .cgroupLocalStorage: true
        default: false
        }
    }

    var hasKey: Bool {
        switch self {
        case .queue, .stack, .bloomFilter, .ringBuffer, .userRingBuffer: false
        default: true
        }
    }
}

extension BPFMap {
    /// Whether the kernel sees fields in its values: such a map cannot be frozen, an ordinary one now is.
    var hasFields: Bool { freeze() == Errno(rawValue: 524) }
}
