// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let conntrack = Feature.kfunc("bpf_skb_ct_alloc", since: "6.0", config: ["CONFIG_NF_CONNTRACK"])
    static let conntrackNAT = Feature.kfunc("bpf_ct_set_nat_info", since: "6.1", config: ["CONFIG_NF_NAT"])
}

private let needs = [Features.conntrack]
private let hour: UInt32 = 3_600_000
/// Long enough for every kind of program.
let frame = [UInt8](repeating: 0, count: 64)

/// Bits of an entry's status: include/uapi/linux/netfilter/nf_conntrack_common.h.
private enum Status {
    static let seenReply: UInt32 = 2
    static let assured: UInt32 = 4
    static let confirmed: UInt32 = 8
    static let sourceNAT: UInt32 = 16
    static let sourceNATDone: UInt32 = 128
    static let dying: UInt32 = 512
    static let fixedTimeout: UInt32 = 1024
}

/// Programs of one kind on the connection table of the case's own network namespace.
private struct ConnectionTable {
    let test: Test
    let object: BPFObject
    let hook: String

    /// - Parameter marks: whether the programs write marks, for which the module's BTF must be right.
    init(_ test: Test, hook: String = "tc", others: [String] = [], marks: Bool = false) throws {
        self.test = test
        self.hook = hook
        object = try BPFObject(
            "kfuncs/ct.bpf.o", programs: ["\(hook)_insert", "\(hook)_find"] + others.map { "\(hook)_\($0)" }
        ) { object throws(LoadError) in
            if marks { unsafe try object.globals(".rodata.marks")[0] = 1 }
        }
        try object.set("port", to: UInt16(1000))
        try object.set("timeout_ms", to: hour)
    }

    /// - Returns: 1 for done, 2 for an entry that was not inserted, 0 for none found or allocated.
    func run(_ program: String) throws -> UInt32 {
        try object.run("\(hook)_\(program)", data: frame).get()
    }

    /// The only entry is inserted.
    func insert() throws {
        try test.require(try run("insert") == 1, "an entry is allocated and inserted")
    }

    func expect(_ variable: String, equals value: Int32, _ what: String, line: Int = #line) throws {
        test.expect(try object.value(of: variable, as: Int32.self), equals: value, what, line: line)
    }

    func expectError(_ errno: Errno, _ what: String, line: Int = #line) throws {
        test.expect(Errno(rawValue: -(try object.value(of: "error", as: Int32.self))), errno, what, line: line)
    }

    func expectStatus(_ status: UInt32, _ what: String, line: Int = #line) throws {
        test.expect(try object.value(of: "status_seen", as: UInt64.self), equals: UInt64(status), what, line: line)
    }

    /// Entries that the kernel counts, among them those that nobody can find and that were not freed.
    func expectEntries(_ count: Int, line: Int = #line) throws {
        let text = String(decoding: try readFile("/proc/sys/net/netfilter/nf_conntrack_count"), as: UTF8.self)
        test.expect(text, equals: "\(count)\n", "entries of the namespace", line: line)
    }

    /// The entry is there and nobody holds it but the table and the finder.
    func expectFound(_ what: String, line: Int = #line) throws {
        test.expect(try run("find"), equals: 1, what, line: line)
        try expect("use_found", equals: 2, "references of an entry found: the table's and the program's", line: line)
        try expect("use_found_again", equals: 3, "references of an entry found twice", line: line)
        try expect("use_left", equals: 2, "references when one was released", line: line)
    }
}

/// K-084 to K-091 of docs/semantics/kfuncs.md.
public let conntrackSuite = Suite(
    "kfuncs.conntrack", "kfuncs that make, find and change entries of the connection table", isolation: .network,
    objects: ["kfuncs/ct.bpf.o", "kfuncs/ct_fail.bpf.o"]
) {
    for hook in ["tc", "xdp"] {
        Case(
            "K-084.\(hook)", "\(hook): an entry is allocated, inserted, found in both directions and released",
            spec: ["K-084"], since: "6.1", needs: needs
        ) { test in
            let table = try ConnectionTable(test, hook: hook)
            test.expect(try table.run("find"), equals: 0, "0: nothing is found at first")
            try table.expectError(.ENOENT, "opts.error of a lookup without entry")
            try table.insert()
            try table.expect("error", equals: 77, "opts.error of a call that succeeds is left as it was")
            try table.expect("use_allocated", equals: 0, "references of an entry that nobody can find yet")
            test.expect(try table.object.value(of: "status_allocated", as: UInt64.self), equals: 0, "a new status")
            try table.expect("use_inserted", equals: 2, "references: the table's and the program's")
            try table.expectStatus(Status.confirmed, "status after the insertion: confirmed")
            try table.expect("timeout_in_time", equals: 1, "1: the time begins with the insertion")
            try table.expectEntries(1)
            try table.expectFound("the entry is found")
            try table.expect("direction", equals: 0, "opts.dir: the original direction")
            try table.object.set("reply_direction", to: Int32(1))
            try table.expectFound("the entry is found by the tuple of its replies")
            try table.expect("direction", equals: 1, "opts.dir: the direction of replies")
            try table.object.set("port", to: UInt16(1001))
            test.expect(try table.run("find"), equals: 0, "0: another port is another connection")
            try table.expectError(.ENOENT, "opts.error of a lookup of another port")
        }
        for call in ["lookup", "alloc"] {
            Case(
                "K-090.\(hook).\(call)", "bpf_\(hook == "tc" ? "skb" : "xdp")_ct_\(call) says what is wrong",
                spec: ["K-090"], since: "6.1", needs: needs
            ) { test in
                let table = try ConnectionTable(test, hook: hook, others: ["\(call)_errors"])
                if call == "lookup" { try table.insert() }
                test.expect(try table.run("\(call)_errors"), equals: 1, "the program runs")
                let observed = try table.object.bytes(of: "errors")
                let expected: [(what: String, error: Int32)] = [
                    ("the last two of 12 bytes, which must be 0", -Errno.EINVAL.rawValue),
                    ("l4proto 1, ICMP", -Errno.EPROTO.rawValue), ("a tuple of 5 bytes", -Errno.EAFNOSUPPORT.rawValue),
                    ("netns_id -2", -Errno.EINVAL.rawValue), ("netns_id 9999", -Errno.ENONET.rawValue),
                    ("options of 11 bytes", -Errno.EINVAL.rawValue),
                    ("options of 4 bytes: no room, the error is left as it was", 77),
                    ("options of 8 bytes: room for the error", -Errno.EINVAL.rawValue),
                ]
                for (index, one) in expected.enumerated() {
                    test.expect(Int32(observed, at: 4 * index), equals: one.error, "opts.error for \(one.what)")
                }
                try table.expectEntries(call == "lookup" ? 1 : 0)
                if call == "lookup" { try table.expectFound("the entry is still found") }
            }
        }
    }
    Case(
        "K-084.again", "a connection is inserted once; the second entry is freed", spec: ["K-084"], since: "6.1",
        needs: needs
    ) { test in
        let table = try ConnectionTable(test)
        try table.insert()
        for _ in 0..<3 {
            test.expect(try table.run("insert"), equals: 2, "2: bpf_ct_insert_entry returns NULL")
            try table.expectEntries(1)
        }
        try table.expectFound("the first entry is still found")
    }
    Case("K-084.many", "1000 lookups leave the reference count as it was", spec: ["K-084"], since: "6.1", needs: needs)
    {
        test in
        let table = try ConnectionTable(test, hook: "xdp")
        try table.insert()
        for _ in 0..<1000 { test.expect(try table.run("find"), equals: 1, "the entry is found") }
        try table.expectFound("the entry is found afterwards")
        try table.object.set("changes_timeout", to: Int32(1))
        try table.object.set("timeout_ms", to: UInt32(0))
        test.expect(try table.run("find"), equals: 1, "the entry is found and told to expire")
        test.expect(try table.run("find"), equals: 0, "0: it has expired")
        try table.expectEntries(0)
    }
    Case(
        "K-084.nat", "bpf_ct_set_nat_info says where replies of a new entry go", spec: ["K-084"], since: "6.1",
        needs: needs + [Features.conntrackNAT]
    ) { test in
        let table = try ConnectionTable(test, others: ["insert_nat"])
        try table.object.set("nat_address", to: UInt32(0x0a00_0007).bigEndian)
        try table.object.set("nat_port", to: Int32(4444))
        test.expect(try table.run("insert_nat"), equals: 1, "an entry with a source address of its own")
        try table.expect("nat_result", equals: 0, "result of bpf_ct_set_nat_info")
        test.expect(
            try table.object.value(of: "reply_address"), equals: UInt32(0x0a00_0007).bigEndian, "where replies go")
        test.expect(try table.object.value(of: "reply_port"), equals: UInt16(4444).bigEndian, "the port they go to")
        try table.expectStatus(
            Status.confirmed | Status.sourceNAT | Status.sourceNATDone, "status: confirmed, source NAT, done")
        try table.object.set("port", to: UInt16(1001))
        try table.object.set("nat_kind", to: Int32(1))
        test.expect(try table.run("insert_nat"), equals: 1, "an entry with a destination address of its own")
        test.expect(
            try table.object.value(of: "reply_address"), equals: UInt32(0x0a00_0007).bigEndian,
            "where replies come from")
        try table.object.set("port", to: UInt16(1002))
        try table.object.set("nat_kind", to: Int32(2))
        test.expect(try table.run("insert_nat"), equals: 1, "an entry for which nothing was translated")
        try table.expect("nat_result", equals: -Errno.EINVAL.rawValue, "result for a kind that does not exist")
        try table.expectStatus(Status.confirmed, "status: confirmed only")
    }
    Case(
        "K-087.set", "bpf_ct_set_timeout sets the time that an entry will live", spec: ["K-087"], since: "6.1",
        needs: needs
    ) { test in
        let table = try ConnectionTable(test)
        // 10 s is what an entry gets of itself: in the kernel's own ticks, so that they need not be known here.
        try table.object.set("timeout_ms", to: UInt32(20_000))
        try table.insert()
        let seconds10 = try table.object.value(of: "timeout_allocated", as: UInt32.self)
        try test.require(seconds10 >= 1000 && seconds10 % 10 == 0, "10 s at 100 ticks a second or more: \(seconds10)")
        test.expect(try table.object.value(of: "timeout_set"), equals: 2 * seconds10, "20 s in ticks")
        try table.expect("timeout_in_time", equals: 1, "1: they begin with the insertion")
    }
    Case(
        "K-087.change", "bpf_ct_change_timeout lets an entry live on, or end", spec: ["K-087"], since: "6.1",
        needs: needs
    ) {
        test in
        let table = try ConnectionTable(test)
        try table.insert()
        let ticks = try table.object.value(of: "timeout_set", as: UInt32.self)
        try table.object.set("changes_timeout", to: Int32(1))
        try table.object.set("timeout_ms", to: 2 * hour)
        try table.object.set("timeout_set", to: 2 * ticks)
        try table.expectFound("the entry is found and changed")
        try table.expect("change_timeout_result", equals: 0, "result of bpf_ct_change_timeout")
        try table.expect("timeout_changed_in_time", equals: 1, "1: two hours from the change on")
        try table.object.set("timeout_ms", to: UInt32(0))
        try table.expectFound("the entry is found and told to expire")
        test.expect(try table.run("find"), equals: 0, "0: it has expired")
        try table.expectError(.ENOENT, "opts.error of a lookup of an entry that has expired")
        try table.expectEntries(0)
    }
    Case("K-087.fixed", "a timeout that is fixed is not changed", spec: ["K-087"], since: "6.1", needs: needs) { test in
        let table = try ConnectionTable(test)
        try table.object.set("status_wanted", to: Status.fixedTimeout)
        try table.insert()
        let ticks = try table.object.value(of: "timeout_set", as: UInt32.self)
        try table.object.set("changes_timeout", to: Int32(1))
        try table.object.set("timeout_ms", to: 2 * hour)
        try table.object.set("timeout_set", to: 2 * ticks)
        try table.expectFound("the entry is found")
        try table.expect("change_timeout_result", equals: -Errno.EPERM.rawValue, "result of bpf_ct_change_timeout")
        try table.expect("timeout_changed_in_time", equals: 0, "0: the timeout is the old one")
    }
    Case(
        "K-087.status", "bits of the status are set before and after the insertion, as far as they may",
        spec: ["K-087"],
        since: "6.1", needs: needs
    ) { test in
        let table = try ConnectionTable(test)
        try table.object.set("status_wanted", to: Status.seenReply | Status.assured)
        try table.insert()
        try table.expect("status_result", equals: 0, "result of bpf_ct_set_status")
        let status = Status.seenReply | Status.assured | Status.confirmed
        try table.expectStatus(status, "status after the insertion")
        try table.object.set("changes_status", to: Int32(1))
        let changes: [(what: String, status: UInt32, result: Int32, seen: UInt32)] = [
            ("to confirmed no more", status & ~Status.confirmed, -Errno.EBUSY.rawValue, status),
            ("to assured no more", status & ~Status.assured, -Errno.EBUSY.rawValue, status),
            ("to no reply seen", status & ~Status.seenReply, -Errno.EBUSY.rawValue, status),
            ("to dying", status | Status.dying, -Errno.EBUSY.rawValue, status),
            ("to translated, which is ignored", status | Status.sourceNATDone, 0, status),
            ("to a fixed timeout", status | Status.fixedTimeout, 0, status | Status.fixedTimeout),
        ]
        for change in changes {
            try table.object.set("status_wanted", to: change.status)
            test.expect(try table.run("find"), equals: 1, "the entry is found and changed \(change.what)")
            try table.expect("change_status_result", equals: change.result, "result of the change \(change.what)")
            try table.object.set("changes_status", to: Int32(0))
            try table.expectFound("the entry is found after the change \(change.what)")
            try table.expectStatus(change.seen, "status after the change \(change.what)")
            try table.object.set("changes_status", to: Int32(1))
        }
        try table.object.set("port", to: UInt16(1001))
        try table.object.set("status_wanted", to: Status.confirmed)
        try table.insert()
        try table.expect("status_result", equals: -Errno.EBUSY.rawValue, "bpf_ct_set_status to confirmed")
        try table.expectStatus(Status.confirmed, "status: confirmed by the insertion")
    }
    for hook in ["tc", "xdp"] {
        Case(
            "K-089.\(hook)", "\(hook): an entry's mark is written directly", spec: ["K-089"], since: "6.1", needs: needs
        ) {
            test in
            let table = try ConnectionTable(test, hook: hook, marks: true)
            try table.object.set("mark_wanted", to: UInt32(77))
            try table.insert()
            try table.object.set("mark_wanted", to: UInt32(78))
            try table.expectFound("the entry is found")
            test.expect(
                try table.object.value(of: "mark_seen"), equals: UInt32(77), "the mark from before the insertion")
            try table.expectFound("the entry is found again")
            test.expect(try table.object.value(of: "mark_seen"), equals: UInt32(78), "the mark written when found")
        }
        Case(
            "K-090.\(hook).netns", "\(hook): netns_id says whose table it is, and the namespace is given back",
            spec: ["K-090"], since: "6.1", needs: needs
        ) { test in
            let other = try OtherNamespace(test, id: 5)
            let object = try BPFObject("kfuncs/ct.bpf.o", programs: ["\(hook)_insert", "\(hook)_find", "namespace"])
            try object.set("port", to: UInt16(1000))
            try object.set("timeout_ms", to: hour)
            try object.set("netns_id", to: Int32(5))
            let run = { (program: String) in try object.run("\(hook)_\(program)", data: frame).get() }
            test.expect(try run("insert"), equals: 1, "an entry goes into the other namespace's table")
            test.expect(try run("find"), equals: 1, "it is found there")
            test.expect(try object.value(of: "use_found", as: Int32.self), equals: 2, "references of the entry")
            try other.expectNoReferences(from: object, "a lookup in the namespace") { _ = try run("find") }
            try other.expectNoReferences(from: object, "an entry that is there already") { _ = try run("insert") }
            try object.set("netns_id", to: Int32(-1))
            test.expect(try run("find"), equals: 0, "0: the caller's own table has no such entry")
            test.expect(try other.enter { try run("find") }, equals: 1, "a caller in the other namespace finds it")
            test.expect(try object.value(of: "use_found", as: Int32.self), equals: 2, "references of the entry")
        }
        Case(
            "K-090.\(hook).zone", "\(hook): options of 16 bytes are for zones, which 6.11 brought", spec: ["K-090"],
            since: "6.1", needs: needs
        ) { test in
            let table = try ConnectionTable(test, hook: hook, others: ["insert_zone", "find_zone"])
            if KernelRelease.running < KernelRelease(6, 11) {
                test.expect(try table.run("insert_zone"), equals: 0, "0: options of 16 bytes are refused")
                try table.expectError(.EINVAL, "opts.error of options of 16 bytes")
                test.expect(try table.run("find_zone"), equals: 0, "0: options of 16 bytes are refused")
                try table.expectError(.EINVAL, "opts.error of options of 16 bytes")
                return
            }
            try table.object.set("zone_wanted", to: UInt16(7))
            test.expect(try table.run("insert_zone"), equals: 1, "an entry goes into zone 7")
            test.expect(try table.run("find_zone"), equals: 1, "it is found there")
            try table.expect("use_found", equals: 2, "references of the entry")
            for byte: UInt32 in [1, 1 << 8, 1 << 16] {
                try table.object.set("reserved", to: byte)
                for program in ["insert_zone", "find_zone"] {
                    test.expect(try table.run(program), equals: 0, "0: a reserved byte that is not 0 is refused")
                    try table.expectError(.EINVAL, "opts.error of \(program) with reserved bytes \(byte)")
                }
            }
            try table.object.set("reserved", to: UInt32(0))
            // Without CONFIG_NF_CONNTRACK_ZONES all are one.
            let zones = try table.object.value(of: "zones", as: Int32.self) == 1
            try table.object.set("zone_wanted", to: UInt16(0))
            for program in ["find_zone", "find"] {
                test.expect(try table.run(program), equals: zones ? 0 : 1, "\(program): whether zone 0 has the entry")
            }
            if zones { try table.expectError(.ENOENT, "opts.error of a lookup in zone 0") }
            try table.object.set("zone_wanted", to: UInt16(7))
            test.expect(try table.run("find"), equals: 0, "0: a zone in options of 12 bytes is refused")
            try table.expectError(.EINVAL, "opts.error of a zone in options of 12 bytes")
        }
    }
    refusedConntrackPrograms.map { $0.asCase("kfuncs/ct_fail.bpf.o", needs: needs) }
}

extension Int32 {
    init(_ bytes: [UInt8], at offset: Int) {
        self.init(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) })
    }
}
