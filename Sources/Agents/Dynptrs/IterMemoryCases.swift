// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let object = "iters/kernel.bpf.o"

/// The mappings of this process: start and end of each line of /proc/self/maps but the kernel's own page.
private func mappings() throws(Errno) -> [(start: UInt64, end: UInt64)] {
    String(decoding: try readFile("/proc/self/maps"), as: UTF8.self).split(separator: "\n").compactMap { line in
        if line.hasSuffix("[vsyscall]") { return nil }
        let range = line.prefix { $0 != " " }.split(separator: "-")
        guard range.count == 2, let start = UInt64(range[0], radix: 16), let end = UInt64(range[1], radix: 16) else {
            return nil
        }
        return (start, end)
    }
}

/// I-021 and I-022.
@CaseBuilder var mappingIterCases: [Case] {
    Case("I-021", "a loop over a task's mappings has the lines of /proc/PID/maps", needs: [Features.iterVMA]) { test in
        let object = try BPFObject(object, programs: ["vmas"])
        // Four of one page each, each beside the next.
        let page = 4096
        let pages = unsafe mmap(nil, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let pages = unsafe pages, unsafe pages != MAP_FAILED else { throw Errno.last }
        for index in [1, 3] {
            _ = try Errno.check(unsafe mprotect(pages + index * page, page, PROT_READ))
        }
        // What is compared must not grow meanwhile: the arrays are there before the second look.
        _ = try Walk(test, object, "vmas")
        var seen = try Walk(test, object, "vmas")
        var truth = try mappings()
        for _ in 0..<20 where seen.first != truth.map(\.start) || seen.second != truth.map(\.end) {
            seen = try Walk(test, object, "vmas")
            truth = try mappings()
        }
        test.expect(seen.made, nil, "bpf_iter_task_vma_new")
        test.expect(seen.first, equals: truth.map(\.start), "where they start")
        test.expect(seen.second, equals: truth.map(\.end), "where they end")
        try test.require(truth.count >= 4, "this process has some mappings")
        let neighbours = (1..<4).map { unsafe UInt64(UInt(bitPattern: pages + $0 * page)) }
        test.expect(neighbours.allSatisfy(seen.first.contains), "mappings that touch each other are told apart")
        for (address, rest, what) in [
            (truth[2].start, 2, "the start of the third"), (truth[2].end - 1, 2, "the last byte of the third"),
            (truth[2].end, truth.firstIndex { $0.end > truth[2].end } ?? 0, "the end of the third"),
            (truth[2].start + 4096 - 1, 2, "within the third"),
            (truth[truth.count - 1].end, truth.count, "the last end"),
        ] {
            try object.set("address", to: address)
            let part = try Walk(test, object, "vmas")
            test.expect(part.first, equals: truth[rest...].map(\.start), "mappings from \(what) on")
        }
        try object.set("address", to: UInt64(0))
        test.expect(
            try Walk(test, object, "vmas", stopAfter: 2).first, equals: truth[..<2].map(\.start),
            "a loop left after two")
        // It lets go of the address space: the process can map and unmap as before.
        let size = 1 << 20
        let memory = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        try test.require(unsafe memory != MAP_FAILED, "memory is mapped after the loops")
        test.expect(unsafe munmap(memory, size) == 0, "and unmapped")
    }
    Case("I-022", "a kernel thread has no mappings: ENOENT", needs: [Features.iterVMA]) { test in
        let object = try BPFObject(object, programs: ["vmas_of"])
        // kthreadd.
        try object.set("pid_wanted", to: UInt32(2))
        let seen = try Walk(test, object, "vmas_of")
        test.expect(seen.made, .ENOENT, "bpf_iter_task_vma_new")
        test.expect(seen.first, equals: [], "mappings after that")
        let before = try object.value(of: "task_usage", as: Int32.self)
        test.expect(before > 0, "references of kthreadd: \(before)")
        for _ in 0..<50 { _ = try Walk(test, object, "vmas_of") }
        let after = try object.value(of: "task_usage", as: Int32.self)
        // Threads that are being made hold it too, a few at a time.
        test.expect(after < before + 25, "references of kthreadd after 50 loops that failed: \(after) of \(before)")
        let child = try Worker { stop in
            try stop.wait()
            return ""
        }
        try object.set("pid_wanted", to: UInt32(child.pid))
        let other = try Walk(test, object, "vmas_of")
        test.expect(other.made, nil, "bpf_iter_task_vma_new of another process")
        let maps = String(decoding: try readFile("/proc/\(child.pid)/maps"), as: UTF8.self)
        let starts = maps.split(separator: "\n").filter { !$0.hasSuffix("[vsyscall]") }.compactMap { line in
            UInt64(line.prefix { $0 != "-" }, radix: 16)
        }
        test.expect(other.first, equals: starts, "its mappings")
        _ = try child.finish()
    }
    Case(
        "I-021.release", "a loop over mappings, left early or not, holds neither files nor the address space",
        spec: ["I-021"], needs: [Features.iterVMA]
    ) { test in
        try test.require(success: Namespaces.unshare(.mount), "a mount namespace is made")
        try test.require(success: Namespaces.makeMountsPrivate(), "its mounts are made private")
        let folder = "mapped-files"
        let made = unsafe mkdir(folder, 0o700)
        try test.require(success: made == 0 || Errno.last == .EEXIST ? nil : Errno.last, "a folder is made")
        let object = try BPFObject(object, programs: ["vmas_of"])
        for stopAfter: UInt32 in [0, 1, 2, 3, 5] {
            let mounted = unsafe Glibc.mount("tmpfs", folder, "tmpfs", 0, nil)
            try test.require(success: mounted == 0 ? nil : Errno.last, "a file system of its own is mounted")
            let ready = try Descriptors.pipe()
            let (reading, writing) = (FileHandle(ready.first), FileHandle(ready.second))
            let child = try Worker { stop in
                let file = FileHandle(try Descriptors.open(folder + "/file", O_RDWR | O_CREAT))
                try file.writeAll([UInt8](repeating: 1, count: 8192))
                // At the lowest place that may be asked for: the loop's first mappings are of this file.
                for address: UInt in [0x10_0000, 0x11_0000] {
                    let place = unsafe UnsafeMutableRawPointer(bitPattern: address)
                    let mapping = unsafe mmap(place, 8192, PROT_READ, MAP_SHARED | MAP_FIXED, file.raw, 0)
                    if unsafe mapping == MAP_FAILED { throw Errno.last }
                }
                file.close()
                try writing.writeAll([1])
                try stop.wait()
                return ""
            }
            writing.close()
            var byte: [UInt8] = [0]
            test.expect(try reading.read(into: &byte), equals: 1, "the child has mapped its file")
            try object.set("pid_wanted", to: UInt32(child.pid))
            let seen = try Walk(test, object, "vmas_of", stopAfter: stopAfter)
            test.expect(seen.made, nil, "bpf_iter_task_vma_new")
            test.expect(
                seen.first.prefix(2), equals: ArraySlice([0x10_0000, 0x11_0000].prefix(stopAfter == 1 ? 1 : 2)),
                "the first mappings")
            test.expect(
                unsafe Glibc.umount(folder) != 0, "the file system is in use while the child has the file mapped")
            _ = try child.finish()
            // The address space is let go of by a worker of the kernel, the file by the task's end.
            var answer: Errno? = .EBUSY
            for _ in 0..<200 where answer == .EBUSY {
                GracePeriods.pass()
                answer = unsafe Glibc.umount(folder) == 0 ? nil : Errno.last
            }
            test.expect(answer, nil, "the file system is unmounted once the child has ended, left after \(stopAfter)")
            if answer != nil { return }
        }
    }
    Case("I-022.twice", "two loops at once over one task's mappings", spec: ["I-022"], needs: [Features.iterVMA]) {
        test in
        let object = try BPFObject(object, programs: ["vmas", "vmas_twice"])
        _ = try Walk(test, object, "vmas")
        let single = try Walk(test, object, "vmas")
        let seen = try Walk(test, object, "vmas_twice")
        test.expect(seen.made, nil, "the first bpf_iter_task_vma_new")
        test.expect(errno(try object.value(of: "made2")), nil, "the second one")
        test.expect(
            try object.value(of: "count2", as: UInt32.self), equals: UInt32(single.first.count),
            "mappings of the second")
        test.expect(seen.first.count, equals: single.first.count, "mappings of the first")
    }
}

/// I-023.
@CaseBuilder var bitsIterCases: [Case] {
    Case("I-023", "a loop over bits takes 1 to 511 words", needs: [Features.iterBits]) { test in
        let object = try BPFObject(object, programs: ["bits"])
        var mask = [UInt8](repeating: 0, count: 4096)
        for bit in [0, 63, 64, 511 * 64 - 1, 511 * 64] { mask[bit / 8] |= 1 << (bit % 8) }
        try object.setBytes(of: "mask", to: mask)
        for (words, made, bits) in [
            (0, .EINVAL, []), (1, nil, [0, 63]), (2, nil, [0, 63, 64]), (510, nil, [0, 63, 64]),
            (511, nil, [0, 63, 64, 511 * 64 - 1]), (512, .E2BIG, []), (513, .E2BIG, []), (.max, .E2BIG, []),
            (1 << 29, .E2BIG, []), (1 << 29 + 1, .E2BIG, []),
        ] as [(UInt32, Errno?, [UInt64])] {
            try object.set("words", to: words)
            let seen = try Walk(test, object, "bits")
            test.expect(seen.made, made, "bpf_iter_bits_new of \(words) words")
            test.expect(seen.first, equals: bits, "bits of \(words) words")
        }
    }
    Case(
        "I-023.address", "a loop over bits that cannot be read is refused", spec: ["I-023"], needs: [Features.iterBits]
    ) { test in
        let object = try BPFObject(object, programs: ["bits"])
        try object.set("elsewhere", to: UInt32(1))
        // NULL, and an address of user space; of one word the error is EFAULT, of more it is the reading's own.
        for (address, words, made) in [
            (0, 1, [.EINVAL]), (0, 2, [.EINVAL]), (0, 0, [.EINVAL]), (8, 1, [.EFAULT]), (8, 2, [.ERANGE, .EFAULT]),
            (8, 511, [.ERANGE, .EFAULT]),
        ] as [(UInt64, UInt32, [Errno])] {
            try object.set("address", to: address)
            try object.set("words", to: words)
            let seen = try Walk(test, object, "bits")
            let answer = seen.made.map { "\($0.name)" } ?? "0"
            test.expect(
                seen.made.map(made.contains) ?? false, "\(words) words at \(address) are refused rightly: \(answer)")
            test.expect(seen.first, equals: [], "bits after that")
        }
    }
    Case(
        "I-023.patterns", "a loop over bits has each that is set, from the lowest on", spec: ["I-023"],
        needs: [Features.iterBits]
    ) { test in
        let object = try BPFObject(object, programs: ["bits", "bits_beyond"])
        for words: UInt32 in [1, 2, 3, 8] {
            let count = Int(words) * 64
            for (name, isSet) in [
                ("none", { _ in false }), ("all", { _ in true }), ("even", { $0 % 2 == 0 }), ("odd", { $0 % 2 == 1 }),
                ("the first", { $0 == 0 }), ("the last", { $0 == count - 1 }), ("every seventh", { $0 % 7 == 3 }),
                ("around words", { $0 % 64 == 63 || $0 % 64 == 0 }),
            ] as [(String, (Int) -> Bool)] {
                // Behind the words all are set: none of them is seen.
                var mask = [UInt8](repeating: 0xff, count: 4096)
                for bit in 0..<count where !isSet(bit) { mask[bit / 8] &= ~(1 << (bit % 8)) }
                try object.setBytes(of: "mask", to: mask)
                try object.set("words", to: words)
                let expected = (0..<count).filter(isSet).map(UInt64.init)
                let seen = try Walk(test, object, "bits")
                test.expect(seen.made, nil, "bpf_iter_bits_new of \(words) words")
                test.expect(seen.first, equals: expected, "\(name) of \(words) words")
                let three = try Walk(test, object, "bits", stopAfter: 3)
                test.expect(
                    three.first, equals: Array(expected.prefix(3)), "\(name) of \(words) words, left after three")
                let copied = try Walk(test, object, "bits_beyond")
                test.expect(copied.first, equals: expected, "\(name) of \(words) words, changed after the start")
                test.expect(try object.value(of: "after_end", as: UInt64.self), equals: 0, "NULL after the end")
            }
        }
    }
}

/// Texts of 32 bytes, ended by 0.
private func names(_ object: BPFObject, _ count: Int) throws -> [String] {
    let bytes = try object.bytes(of: "names")
    return (0..<count).map { index in
        String(decoding: bytes[(32 * index)..<(32 * index + 32)].prefix { $0 != 0 }, as: UTF8.self)
    }
}

/// I-025 and I-027.
@CaseBuilder var cacheIterCases: [Case] {
    Case("I-025", "a loop over slab caches has the lines of /proc/slabinfo", needs: [Features.iterCache]) { test in
        let object = try BPFObject(object, programs: ["caches"])
        var seen: [String] = []
        var truth: [String] = []
        // A cache may be made or dropped between the two.
        for _ in 0..<20 {
            let walk = try Walk(test, object, "caches")
            test.expect(walk.made, nil, "bpf_iter_kmem_cache_new")
            seen = try names(object, walk.first.count)
            truth = String(decoding: try readFile("/proc/slabinfo"), as: UTF8.self).split(separator: "\n")
                .dropFirst(2).map { String($0.prefix { $0 != " " }.utf8.prefix(31)) ?? "" }
            if seen == truth { break }
        }
        test.expect(seen, equals: truth, "the caches' names, in the order of /proc/slabinfo")
        test.expect(seen.contains("kmalloc-64"), "kmalloc-64 is among them")
        let two = try Walk(test, object, "caches", stopAfter: 2)
        test.expect(two.first.count, equals: 2, "caches of a loop left after two")
        test.expect(try names(object, 2), equals: Array(truth.prefix(2)), "the first two")
    }
    Case(
        "I-027", "a loop over DMA buffers has each that is there, once, and none that is gone",
        needs: [Features.iterDmabuf, Features.dmaHeap]
    ) { test in
        let object = try BPFObject(object, programs: ["buffers"])
        let before = try Walk(test, object, "buffers")
        test.expect(before.made, nil, "bpf_iter_dmabuf_new")
        let heap = FileHandle(try Descriptors.open("/dev/dma_heap/system", O_RDONLY))
        var buffers: [FileHandle] = []
        for pages: UInt64 in [1, 3, 2] {
            // struct dma_heap_allocation_data: length, descriptor, its flags, flags.
            var request: (UInt64, UInt32, UInt32, UInt64) = (pages * 4096, 0, UInt32(O_RDWR | O_CLOEXEC), 0)
            let allocate: UInt = 0xc018_4800
            let result = unsafe ioctl(heap.raw, allocate, &request)
            try test.require(success: result == 0 ? nil : Errno.last, "a buffer of \(pages) pages is allocated")
            buffers.append(FileHandle(adopting: CInt(request.1)))
            var name: [UInt8] = Array("bpftest-\(pages)".utf8) + [0]
            // DMA_BUF_SET_NAME_B.
            let setName: UInt = 0x4008_6201
            let named = unsafe ioctl(buffers[buffers.count - 1].raw, setName, &name)
            try test.require(success: named == 0 ? nil : Errno.last, "it gets a name")
        }
        func own() throws -> [String] {
            let walk = try Walk(test, object, "buffers")
            return zip(try names(object, walk.first.count), walk.first).filter { $0.0.hasPrefix("bpftest-") }.map {
                "\($0.0) \($0.1)"
            }
        }
        test.expect(
            try own().sorted(), equals: ["bpftest-1 4096", "bpftest-2 8192", "bpftest-3 12288"],
            "names and sizes of the buffers")
        let one = try Walk(test, object, "buffers", stopAfter: 1)
        test.expect(one.first.count, equals: 1, "buffers of a loop left after one")
        buffers[1].close()
        test.expect(try own().sorted(), equals: ["bpftest-1 4096", "bpftest-2 8192"], "after one is gone")
        buffers[0].close()
        buffers[2].close()
        test.expect(try own(), equals: [], "after all are gone: no loop has kept one")
        test.expect(try Walk(test, object, "buffers").first.count, equals: before.first.count, "all buffers there are")
    }
}
