// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import BTF
internal import LinuxIO
internal import SystemPackage

/// H-009: the numbers of commands, each by what it does.
let commandCases: [Case] = [
    Case("H-009.map", "the commands of maps have their numbers: 0 to 4, 12, 14, 15, 21, 22", spec: ["H-009"]) { test in
        let map = try create(entries: 4)
        test.expect(element(.mapUpdateElem, map, key: 7, value: 42), nil, "2 updates")
        var value: UInt64 = 0
        test.expect(lookup(.mapLookupElem, map, key: 7, into: &value), nil, "1 looks up")
        test.expect(value, equals: 42, "what was stored")
        var next: UInt32 = 0
        test.expect(nextKey(map, into: &next), nil, "4 goes to the next key")
        test.expect(next, equals: 7, "the key")
        test.expect(element(.mapDeleteElem, map, key: 7), nil, "3 deletes")
        test.expect(lookup(.mapLookupElem, map, key: 7, into: &value), .ENOENT, "1 finds nothing any more")
        test.expect(nextKey(map, into: &next), .ENOENT, "4 finds nothing either")
        let info = try BPFInfo.info(map.raw, size: 32).get()
        let numbers = stride(from: 0, to: 20, by: 4).map { UInt32(info, at: $0) }
        test.expect(
            [numbers[0], numbers[2], numbers[3], numbers[4]], equals: [1, 4, 8, 4], "15 tells type, sizes, entries")
        let id = numbers[1]
        if case .success(let raw) = BPFCall.byID(.mapGetFDByID, id) {
            let again = BPFMap(adopting: raw)
            test.expect(element(.mapUpdateElem, again, key: 1, value: 2), nil, "14 gives the map by its id")
        } else {
            test.fail("14 gives the map by its id")
        }
        test.expect(lookup(.mapLookupElem, map, key: 1, into: &value), nil, "what was stored through the id")
        var attr = Attr(size: 16)
        attr.set(id - 1, at: 0)
        test.expect(attr.call(.mapGetNextID).errno, nil, "12 goes to the next id")
        test.expect(attr.get(at: 4), equals: id, "the next id")
        var freeze = Attr(size: 8)
        freeze.set(map.raw, at: 0)
        test.expect(freeze.call(.mapFreeze).errno, nil, "22 freezes")
        test.expect(element(.mapUpdateElem, map, key: 1, value: 3), .EPERM, "2 in a frozen map")
        test.expect(lookup(.mapLookupElem, map, key: 1, into: &value), nil, "1 in a frozen map")
        let queue = try BPFMap.create(.queue, key: 0, entries: 2).get()
        test.expect(element(.mapUpdateElem, queue, key: nil, value: 9), nil, "2 pushes")
        test.expect(lookup(.mapLookupAndDeleteElem, queue, key: nil, into: &value), nil, "21 pops")
        test.expect(value, equals: 9, "what was pushed")
        test.expect(lookup(.mapLookupAndDeleteElem, queue, key: nil, into: &value), .ENOENT, "21 of an empty queue")
    },
    Case("H-009.batch", "the commands of many elements have their numbers: 24 to 27", spec: ["H-009"]) { test in
        let map = try create(entries: 8)
        let keys: [UInt32] = [1, 2, 3]
        test.expect(try batch(.mapUpdateBatch, map, keys, [10, 20, 30]).errno, nil, "26 updates")
        let seen = try batch(.mapLookupBatch, map, [0, 0, 0], [0, 0, 0])
        test.expect(seen.keys.sorted(), equals: keys, "24 looks up")
        test.expect(seen.values.sorted(), equals: [10, 20, 30], "24 looks up")
        test.expect(try batch(.mapDeleteBatch, map, [1, 2], [0, 0]).errno, nil, "27 deletes")
        let rest = try batch(.mapLookupAndDeleteBatch, map, [0, 0, 0], [0, 0, 0])
        test.expect(rest.keys, equals: [3], "25 looks up and deletes")
        test.expect(rest.values, equals: [30], "25 looks up and deletes")
        var value: UInt64 = 0
        test.expect(lookup(.mapLookupElem, map, key: 3, into: &value), .ENOENT, "nothing is left")
    },
    Case(
        "H-009.program", "the commands of programs and links have their numbers: 5, 8 to 11, 13, 15 to 17, 28 to 35",
        spec: ["H-009"], needs: [.cgroup2]
    ) { test in
        let program = try RawProgram.returning(7, .socketFilter).load().program.get()
        var run = Attr(size: 80)
        let packet = [UInt8](repeating: 0, count: 64)
        run.set(program.raw, at: 0)
        run.set(UInt32(packet.count), at: 8)
        let ran = unsafe packet.withUnsafeBytes { raw in
            run.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 16)
            return run.call(.progTestRun).errno
        }
        test.expect(ran, nil, "10 runs")
        test.expect(run.get(at: 4), equals: UInt32(7), "what the program returned")
        let id = try BPFInfo.programID(program.raw).get()
        var next = Attr(size: 16)
        next.set(id - 1, at: 0)
        test.expect(next.call(.progGetNextID).errno, nil, "11 goes to the next id")
        test.expect(next.get(at: 4), equals: id, "the next id")
        test.expect(try again(.progGetFDByID, id, BPFInfo.programID), equals: id, "13 gives the program by its id")
        let cgroup = try Cgroup(test)
        let directory = try cgroup.open()
        let filter = try RawProgram.returning(1, .cgroupSkb, expectedAttachType: 1).load().program.get()
        test.expect(BPFCall.attach(filter.raw, to: directory.raw, .cgroupInetEgress), nil, "8 attaches")
        test.expect(try BPFCall.count(at: directory.raw, .cgroupInetEgress).get(), equals: 1, "16 counts")
        test.expect(BPFCall.detach(filter.raw, from: directory.raw, .cgroupInetEgress), nil, "9 detaches")
        test.expect(try BPFCall.count(at: directory.raw, .cgroupInetEgress).get(), equals: 0, "16 counts")
        let link = try BPFCall.link(filter.raw, to: directory.raw, .cgroupInetEgress).get()
        let linkID = try BPFInfo.linkID(link.raw).get()
        test.expect(try BPFCall.count(at: directory.raw, .cgroupInetEgress).get(), equals: 1, "28 attaches")
        test.expect(try again(.linkGetFDByID, linkID, BPFInfo.linkID), equals: linkID, "30 gives the link by its id")
        var nextLink = Attr(size: 16)
        nextLink.set(linkID - 1, at: 0)
        test.expect(nextLink.call(.linkGetNextID).errno, nil, "31 goes to the next id")
        test.expect(nextLink.get(at: 4), equals: linkID, "the next id")
        let other = try RawProgram.returning(1, .cgroupSkb, expectedAttachType: 1).load().program.get()
        test.expect(link.update(to: other.raw), nil, "29 updates")
        let info = try BPFInfo.info(link.raw, size: 32).get()
        let attached = UInt32(info, at: 8)
        test.expect(attached, equals: try BPFInfo.programID(other.raw).get(), "the link's program after 29")
        test.expect(link.detach(), nil, "34 detaches")
        test.expect(try BPFCall.count(at: directory.raw, .cgroupInetEgress).get(), equals: 0, "16 counts")
        let map = try create(entries: 1)
        var bind = Attr(size: 16)
        bind.set(program.raw, at: 0)
        bind.set(map.raw, at: 4)
        test.expect(bind.call(.progBindMap).errno, nil, "35 binds a map to a program")
        // `nr_map_ids` of struct bpf_prog_info.
        let bound = try BPFInfo.info(program.raw, size: 64).get()
        test.expect(bound[52], equals: 1, "maps of the program after 35")
        var statistics = Attr(size: 4)
        if case .success(let raw) = statistics.call(.enableStats) {
            FileHandle(adopting: raw).close()
        } else {
            test.fail("32 switches statistics on")
        }
    },
    Case("H-009.none", "a number after the last command is refused with EINVAL", spec: ["H-009"]) { test in
        let commands = try KernelFacts.found().enumerations["bpf_cmd"]
        let highest = commands?.map(\.value).filter { $0 < 1 << 16 }.max() ?? 1000
        // The enumeration ends with __MAX_BPF_CMD, which is no command, from 6.9 on.
        for number in [highest + 1, highest + 100, 0xffff] {
            var attr = Attr(size: 64)
            test.expect(attr.call(number: CInt(number)), .EINVAL, "command \(number)")
        }
    },
]

private func create(entries: Int) throws(Errno) -> BPFMap {
    try BPFMap.create(.hash, entries: entries).get()
}

/// A command of one element; nil on success.
private func element(_ command: Attr.Command, _ map: BPFMap, key: UInt32?, value: UInt64 = 0) -> Errno? {
    var value = value
    return lookup(command, map, key: key, into: &value)
}

private func lookup(_ command: Attr.Command, _ map: BPFMap, key: UInt32?, into value: inout UInt64) -> Errno? {
    var attr = Attr(size: 32)
    attr.set(map.raw, at: 0)
    return unsafe withUnsafeBytes(of: key ?? 0) { keyBytes in
        unsafe withUnsafeMutableBytes(of: &value) { valueBytes in
            if key != nil { attr.set(UInt64(UInt(bitPattern: keyBytes.baseAddress)), at: 8) }
            if command != .mapDeleteElem { attr.set(UInt64(UInt(bitPattern: valueBytes.baseAddress)), at: 16) }
            return attr.call(command).errno
        }
    }
}

private func nextKey(_ map: BPFMap, into key: inout UInt32) -> Errno? {
    var attr = Attr(size: 32)
    attr.set(map.raw, at: 0)
    return unsafe withUnsafeMutableBytes(of: &key) { raw in
        attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 16)
        return attr.call(.mapGetNextKey).errno
    }
}

/// A command of many elements: from the first one on, with room for as many as there are keys.
private func batch(
    _ command: Attr.Command, _ map: BPFMap, _ keys: [UInt32], _ values: [UInt64]
) throws(Errno) -> (errno: Errno?, keys: [UInt32], values: [UInt64]) {
    var keys = keys
    var values = values
    var position = [UInt8](repeating: 0, count: 16)
    var attr = Attr(size: 56)
    attr.set(UInt32(keys.count), at: 32)
    attr.set(map.raw, at: 36)
    let errno = unsafe keys.withUnsafeMutableBytes { keys in
        unsafe values.withUnsafeMutableBytes { values in
            unsafe position.withUnsafeMutableBytes { position in
                if command == .mapLookupBatch || command == .mapLookupAndDeleteBatch {
                    attr.set(UInt64(UInt(bitPattern: position.baseAddress)), at: 8)
                }
                attr.set(UInt64(UInt(bitPattern: keys.baseAddress)), at: 16)
                if command != .mapDeleteBatch { attr.set(UInt64(UInt(bitPattern: values.baseAddress)), at: 24) }
                return attr.call(command).errno
            }
        }
    }
    let count = min(Int(attr.get(at: 32) as UInt32), keys.count)
    return (errno, Array(keys[..<count]), Array(values[..<count]))
}

/// The id of what a command gives for an id.
private func again(
    _ command: Attr.Command, _ id: UInt32, _ ask: (CInt) -> Result<UInt32, Errno>
) throws(Errno) -> UInt32 {
    let handle = FileHandle(adopting: try BPFCall.byID(command, id).get())
    return try ask(handle.raw).get()
}
