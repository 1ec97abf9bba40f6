// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let metadata: [UInt8] = (0..<16).map { 0x30 + $0 }
private let metaNeeds = [Features.slice, Features.clone, Features.fromMeta, .tcx]

/// A program that puts metadata before each packet of `lo`, one behind it that sees it as a dynptr, and packets.
private final class MetadataPath {
    let object: BPFObject
    private var links: [BPFLink] = []
    private let test: Test

    init(_ test: Test, withMetadata: Bool = true) throws {
        self.test = test
        object = try BPFObject("dynptr/meta.bpf.o")
        try object.set("wanted", to: UInt32(14 + 20 + 8 + 100))
        if withMetadata {
            // BPF_LINK_CREATE, BPF_XDP, XDP_FLAGS_SKB_MODE: `lo` has no driver of its own.
            var attr = Attr(size: 64)
            attr.set(try object.program("put_meta"), at: 0)
            attr.set(UInt32(1), at: 4)
            attr.set(UInt32(37), at: 8)
            attr.set(UInt32(2), at: 12)
            links.append(BPFLink(adopting: try attr.call(.linkCreate).get()))
        }
        let target = MprogTarget(ifindex: 1, type: .tcxIngress)
        links.append(try target.createLink(try object.program("in_tc")).get())
    }

    /// One packet, and what the second program did with its metadata.
    func pass(_ operation: Operation) throws -> (answer: Answer, after: [UInt8]) {
        try object.instruct(operation)
        try object.setBytes(of: "after", to: [UInt8](repeating: 0, count: 16))
        let datagrams = try Datagrams()
        let payload = packet(100)
        test.expect(try datagrams.exchange(payload), equals: payload, "the payload that arrives")
        try test.require(try object.value(of: "runs", as: UInt32.self) == 1, "one packet passed the program")
        return (try object.gather(), try object.bytes(of: "after"))
    }
}

/// D-037 and D-038: the newer kinds of dynptrs.
@CaseBuilder var metadataCases: [Case] {
    Case("D-037", "a packet's metadata is read and written as a dynptr of its size", needs: metaNeeds) { test in
        let path = try MetadataPath(test)
        for (kind, offset, length, view, fits) in [
            (.read, 0, 16, nil, true), (.read, 1, 16, nil, false), (.read, 15, 1, nil, true),
            (.read, 16, 1, nil, false),
            (.write, 0, 16, nil, true), (.write, 8, 8, nil, true), (.write, 9, 8, nil, false),
            (.read, 0, 4, (4, 8), true), (.read, 0, 5, (4, 8), false), (.write, 1, 3, (4, 8), true),
            (.write, 2, 3, (4, 8), false),
        ] as [(Operation.Kind, Int, Int, (UInt64, UInt64)?, Bool)] {
            var operation = Operation(kind, at: UInt64(offset), length: UInt32(length))
            if let view { operation = operation.adjusting(view.0, view.1) }
            let (answer, after) = try path.pass(operation)
            let what = "\(kind) of \(length) bytes at \(offset) of \(view.map { "\($0)" } ?? "16")"
            test.expect(answer.made, nil, "bpf_dynptr_from_skb_meta")
            test.expect(answer.sizes.parent, equals: view.map { $0.1 - $0.0 } ?? 16, "its size")
            test.expect(!answer.isReadOnly.parent && !answer.isNull.parent, "neither null nor read-only")
            test.expect(answer.result, fits ? nil : .E2BIG, what)
            let place = offset + Int(view?.0 ?? 0)
            if fits, kind == .read {
                test.expect(answer.read(length), equals: Array(metadata[place..<(place + length)]), what)
            }
            test.expect(
                after,
                equals: fits && kind == .write
                    ? metadata.writing(Operation.given[..<length], at: place) : metadata,
                "the metadata after \(what)")
        }
        for kind in [Operation.Kind.slice, .sliceBare, .sliceRdwr, .sliceRdwrBare, .data] {
            for (offset, fits) in [(0, true), (8, true), (9, false), (16, false)] {
                let (answer, after) = try path.pass(Operation(kind, at: UInt64(offset)))
                let what = "\(kind) of 8 bytes at \(offset) of 16"
                let given = fits && kind != .data
                test.expect(answer, gives: given ? Array(metadata[offset..<(offset + 8)]) : nil, what)
                let writes = given && (kind == .sliceRdwr || kind == .sliceRdwrBare)
                test.expect(
                    after, equals: writes ? metadata.writing(Operation.given[..<8], at: offset) : metadata,
                    "the metadata after \(what)")
            }
        }
    }
    Case("D-037.none", "a packet without metadata has an empty dynptr of it", spec: ["D-037"], needs: metaNeeds) {
        test in
        let path = try MetadataPath(test, withMetadata: false)
        let (answer, _) = try path.pass(Operation(.read, length: 1))
        test.expect(answer.made, nil, "bpf_dynptr_from_skb_meta")
        test.expect(answer.sizes.parent, equals: 0, "its size")
        test.expect(!answer.isNull.parent, "it is not null")
        test.expect(answer.result, .E2BIG, "a byte of it is read")
        test.expect(try path.pass(Operation(.write, length: 1)).answer.result, .E2BIG, "a byte of it is written")
        let null = try path.pass(Operation(.read, length: 0).with { $0.makeFlags = 1 }).answer
        test.expect(null.made, .EINVAL, "bpf_dynptr_from_skb_meta with flags 1")
        test.expect(null.isNull.parent, "it is null")
    }
    Case(
        "D-038", "an open file's content is read as a dynptr",
        needs: [Features.fromFile, Features.clone, .bpfLSM]
    ) { test in
        let content = packet(10_000)
        let path = "content"
        do {
            let file = try Descriptors.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try file.writeAll(content)
        }
        let object = try BPFObject("dynptr/file.bpf.o")
        // FIOCLEX: any ioctl will do, the program sees it before it is carried out.
        let command: UInt = 0x5451
        try object.set("pid", to: UInt32(getpid()))
        try object.set("command", to: UInt32(command))
        // Where a file is being opened its content cannot be read yet (EINVAL), so an open one is shown.
        let file = FileHandle(try Descriptors.open(path, O_RDONLY))
        let attached = try object.attach("asked")
        defer { attached.detach() }
        func look(_ operation: Operation) throws -> Answer {
            try object.instruct(operation)
            try test.require(success: ioctl(file.raw, command, 0) == 0 ? nil : Errno.last, "ioctl on the file")
            try test.require(try object.value(of: "runs", as: UInt32.self) == 1, "the program saw one ioctl")
            return try object.gather()
        }
        for (offset, length, fits) in [
            (0, 64, true), (4090, 16, true), (4096, 64, true), (9936, 64, true), (9937, 64, false), (9999, 1, true),
            (10_000, 1, false), (20_000, 8, false),
        ] as [(UInt64, Int, Bool)] {
            let answer = try look(Operation(.read, at: offset, length: UInt32(length)))
            test.expect(answer.made, nil, "bpf_dynptr_from_file")
            // The file may grow: the dynptr has no end of its own.
            test.expect(answer.sizes.parent, equals: .max, "its size")
            test.expect(answer.result == nil, equals: fits, "whether \(length) bytes at \(offset) are read")
            if fits {
                test.expect(
                    answer.read(length), equals: Array(content[Int(offset)..<(Int(offset) + length)]),
                    "\(length) bytes at \(offset)")
            }
        }
        for (offset, fits) in [(0, true), (4092, true), (9992, true), (9993, false)] as [(UInt64, Bool)] {
            let answer = try look(Operation(.slice, at: offset))
            test.expect(answer.found, equals: fits, "whether a slice of 8 bytes at \(offset) is given")
            if fits {
                test.expect(
                    answer.read(8), equals: Array(content[Int(offset)..<(Int(offset) + 8)]), "slice at \(offset)")
            }
        }
        let moved = try look(Operation(.read, length: 8).adjusting(5000, 5008))
        test.expect(moved.sizes.parent, equals: 8, "the size of a changed view")
        test.expect(moved.read(8), equals: Array(content[5000..<5008]), "what is read of it")
        let wrote = try look(Operation(.write, length: 8))
        test.expect(wrote.result != nil, "writing to a file's dynptr is refused")
        test.expect(try readFile(path), equals: content, "the file afterwards")
        test.expect(try look(Operation(.data)), gives: nil, "bpf_dynptr_data of a file")
        let null = try look(Operation(.read, length: 0).with { $0.makeFlags = 1 })
        test.expect(null.made, .EINVAL, "bpf_dynptr_from_file with flags 1")
        test.expect(null.isNull.parent, "it is null")
    }
}
