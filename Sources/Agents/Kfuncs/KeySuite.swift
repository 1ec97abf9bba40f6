// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let userKey = Feature.kfunc("bpf_lookup_user_key", since: "6.1", config: ["CONFIG_KEYS"])
    static let signature = Feature.kfunc(
        "bpf_verify_pkcs7_signature", since: "6.1", config: ["CONFIG_SYSTEM_DATA_VERIFICATION"])
}

private let needs = [Features.userKey, Feature.bpfLSM]
private let refusing = "kfuncs/key_fail.bpf.o"

/// `KEY_LOOKUP_…`: include/linux/key.h.
private let create: UInt64 = 1
private let partial: UInt64 = 2

/// A program on the hook that every call of bpf(2) passes.
private struct KeyProgram {
    let test: Test
    let object: BPFObject
    private let attached: AttachedProgram

    init(_ test: Test, _ program: String) throws {
        self.test = test
        object = try BPFObject("kfuncs/key.bpf.o", programs: [program])
        try object.set("pid_wanted", to: getpid())
        try object.set("command", to: Attr.Command.linkGetNextID.rawValue)
        attached = try object.attach(program)
    }

    /// Lets the program run once.
    ///
    /// - Returns: whether it found a key.
    func run() throws -> Bool {
        let runs = try object.value(of: "runs", as: Int32.self)
        let found = try object.value(of: "found", as: Int32.self)
        var attr = Attr(size: 16)
        // Whatever it answers: the hook has been passed.
        _ = attr.call(.linkGetNextID)
        test.expect(try object.value(of: "runs", as: Int32.self), equals: runs + 1, "runs for one call of bpf(2)")
        return try object.value(of: "found", as: Int32.self) > found
    }

    func find(_ serial: Int32, flags: UInt64 = 0) throws -> Bool {
        try object.set("serial", to: serial)
        try object.set("flags", to: flags)
        return try run()
    }

    func value(_ variable: String) throws -> Int32 {
        try object.value(of: variable)
    }
}

/// K-095 and K-096 of docs/semantics/kfuncs.md.
public let keySuite = Suite("kfuncs.key", "kfuncs on keys", objects: ["kfuncs/key.bpf.o", refusing]) {
    Case("K-095", "a user's key is found, counted and given back", since: "6.1", needs: needs) { test in
        let program = try KeyProgram(test, "user_key")
        let serial = try Keys.add("user", "bpftest", payload: [1, 2, 3])
        test.expect(try program.find(serial), "the key is found by its serial number")
        test.expect(try program.value("serial_found"), equals: serial, "serial number of the key found")
        test.expect(try program.value("has_reference"), equals: 1, "has_ref")
        let usage = try program.value("usage")
        try test.require(usage >= 2, "the keyring's reference and the program's: \(usage)")
        test.expect(try program.value("usage_twice"), equals: usage + 1, "references when found twice")
        test.expect(try program.value("usage_left"), equals: usage, "references when one was given back")
        for _ in 0..<100 { test.expect(try program.find(serial), "the key is found again") }
        test.expect(try program.value("usage"), equals: usage, "references after 100 times more")
        test.expect(try program.find(serial, flags: partial), "KEY_LOOKUP_PARTIAL: the key is found")
        test.expect(try program.value("usage"), equals: usage, "references after KEY_LOOKUP_PARTIAL")
    }
    Case("K-095.none", "unknown keys and unknown flags are NULL", spec: ["K-095"], since: "6.1", needs: needs) { test in
        let program = try KeyProgram(test, "user_key")
        let serial = try Keys.add("user", "bpftest", payload: [1])
        for flags: UInt64 in [4, 1 << 31, 1 << 32, 1 << 63] {
            test.expect(try !program.find(serial, flags: flags), "flags \(flags): NULL")
        }
        test.expect(try !program.find(0), "serial number 0: NULL")
        test.expect(try !program.find(-100), "a special number that does not exist: NULL")
        test.expect(try !program.find(Int32.max), "a serial number that nobody has: NULL")
        test.expect(try program.find(serial), "the key with flags 0: found")
    }
    Case(
        "K-095.create", "a special keyring is made only with KEY_LOOKUP_CREATE", spec: ["K-095"], since: "6.1",
        needs: needs
    ) { test in
        let program = try KeyProgram(test, "user_key")
        test.expect(try !program.find(Keys.threadRing), "the thread has no keyring: NULL")
        test.expect(try program.find(Keys.threadRing, flags: create), "KEY_LOOKUP_CREATE: it is made and found")
        let serial = try program.value("serial_found")
        test.expect(try program.find(Keys.threadRing), "it is there now")
        test.expect(try program.value("serial_found"), equals: serial, "serial number of the same keyring")
        test.expect(serial > 0, "serial number of a key")
    }
    Case("K-095.system", "the kernel's own keyrings are 0 to 2", spec: ["K-095"], since: "6.1", needs: needs) { test in
        let program = try KeyProgram(test, "system_key")
        for (id, exists): (UInt64, Bool) in [
            (0, true), (1, true), (2, true), (3, false), (1 << 32, false), (.max, false),
        ] {
            try program.object.set("system_id", to: id)
            test.expect(try program.run(), equals: exists, "whether there is a keyring \(id)")
            if exists { test.expect(try program.value("has_reference"), equals: 0, "has_ref of keyring \(id)") }
        }
    }
    Case(
        "K-095.signature", "bpf_verify_pkcs7_signature refuses what is no signature, and keys that were revoked",
        spec: ["K-095"], since: "6.1", needs: needs + [Features.signature]
    ) { test in
        let program = try KeyProgram(test, "verify_signature")
        let ring = try Keys.add("keyring", "bpftest", payload: [])
        test.expect(try program.find(ring), "the keyring is found")
        test.expect(Errno(rawValue: -(try program.value("result"))), .EBADMSG, "bytes that are no PKCS#7 message")
        try Keys.revoke(ring)
        test.expect(try program.find(ring), "the keyring is found still: permissions are checked when it is used")
        test.expect(Errno(rawValue: -(try program.value("result"))), .EKEYREVOKED, "a keyring that was revoked")
    }
    for one in [
        Refused("K-096.null", "NULL is not given back", "put_null", since: "6.1", keyMaybeNull),
        Refused(
            "K-096.unchecked", "what bpf_lookup_user_key returns may be NULL", "put_unchecked", since: "6.1",
            keyMaybeNull),
        Refused(
            "K-096.system", "what bpf_lookup_system_key returns may be NULL", "put_system_unchecked", since: "6.1",
            keyMaybeNull),
        Refused("K-096", "a user's key must be given back", "leak_user", since: "6.1", .leak),
        Refused("K-096.leak_system", "a system's keyring must be given back", "leak_system", since: "6.1", .leak),
        Refused(
            "K-095.sleep", "bpf_lookup_user_key is not for programs that cannot sleep", "lookup_not_sleepable",
            since: "6.1",
            Rejection(.EINVAL, "kernel function bpf_lookup_user_key is sleepable but the program is not", from: .v6_1)
                .then(.v6_12, .EACCES, "program must be sleepable to call sleepable kfunc bpf_lookup_user_key")),
    ] {
        one.asCase(refusing, needs: needs)
    }
}

private let keyMaybeNull = Rejection(.EINVAL, "arg#0 pointer type STRUCT bpf_key must point to scalar", from: .v6_1)
    .then(.v6_12, .EACCES, "Possibly NULL pointer passed to trusted arg0")
    .then(.v7_2, .EACCES, "Possibly NULL pointer passed to trusted R1")
