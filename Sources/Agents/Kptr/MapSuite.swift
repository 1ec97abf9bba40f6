// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// ENOTSUPP, which no header for user space has.
private let notSupported = Errno(rawValue: 524)

/// Kinds of maps that may hold references since 6.1, and those that came with 6.4.
private let firstKinds: [BPFMap.Kind] = [.hash, .lruHash, .array, .percpuArray]
private let laterKinds: [BPFMap.Kind] = [
    .percpuHash, .lruPercpuHash, .socketStorage, .inodeStorage, .taskStorage, .cgroupLocalStorage,
]

/// P-020 to P-027, P-069 and P-075 of docs/semantics/kptr.md: which maps may hold references, and what such maps allow.
public let mapSuite = Suite("kptr.map", "maps whose values hold references to objects of the kernel") {
    Case("P-020", "hash, LRU hash, array and per-cpu array hold references", since: "5.19", needs: [Features.fields]) {
        test in
        for kind in firstKinds {
            test.expect(create(kind).errno, nil, "a \(kind) map with a referenced field")
            test.expect(create(kind, tag: Era.unreferenced).errno, nil, "a \(kind) map with an unreferenced field")
        }
    }
    Case(
        "P-022", "per-cpu hashes and local storage hold references since 6.4, and did not before", since: "5.19",
        needs: [Features.fields]
    ) { test in
        for kind in laterKinds {
            // A kernel may lack the kind, whatever its values are.
            if let errno = createPlain(kind).errno {
                test.log("a \(kind) map without fields: \(errno.name)")
                test.expect(kind == .inodeStorage || kind == .cgroupLocalStorage, "the kernel has \(kind) maps")
                continue
            }
            test.expect(create(kind).errno, Era.isOld ? .EOPNOTSUPP : nil, "a \(kind) map with a referenced field")
        }
    }
    Case(
        "P-020.rhash", "resizable hashes hold references since 7.2", spec: ["P-020"], since: "7.2",
        needs: [Features.resizableHash]
    ) { test in
        test.expect(
            create(.resizableHash, flags: .noPreallocation).errno, nil, "a resizable hash with a referenced field")
    }
    Case("P-021", "all other maps refuse references", since: "5.19", needs: [Features.fields]) { test in
        var made = 0
        for other in otherMaps {
            guard other.createPlain().errno == nil else {
                test.log("a \(other.kind) map cannot be made here, whatever its values are")
                continue
            }
            made += 1
            test.expect(other.create().errno, other.answer, "a \(other.kind) map with a referenced field")
        }
        test.expect(made >= 6, "there are other kinds to try: \(made)")
    }
    Case("P-023", "maps with references are not for reading or writing alone", since: "5.19", needs: [Features.fields])
    { test in
        for kind in [BPFMap.Kind.array, .hash] {
            for flags in [BPFMap.Flags.readOnlyForPrograms, .writeOnlyForPrograms] {
                for tag in [Era.referenced, Era.unreferenced] {
                    test.expect(
                        create(kind, tag: tag, flags: flags).errno, .EACCES,
                        "a \(kind) map with flags \(flags.rawValue) and a field tagged \(tag)")
                }
                test.expect(createPlain(kind, flags: flags).errno, nil, "the same map without a field")
            }
            test.expect(create(kind).errno, nil, "the same map without the flags")
        }
    }
    Case("P-023.cap", "maps with references need CAP_BPF", spec: ["P-023"], since: "5.19", needs: [Features.fields]) {
        test in
        // Kernels with unprivileged BPF off do not come to ask.
        let off = String(decoding: try readFile("/proc/sys/kernel/unprivileged_bpf_disabled"), as: UTF8.self)
        var types = ValueTypes()
        let value = types.value(Era.referenced, Era.type)
        let btf = try types.builder.load().get()
        let settings = BPFMap.Types(btf: btf.raw, key: types.int, value: value)
        for capability in [Capability.sysAdmin, .bpf] {
            try test.require(success: capability.drop(), "the capability is given up")
        }
        let answer = BPFMap.create(.array, key: 4, value: 16, entries: 1, types: settings)
        test.expect(answer.errno, .EPERM, "the map, without CAP_BPF and CAP_SYS_ADMIN (unprivileged BPF: \(off))")
    }
    Case("P-024", "only types with a destructor can be owned by a field", since: "5.19", needs: [Features.fields]) {
        test in
        try expectNoFields(test, create(.array, type: "file"), .ENOENT, "a field that owns a struct file")
        try expectNoFields(test, create(.hash, type: "sock"), .ENOENT, "a field that owns a struct sock")
        let unreferenced = create(.array, tag: Era.unreferenced, type: "file")
        test.expect(unreferenced.errno, nil, "a field that does not own a struct file")
        test.expect(try unreferenced.get().hasFields, "the field that does not own it is seen")
    }
    Case(
        "P-024.local", "a type of the program's own can be owned since 6.4: it is a local object", spec: ["P-024"],
        since: "5.19", needs: [Features.fields]
    ) { test in
        let answer = create(.array, type: "program_only")
        if Era.isOld {
            try expectNoFields(test, answer, .ENOENT, "a field that owns a struct that the kernel does not have")
        } else {
            test.expect(answer.errno, nil, "a field that owns a struct that the kernel does not have")
            test.expect(try answer.get().hasFields, "the field is seen")
        }
    }
    Case(
        "P-025", "a value has 8 fields at most in 6.1, 11 since 6.12", since: "5.19",
        needs: [Features.fields]
    ) { test in
        let release = KernelRelease.running
        let most = release < KernelRelease(6, 2) ? 8 : 11
        guard release < KernelRelease(6, 2) || release >= .v6_12 else {
            throw test.skip("how many fields there may be in 6.2 to 6.11 was not read")
        }
        for kind in [BPFMap.Kind.array, .hash] {
            for tag in [Era.referenced, Era.unreferenced] {
                let answer = create(kind, tag: tag, count: most)
                test.expect(answer.errno, nil, "\(most) fields tagged \(tag) in a \(kind) map")
                test.expect(try answer.get().hasFields, "\(most) fields tagged \(tag) are seen")
                try expectNoFields(
                    test, create(kind, tag: tag, count: most + 1), .argListTooLong,
                    "\(most + 1) fields tagged \(tag) in a \(kind) map")
            }
        }
    }
    Case(
        "P-025.array", "each element of an array of references counts", spec: ["P-025"], since: "6.11",
        needs: [Features.arrays]
    ) { test in
        for count in [11, 12] {
            var types = ValueTypes()
            let pointer = types.field(Era.referenced, Era.type)
            let array = types.builder.array(of: pointer, count: count, index: types.int)
            let value = types.builder.structure("value", size: 8 * count, [.init("array", array, at: 0)])
            let answer = types.create(.array, value: value, size: 8 * count)
            if count == 11 {
                test.expect(answer.errno, nil, "a map with an array of 11 references")
                test.expect(try answer.get().hasFields, "11 references are seen")
            } else {
                try expectNoFields(test, answer, .argListTooLong, "an array of 12 references")
            }
        }
    }
    Case("P-027", "a map with references is neither frozen nor mapped", since: "5.19", needs: [Features.fields]) {
        test in
        for (what, fields) in [("a referenced field", true), ("no field", false)] {
            let answer =
                fields ? create(.array, flags: .mappable) : createPlain(.array, flags: .mappable)
            try test.require(success: answer.errno, "a map that can be mapped, with \(what)")
            let map = try answer.get()
            test.expect(mapping(of: map), fields ? notSupported : nil, "mmap of a map with \(what)")
            test.expect(map.freeze(), fields ? notSupported : nil, "BPF_MAP_FREEZE of a map with \(what)")
        }
        let unreferenced = try create(.array, tag: Era.unreferenced).get()
        test.expect(unreferenced.freeze(), notSupported, "BPF_MAP_FREEZE of a map with an unreferenced field")
    }
    Case("P-075", "the tag kptr_ref of old makes no field since 6.4", since: "6.4", needs: [Features.tags]) { test in
        for (kind, tag) in [(BPFMap.Kind.array, "kptr_ref"), (.hash, "kptr_ref"), (.array, "no_such_tag")] {
            try expectNoFields(test, create(kind, tag: tag), .EINVAL, "a field tagged \(tag) in a \(kind) map")
        }
    }
    Case(
        "P-075.twice", "a field has one tag up to 6.12, may have more from 7.2 on, and points to a struct",
        spec: ["P-075"], since: "5.19", needs: [Features.fields]
    ) { test in
        var types = ValueTypes()
        let target = types.builder.structure(Era.type, size: 0)
        let inner = types.builder.typeTag(Era.referenced, on: target)
        let pointer = types.builder.pointer(to: types.builder.typeTag(Era.referenced, on: inner))
        let value = types.builder.structure("value", size: 8, [.init("field", pointer, at: 0)])
        let answer = types.create(.array, value: value, size: 8)
        if KernelRelease.running <= .v6_12 {
            try expectNoFields(test, answer, .EINVAL, "a field with two tags")
        } else if KernelRelease.running >= .v7_2 {
            test.expect(answer.errno, nil, "a map with a field with two tags")
            test.expect(try answer.get().hasFields, "the field with two tags is seen")
        }
        let number = types.builder.pointer(to: types.builder.typeTag(Era.referenced, on: types.int))
        let second = types.builder.structure("value2", size: 8, [.init("field", number, at: 0)])
        try expectNoFields(
            test, types.create(.array, value: second, size: 8), .EINVAL, "a field that points to a number")
    }
    Case(
        "P-069", "a user pointer is to a struct of the program's, one page at most", since: "6.13",
        needs: [Features.userPointers]
    ) { test in
        let tag = "uptr"
        test.expect(create(.taskStorage, tag: tag, type: "program_only").errno, nil, "a struct of 8 bytes")
        test.expect(create(.taskStorage, tag: tag, type: "program_only", size: 4096).errno, nil, "a page")
        test.expect(
            create(.taskStorage, tag: tag, type: "program_only", size: 4097).errno, .argListTooLong, "a page and a byte"
        )
        test.expect(create(.taskStorage, tag: tag, type: "program_only", size: 0).errno, .EINVAL, "an empty struct")
        test.expect(create(.taskStorage, tag: tag, type: "task_struct").errno, .EINVAL, "a struct of the kernel")
        for kind in [BPFMap.Kind.array, .hash, .percpuArray, .socketStorage, .cgroupLocalStorage] {
            test.expect(create(kind, tag: tag, type: "program_only").errno, .EOPNOTSUPP, "a \(kind) map")
        }
    }
}

// MARK: Maps

private func create(
    _ kind: BPFMap.Kind, tag: String = Era.referenced, type: String = Era.type, count: Int = 1, size: Int = 8,
    flags: BPFMap.Flags = []
) -> Result<BPFMap, Errno> {
    var types = ValueTypes()
    let value = types.value(tag, type, count: count, size: size)
    return types.create(kind, value: value, size: 8 + 8 * count, flags: flags)
}

/// A kernel refuses the map, or makes one of plain bytes: it has no fields, and keeps what user space writes.
///
/// What goes wrong while fields are looked for is not said by BPF_MAP_CREATE (seen in 6.1 and 6.12): the map is made
/// without them.
private func expectNoFields(_ test: Test, _ answer: Result<BPFMap, Errno>, _ errno: Errno, _ what: String) throws {
    switch answer {
    case .failure(let failure): test.expect(failure, errno, "a map with \(what), if it is refused")
    case .success(let map):
        let info = try map.info().get()
        let bytes = (0..<Int(info.valueSize)).map { UInt8(0x10 + $0 % 64) }
        test.expect(map.update(Int32(0).bytes, to: bytes), nil, "a value of a map with \(what)")
        test.expect(
            map.lookup(Int32(0).bytes, size: bytes.count), equals: .success(bytes), "the value of a map with \(what)")
        test.expect(!map.hasFields, "a map with \(what) has no fields")
    }
}

/// The same without a field.
private func createPlain(_ kind: BPFMap.Kind, flags: BPFMap.Flags = []) -> Result<BPFMap, Errno> {
    var types = ValueTypes()
    let value = types.builder.structure("value", size: 16, [.init("number", types.int, at: 0)])
    return types.create(kind, value: value, size: 16, flags: flags)
}

/// A kind that cannot hold references.
private struct OtherMap {
    let kind: BPFMap.Kind
    var key = 4
    /// Of 16 bytes with the field behind a number, or of 8 with the field alone.
    var value = 16
    var entries = 4
    var flags: BPFMap.Flags = []
    /// Kinds without a key, and those whose values have a size of their own, come to no question of fields.
    var answer = Errno.EOPNOTSUPP

    func create() -> Result<BPFMap, Errno> {
        var types = ValueTypes()
        let pointer = types.field(Era.referenced, Era.type)
        let number = types.builder.int("unsigned long", bytes: 8)
        let struct16 = types.builder.structure(
            "value", size: 16, [.init("number", number, at: 0), .init("field", pointer, at: 8)])
        let struct8 = types.builder.structure("value8", size: 8, [.init("field", pointer, at: 0)])
        return types.builder.load().flatMap { btf in
            let keyType = key == 0 ? 0 : key == 4 ? types.int : number
            return BPFMap.create(
                kind, key: key, value: value, entries: entries, flags: flags,
                types: .init(btf: btf.raw, key: keyType, value: value == 8 ? struct8 : struct16))
        }
    }

    func createPlain() -> Result<BPFMap, Errno> {
        BPFMap.create(kind, key: key, value: value, entries: entries, flags: flags)
    }
}

private let otherMaps: [OtherMap] = [
    OtherMap(kind: .lpmTrie, key: 8, flags: .noPreallocation),
    OtherMap(kind: .cgroupStorage, key: 8, entries: 0),
    OtherMap(kind: .percpuCgroupStorage, key: 8, entries: 0),
    OtherMap(kind: .stackTrace),
    OtherMap(kind: .bloomFilter, key: 0),
    OtherMap(kind: .sockmap, value: 8),
    OtherMap(kind: .reuseportSockArray, value: 8),
    // It is for reading alone, which is looked at first.
    OtherMap(kind: .devmap, value: 8, answer: .EACCES),
    OtherMap(kind: .cpumap, value: 8),
    OtherMap(kind: .queue, key: 0, answer: .EINVAL),
    OtherMap(kind: .stack, key: 0, answer: .EINVAL),
    OtherMap(kind: .ringBuffer, key: 0, value: 0, entries: 4096, answer: .EINVAL),
]

/// mmap(2) of a map; nil on success.
private func mapping(of map: BPFMap) -> Errno? {
    let start = unsafe mmap(nil, 64, PROT_READ, MAP_SHARED, map.raw, 0)
    guard unsafe start != MAP_FAILED else { return Errno.last }
    _ = unsafe munmap(start, 64)
    return nil
}
