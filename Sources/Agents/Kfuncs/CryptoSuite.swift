// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let crypto = Feature.kfunc(
        "bpf_crypto_ctx_create", since: "6.10", config: ["CONFIG_CRYPTO", "CONFIG_CRYPTO_SKCIPHER"])
}

private let needs = [Features.crypto]
private let object = "kfuncs/crypto.bpf.o"
private let refusing = "kfuncs/crypto_fail.bpf.o"

/// `struct bpf_crypto_params`.
private struct Parameters {
    var type = "skcipher"
    var reserved: [UInt8] = [0, 0]
    var algorithm = "ecb(aes)"
    var key = AES.key
    var keyLength: UInt32?
    var authSize: UInt32 = 0

    var bytes: [UInt8] {
        func field(_ bytes: [UInt8], _ size: Int) -> [UInt8] {
            bytes + [UInt8](repeating: 0, count: size - bytes.count)
        }
        func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        return field(Array(type.utf8), 14) + reserved + field(Array(algorithm.utf8), 128)
            + field(key, 256) + word(keyLength ?? UInt32(key.count)) + word(authSize)
    }
}

/// Vectors of the standards: FIPS-197 appendix C.1, SP 800-38A F.1.1 and F.2.1.
private enum AES {
    static let key: [UInt8] = (0..<16).map { $0 }
    static let plain: [UInt8] = (0..<16).map { $0 * 0x11 }
    static let cipher = hex("69c4e0d86a7b0430d8cdb78070b4c55a")
    static let otherKey = hex("2b7e151628aed2a6abf7158809cf4f3c")
    static let blocks = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    static let blocksECB = hex("3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf")
    static let blocksCBC = hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")

    private static func hex(_ text: String) -> [UInt8] {
        let digits = text.compactMap { $0.hexDigitValue }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

/// A context in a map, made by a syscall program, and the packet programs that use it.
private struct Cipher {
    let test: Test
    let object: BPFObject

    init(_ test: Test, _ programs: [String], _ parameters: Parameters = Parameters()) throws {
        self.test = test
        object = try BPFObject(KfuncSuites.object, programs: ["create", "count_kept"] + programs)
        try object.setBytes(of: "params", to: parameters.bytes)
        try object.set("keeps", to: Int32(1))
        test.expect(try object.run("create").get(), equals: 1, "a context is made and kept")
        try expect("error", equals: 0, "*err of bpf_crypto_ctx_create")
    }

    func use(_ source: [UInt8], room: Int? = nil, vector: [UInt8] = []) throws {
        try object.setBytes(of: "source", to: source)
        try object.set("source_size", to: Int32(source.count))
        try object.setBytes(of: "target", to: [UInt8](repeating: 0xee, count: 64))
        try object.set("target_size", to: Int32(room ?? source.count))
        try object.setBytes(of: "vector", to: vector)
        try object.set("vector_size", to: Int32(vector.count))
        try object.set("result", to: Int32(1))
    }

    func run(_ program: String) throws {
        test.expect(try object.run(program, data: frame).get(), equals: 1, "\(program) runs with the context")
    }

    func expect(_ variable: String, equals value: Int32, _ what: String, line: Int = #line) throws {
        test.expect(try object.value(of: variable, as: Int32.self), equals: value, what, line: line)
    }

    /// The result of a cipher, and that what lies behind it was left alone.
    func expectTarget(_ bytes: [UInt8], _ what: String, line: Int = #line) throws {
        try expect("result", equals: 0, "result of \(what)", line: line)
        let target = try object.bytes(of: "target")
        test.expect(Array(target[..<bytes.count]), equals: bytes, what, line: line)
        test.expect(target[bytes.count...].allSatisfy { $0 == 0xee }, "no byte behind it was written", line: line)
    }

    func expectRefused(_ errno: Errno, _ what: String, line: Int = #line) throws {
        try expect("result", equals: -errno.rawValue, "result of \(what)", line: line)
        test.expect(
            try object.bytes(of: "target").allSatisfy { $0 == 0xee }, "nothing was written by \(what)", line: line)
    }

    /// Nobody but the map holds the context.
    func expectOneUser(line: Int = #line) throws {
        test.expect(try object.run("count_kept").get(), equals: 1, "the map has the context", line: line)
        try expect("usage_left", equals: 1, "references: the map's", line: line)
    }
}

/// K-078 to K-083 of docs/semantics/kfuncs.md.
public let cryptoSuite = Suite("kfuncs.crypto", "ciphers in BPF", objects: [object, refusing]) {
    Case("K-078", "a cipher is made, acquired and released", since: "6.10", needs: needs) { test in
        let object = try BPFObject(object, programs: ["create"])
        try object.setBytes(of: "params", to: Parameters().bytes)
        test.expect(try object.run("create").get(), equals: 1, "1: a context")
        for (variable, value) in [
            ("error", 0), ("usage_created", 1), ("usage_acquired", 2), ("usage_left", 1), ("vector_wanted", 0),
        ] {
            test.expect(try object.value(of: variable, as: Int32.self), equals: Int32(value), variable)
        }
        var parameters = Parameters()
        parameters.algorithm = "cbc(aes)"
        try object.setBytes(of: "params", to: parameters.bytes)
        test.expect(try object.run("create").get(), equals: 1, "1: a context with a vector")
        test.expect(try object.value(of: "vector_wanted", as: Int32.self), equals: 16, "bytes of the vector")
    }
    Case("K-080", "bpf_crypto_ctx_create says what is wrong with its parameters", since: "6.10", needs: needs) { test in
        let object = try BPFObject(object, programs: ["create", "create_with_short_params"])
        var wrong: [(what: String, parameters: Parameters, errno: Errno)] = []
        func add(_ what: String, _ errno: Errno, _ change: (inout Parameters) -> Void) {
            var parameters = Parameters()
            change(&parameters)
            wrong.append((what, parameters, errno))
        }
        add("no key", .EINVAL) { $0.keyLength = 0 }
        add("a key of 300 bytes", .EINVAL) { $0.keyLength = 300 }
        add("a key of 257 bytes", .EINVAL) { $0.keyLength = 257 }
        add("a key of 15 bytes, which AES has not", .EINVAL) { $0.keyLength = 15 }
        add("a key of 256 bytes, which AES has not", .EINVAL) { $0.keyLength = 256 }
        add("the first reserved byte", .EINVAL) { $0.reserved = [1, 0] }
        add("the second reserved byte", .EINVAL) { $0.reserved = [0, 1] }
        add("an unknown algorithm", .EOPNOTSUPP) { $0.algorithm = "rot13(aes)" }
        add("an algorithm that is no cipher", .EOPNOTSUPP) { $0.algorithm = "sha256" }
        add("an unknown type", .ENOENT) { $0.type = "foo" }
        add("authsize where there is no authentication", .EOPNOTSUPP) { $0.authSize = 16 }
        for one in wrong {
            try object.setBytes(of: "params", to: one.parameters.bytes)
            try object.set("error", to: Int32(1))
            test.expect(try object.run("create").get(), equals: 0, "0: NULL for \(one.what)")
            test.expect(
                try object.value(of: "error", as: Int32.self), equals: -one.errno.rawValue, "*err for \(one.what)")
        }
        try object.setBytes(of: "params", to: Parameters().bytes)
        test.expect(try object.run("create_with_short_params").get(), equals: 0, "0: NULL for a size one too small")
        test.expect(
            try object.value(of: "error", as: Int32.self), equals: -Errno.EINVAL.rawValue,
            "*err for a size one too small")
        test.expect(try object.run("create").get(), equals: 1, "1: the parameters are right otherwise")
    }
    for (hook, program) in [("tc", "encrypt_in_tc"), ("action", "encrypt_in_action"), ("xdp", "encrypt_in_xdp")] {
        Case(
            "K-082.\(hook)", "\(hook): encrypts as the standard has it, with a context from a map", spec: ["K-082"],
            since: "6.10", needs: needs
        ) { test in
            let cipher = try Cipher(test, [program])
            try cipher.use(AES.plain)
            try cipher.run(program)
            try cipher.expectTarget(AES.cipher, "one block encrypted")
            try cipher.use(AES.plain + AES.plain, room: 48)
            try cipher.run(program)
            try cipher.expectTarget(AES.cipher + AES.cipher, "two blocks encrypted, with room to spare")
            try cipher.expectOneUser()
        }
    }
    Case("K-082.decrypt", "decrypts what was encrypted", spec: ["K-082"], since: "6.10", needs: needs) { test in
        var parameters = Parameters()
        parameters.key = AES.otherKey
        let cipher = try Cipher(test, ["decrypt_in_tc", "encrypt_without_vector"], parameters)
        try cipher.use(AES.blocksECB)
        try cipher.run("decrypt_in_tc")
        try cipher.expectTarget(AES.blocks, "two blocks decrypted")
        try cipher.use(AES.blocks)
        try cipher.run("encrypt_without_vector")
        try cipher.expectTarget(AES.blocksECB, "two blocks encrypted, NULL for the vector")
        try cipher.expectOneUser()
    }
    Case("K-082.cbc", "a cipher with a vector uses it", spec: ["K-082"], since: "6.10", needs: needs) { test in
        var parameters = Parameters()
        parameters.algorithm = "cbc(aes)"
        parameters.key = AES.otherKey
        let cipher = try Cipher(test, ["encrypt_in_tc", "decrypt_in_tc", "encrypt_without_vector"], parameters)
        try cipher.use(AES.blocks, vector: AES.key)
        try cipher.run("encrypt_in_tc")
        try cipher.expectTarget(AES.blocksCBC, "two blocks encrypted")
        try cipher.use(AES.blocksCBC, vector: AES.key)
        try cipher.run("decrypt_in_tc")
        try cipher.expectTarget(AES.blocks, "two blocks decrypted")
        for size in [0, 8, 15] {
            try cipher.use(AES.blocks, vector: Array(AES.key[..<size]))
            try cipher.run("encrypt_in_tc")
            try cipher.expectRefused(.EINVAL, "a vector of \(size) bytes")
        }
        try cipher.use(AES.blocks)
        try cipher.run("encrypt_without_vector")
        try cipher.expectRefused(.EINVAL, "NULL for the vector")
    }
    for (program, what) in [("encrypt_in_tc", "encrypt"), ("decrypt_in_tc", "decrypt")] {
        Case(
            "K-083.\(what)", "bpf_crypto_\(what) refuses operands of the wrong size", spec: ["K-083"], since: "6.10",
            needs: needs
        ) { test in
            let cipher = try Cipher(test, [program])
            try cipher.use(AES.plain + AES.plain, room: 16)
            try cipher.run(program)
            try cipher.expectRefused(.EINVAL, "a destination smaller than the source")
            try cipher.use(AES.plain, room: 15)
            try cipher.run(program)
            try cipher.expectRefused(.EINVAL, "a destination one byte smaller than the source")
            try cipher.use([], room: 16)
            try cipher.run(program)
            try cipher.expectRefused(.EINVAL, "an empty source")
            try cipher.use(AES.plain, room: 0)
            try cipher.run(program)
            try cipher.expectRefused(.EINVAL, "an empty destination")
            try cipher.use(AES.plain, vector: AES.key)
            try cipher.run(program)
            try cipher.expectRefused(.EINVAL, "a vector for a cipher that has none")
            try cipher.use(Array(AES.plain[..<15]))
            try cipher.run(program)
            try cipher.expect("result", equals: -Errno.EINVAL.rawValue, "result of 15 bytes: not a whole block")
            try cipher.use(AES.plain)
            try cipher.run(program)
            try cipher.expect("result", equals: 0, "result of operands of the right size")
            try cipher.expectOneUser()
        }
    }
    Refused("K-079", "a cipher that was made must be released", "leak_created", since: "6.10", .leak)
        .asCase(refusing, needs: needs)
    Refused(
        "K-079.null", "what bpf_crypto_ctx_create returns may be NULL", "acquire_unchecked", since: "6.10", .maybeNull
    )
    .asCase(refusing, needs: needs)
    Refused(
        "K-080.long", "parameters are as long as they are said to be", "params_too_long", since: "6.10",
        Rejection(.EACCES, "invalid access to map value")
    ).asCase(refusing, needs: needs)
    Refused(
        "K-081", "tc programs make no cipher", "create_in_tc", since: "6.10", .notAllowed("bpf_crypto_ctx_create")
    ).asCase(refusing, needs: needs)
    Refused(
        "K-081.syscall", "syscall programs do not encrypt", "encrypt_in_syscall", since: "6.10",
        .notAllowed("bpf_crypto_encrypt")
    ).asCase(refusing, needs: needs)
    Refused("K-082.null", "a cipher from a map may be NULL", "encrypt_unchecked", since: "6.10", .maybeNull)
        .asCase(refusing, needs: needs)
}
