// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

private let tokenObject = "namespaces/token.bpf.o"

/// N-033 to N-042 and N-055 of docs/semantics/namespaces.md.
let tokenSuite = Suite(
    "namespaces.token", "BPF tokens: what a bpffs delegates to a user namespace", objects: [tokenObject]
) {
    Case("N-033", "with a token of a delegated bpffs the root of a user namespace uses BPF", needs: [.bpfToken]) {
        test in
        let findings = try delegated(.everything) { findings, root in
            let token = try Token.create(root.raw).get()
            findings.note("close on exec", fcntl(token.raw, F_GETFD) & FD_CLOEXEC != 0)
            let lru = BPFMap.create(.lruHash, flags: .token, token: token.raw)
            findings.note("LRU map", lru.errno)
            findings.note("LRU map without the token", BPFMap.create(.lruHash).errno)
            let programs: [(String, RawProgram)] = [
                ("xdp", .returning(2, .xdp)), ("sched_cls", .returning(0, .schedCls)),
                ("kprobe", .returning(0, .kprobe)),
            ]
            for (name, program) in programs {
                findings.note(name, program.with(token).load().errno)
                findings.note("\(name) without the token", program.load().errno)
            }
            findings.note("BTF", loadBTF(token: token.raw))
            findings.note("BTF without the token", loadBTF(token: nil))
            // The map works like any other.
            if let map = try? lru.get() {  // noted above
                findings.note("update", map.update(UInt32(1).bytes, to: UInt64(2).bytes))
            }
        }
        test.expect(
            findings,
            [
                "close on exec": "true", "LRU map": "0", "LRU map without the token": "EPERM",
                "xdp": "0", "xdp without the token": "EPERM",
                "sched_cls": "0", "sched_cls without the token": "EPERM",
                "kprobe": "0", "kprobe without the token": "EPERM",
                "BTF": "0", "BTF without the token": "EPERM", "update": "0",
            ])
    }
    tokenErrors
    Case(
        "N-035", "a token for MAP_CREATE is none for PROG_LOAD: the ordinary rules hold, EPERM", needs: [.bpfToken]
    ) { test in
        let findings = try delegated(
            Delegation(commands: "0x1", maps: "any", programs: "any", attachments: "any")
        ) { findings, root in
            let token = try Token.create(root.raw).get()
            findings.note("xdp", RawProgram.returning(2, .xdp).with(token).load().errno)
            findings.note("BTF", loadBTF(token: token.raw))
            findings.note("LRU map", BPFMap.create(.lruHash, flags: .token, token: token.raw).errno)
        }
        test.expect(findings, ["xdp": "EPERM", "BTF": "EPERM", "LRU map": "0"])
    }
    Case(
        "N-035.btf", "with a token for BTF_GET_FD_BY_ID types are found by their id, while CAP_SYS_ADMIN is there",
        spec: ["N-035"], needs: [.bpfToken, btfByToken]
    ) { test in
        // Bit 19 of the commands; another mount has all others.
        for (commands, answer) in [("0x80000", "0"), ("0xfff7ffff", "EPERM")] {
            let findings = try delegated(Delegation(commands: commands)) { findings, root in
                let token = try Token.create(root.raw).get()
                findings.note("with the token", kernelTypes(token: token.raw))
                findings.note("without", kernelTypes(token: nil))
                if let errno = Capability.sysAdmin.drop() { throw errno }
                findings.note("without CAP_SYS_ADMIN", kernelTypes(token: token.raw))
            }
            test.expect(
                findings, ["with the token": answer, "without": "EPERM", "without CAP_SYS_ADMIN": "EPERM"])
        }
    }
    Case(
        "N-036", "a token lets in the types of programs, attachments and maps that it names and no others",
        needs: [.bpfToken]
    ) { test in
        // Bits of BPF_PROG_TYPE_SCHED_CLS (3) and BPF_PROG_TYPE_CGROUP_SOCK_ADDR (18), of BPF_CGROUP_INET_INGRESS (0)
        // and BPF_CGROUP_INET4_CONNECT (10), of BPF_MAP_TYPE_LRU_HASH (9).
        let findings = try delegated(
            Delegation(commands: "0x21", maps: "0x200", programs: "0x40008", attachments: "0x401")
        ) { findings, root in
            let token = try Token.create(root.raw).get()
            let programs: [(String, RawProgram)] = [
                ("sched_cls", .returning(0, .schedCls)),
                ("xdp", .returning(2, .xdp)),
                ("kprobe", .returning(0, .kprobe)),
                ("connect4", .returning(1, .cgroupSockAddr, expectedAttachType: 10)),
                ("connect6", .returning(1, .cgroupSockAddr, expectedAttachType: 11)),
            ]
            for (name, program) in programs { findings.note(name, program.with(token).load().errno) }
            for (name, kind) in [
                ("lru_hash", BPFMap.Kind.lruHash), ("lru_percpu_hash", .lruPercpuHash), ("stack_trace", .stackTrace),
            ] {
                findings.note(
                    name, BPFMap.create(kind, flags: .token, token: token.raw).errno)
            }
        }
        test.expect(
            findings,
            [
                "sched_cls": "0", "xdp": "EPERM", "kprobe": "EPERM", "connect4": "0", "connect6": "EPERM",
                "lru_hash": "0", "lru_percpu_hash": "EPERM", "stack_trace": "EPERM",
            ])
    }
    Case("N-037", "what is no token is refused where one is wanted: EINVAL, no descriptor EBADF", needs: [.bpfToken]) {
        test in
        let findings = try delegated(.everything) { findings, root in
            let other = try Descriptors.open("/proc/self/status", O_RDONLY)
            for (name, raw) in [("a file", other.raw), ("the bpffs", root.raw), ("no descriptor", CInt(-1))] {
                var program = RawProgram.returning(2, .xdp)
                program.flags = RawProgram.tokenFlag
                program.token = raw
                findings.note("\(name): program", program.load().errno)
                findings.note("\(name): map", BPFMap.create(.lruHash, flags: .token, token: raw).errno)
                findings.note("\(name): BTF", loadBTF(token: raw))
            }
        }
        test.expect(
            findings,
            [
                "a file: program": "EINVAL", "a file: map": "EINVAL", "a file: BTF": "EINVAL",
                "the bpffs: program": "EINVAL", "the bpffs: map": "EINVAL", "the bpffs: BTF": "EINVAL",
                "no descriptor: program": "EBADF", "no descriptor: map": "EBADF", "no descriptor: BTF": "EBADF",
            ])
    }
    Case("N-038", "a kernel without tokens refuses their flag with EINVAL, one with them looks at the descriptor") {
        test in
        var program = RawProgram.returning(2, .xdp)
        program.flags = RawProgram.tokenFlag
        program.token = -1
        let hasTokens = KernelRelease.running >= KernelRelease(6, 9)
        // An older kernel's attr ends before the token: what is there is too much for it.
        var short = program
        short.token = 0
        test.expect(
            program.load().errno, hasTokens ? .EBADF : Errno(rawValue: 7), "a program with the flag and descriptor -1")
        if !hasTokens {
            test.expect(short.load().errno, .EINVAL, "a program with the flag alone")
            test.expect(BPFMap.create(.lruHash, flags: .token).errno, .EINVAL, "a map with the flag alone")
        } else {
            test.expect(
                BPFMap.create(.lruHash, flags: .token, token: -1).errno, .EBADF,
                "a map with the flag and descriptor -1")
        }
        test.expect(RawProgram.returning(2, .xdp).load().errno, nil, "the same program without the flag")
    }
    Case(
        "N-039", "a token is worth the capabilities that its user has in the user namespace, and no more",
        needs: [.bpfToken]
    ) { test in
        let findings = try delegated(.everything) { findings, root in
            let token = try Token.create(root.raw).get()
            let xdp = RawProgram.returning(2, .xdp).with(token)
            findings.note("with all", xdp.load().errno)
            // CAP_SYS_ADMIN stands in for the others.
            for (name, capability) in [("SYS_ADMIN", Capability.sysAdmin), ("NET_ADMIN", .netAdmin)] {
                if let errno = capability.drop() { throw errno }
                findings.note("xdp without \(name)", xdp.load().errno)
            }
            findings.note(
                "LRU map", BPFMap.create(.lruHash, flags: .token, token: token.raw).errno)
            findings.note("kprobe", RawProgram.returning(0, .kprobe).with(token).load().errno)
            if let errno = Capability.perfmon.drop() { throw errno }
            findings.note("kprobe without PERFMON", RawProgram.returning(0, .kprobe).with(token).load().errno)
            if let errno = Capability.bpf.drop() { throw errno }
            findings.note(
                "LRU map without BPF", BPFMap.create(.lruHash, flags: .token, token: token.raw).errno)
            findings.note("xdp without BPF", xdp.load().errno)
            findings.note("another token without BPF", Token.create(root.raw).errno)
        }
        test.expect(
            findings,
            [
                "with all": "0", "xdp without SYS_ADMIN": "0", "xdp without NET_ADMIN": "EPERM", "LRU map": "0",
                "kprobe": "0", "kprobe without PERFMON": "EPERM", "LRU map without BPF": "EPERM",
                "xdp without BPF": "EPERM", "another token without BPF": "EPERM",
            ])
    }
    Case(
        "N-040", "delegation is only for the root of the initial user namespace to give: fsconfig says EPERM",
        needs: [.bpfToken]
    ) { test in
        let findings = try aside(in: [.user, .mount]) { findings, _ in
            for (name, delegation) in [
                ("delegate_cmds", Delegation(commands: "any")), ("delegate_maps", Delegation(maps: "any")),
                ("delegate_progs", Delegation(programs: "any")), ("delegate_attachs", Delegation(attachments: "0x1")),
            ] {
                let context = try BPFFileSystem.begin()
                findings.note(name, BPFFileSystem.configure(context.raw, delegation))
            }
            let context = try BPFFileSystem.begin()
            // Not even a bpffs without delegation: only who may delegate makes one for a user namespace.
            findings.note("a bpffs", BPFFileSystem.create(context.raw))
        }
        test.expect(
            findings,
            [
                "delegate_cmds": "EPERM", "delegate_maps": "EPERM", "delegate_progs": "EPERM",
                "delegate_attachs": "EPERM", "a bpffs": "EPERM",
            ])
        let context = try BPFFileSystem.begin()
        test.expect(BPFFileSystem.configure(context.raw, .everything), nil, "all four by the machine's root")
        test.expect(
            BPFFileSystem.configure(context.raw, Delegation(commands: "nonsense")), .EINVAL, "a name of no command")
    }
    Case(
        "N-041", "BPF_OBJ_GET_INFO_BY_FD of a token tells its four masks from 6.18 on, and says EINVAL before",
        needs: [.bpfToken]
    ) { test in
        let findings = try delegated(
            Delegation(commands: "0x21", maps: "0x200", programs: "0x40008", attachments: "any")
        ) { findings, root in
            let token = try Token.create(root.raw).get()
            let info: [UInt8]
            switch BPFInfo.info(token.raw, size: 32) {
            case .success(let bytes): info = bytes
            case .failure(let errno):
                findings.note("refused", Errno?.some(errno))
                return
            }
            for (index, name) in ["commands", "maps", "programs", "attachments"].enumerated() {
                let mask = (0..<8).reduce(UInt64(0)) { $0 | UInt64(info[8 * index + $1]) << (8 * UInt64($1)) }
                findings.note(name, "0x" + String(mask, radix: 16))
            }
        }
        // bpf_token_get_info_by_fd came with 6.18; before, a token was a descriptor of no known kind.
        if KernelRelease.running < KernelRelease(6, 18), findings["commands"] == "nothing" {
            test.expect(findings, ["refused": "EINVAL"])
            return
        }
        test.expect(
            findings,
            ["commands": "0x21", "maps": "0x200", "programs": "0x40008", "attachments": "0xffffffffffffffff"])
    }
    Case(
        "N-042", "fdinfo of a token has four lines, each `any` or the mask in hexadecimal", needs: [.bpfToken]
    ) { test in
        let findings = try delegated(
            Delegation(commands: "0x21", maps: "any", programs: "0x40008")
        ) { findings, root in
            let token = try Token.create(root.raw).get()
            let text = String(decoding: try readFile("/proc/self/fdinfo/\(token.raw)"), as: UTF8.self)
            for line in text.split(separator: "\n") where line.hasPrefix("allowed_") {
                let words = line.split(separator: ":\t")
                findings.note(String(words[0]), words.count == 2 ? String(words[1]) : "nothing")
            }
        }
        test.expect(
            findings,
            [
                "allowed_cmds": "0x21", "allowed_maps": "any", "allowed_progs": "0x40008", "allowed_attachs": "0x0",
            ])
    }
    Case(
        "N-042.names", "a mount takes the names of commands and types, and shows the masks that they stand for",
        spec: ["N-042"], needs: [.bpfToken]
    ) { test in
        let findings = try delegated(
            Delegation(
                commands: "map_create:prog_load", maps: "hash:LRU_HASH", programs: "SCHED_CLS:xdp",
                attachments: "cgroup_inet4_connect")
        ) { findings, root in
            let token = try Token.create(root.raw).get()
            let text = String(decoding: try readFile("/proc/self/fdinfo/\(token.raw)"), as: UTF8.self)
            for line in text.split(separator: "\n") where line.hasPrefix("allowed_") {
                let words = line.split(separator: ":\t")
                findings.note(String(words[0]), words.count == 2 ? String(words[1]) : "nothing")
            }
        }
        test.expect(
            findings,
            [
                "allowed_cmds": "0x21", "allowed_maps": "0x202", "allowed_progs": "0x48", "allowed_attachs": "0x400",
            ])
    }
    for (name, program, expected) in [
        ("create", "deny_create", ["create": "EACCES"]),
        ("cmd", "deny_command", ["create": "0", "xdp": "EPERM", "map": "EPERM"]),
        ("capable", "deny_capability", ["create": "0", "xdp": "EPERM", "map": "EPERM"]),
    ] {
        Case(
            "N-055.\(name)", "an LSM program that says no to tokens (\(program)) is obeyed", spec: ["N-055"],
            needs: [.bpfToken, .bpfLSM]
        ) { test in
            let object = try BPFObject(tokenObject, programs: [program])
            let attached = try object.attach(program)
            let findings = try delegated(.everything) { findings, root in
                try object.set("wanted", to: UInt64(own()))
                findings.note("create", Token.create(root.raw).errno)
                guard expected.count > 1 else { return }
                try object.set("wanted", to: UInt64(0))
                let token = try Token.create(root.raw).get()
                try object.set("wanted", to: UInt64(own()))
                findings.note("xdp", RawProgram.returning(2, .xdp).with(token).load().errno)
                findings.note(
                    "map", BPFMap.create(.lruHash, flags: .token, token: token.raw).errno)
            }
            attached.detach()
            for (what, answer) in expected { test.expect(findings[what], equals: answer, what) }
            test.expect(try object.value(of: "runs", as: UInt32.self) > 0, "the program ran")
        }
    }
}

/// The caller's number in the initial pid namespace, which is that of its /proc.
private func own() -> Int32 { getpid() }

private let tokenErrors: [Case] = [
    Case("N-034", "BPF_TOKEN_CREATE says what is wrong, each thing by its errno", needs: [.bpfToken]) { test in
        let findings = try delegated(.everything) { findings, root in
            findings.note("flags 1", Token.create(root.raw, flags: 1).errno)
            findings.note("no descriptor", Token.create(-1).errno)
            let below = try BPFFileSystem.subdirectory("below", of: root.raw)
            findings.note("a directory below the root", Token.create(below.raw).errno)
            let file = try Descriptors.open("/proc/self/status", O_RDONLY)
            findings.note("a file of another file system", Token.create(file.raw).errno)
            findings.note("after all that", Token.create(root.raw).errno)
        }
        test.expect(
            findings,
            [
                "flags 1": "EINVAL", "no descriptor": "EBADF", "a directory below the root": "EINVAL",
                "a file of another file system": "EINVAL", "after all that": "0",
            ])
    },
    Case(
        "N-034.tmpfs", "the root of a tmpfs gives no token: EINVAL", spec: ["N-034"], needs: [.bpfToken]
    ) { test in
        let findings = try aside(in: [.user, .mount]) { findings, _ in
            let context = try BPFFileSystem.begin("tmpfs")
            if let errno = BPFFileSystem.create(context.raw) { throw errno }
            let root = try BPFFileSystem.mount(context.raw)
            findings.note("tmpfs", Token.create(root.raw).errno)
        }
        test.expect(findings, ["tmpfs": "EINVAL"])
    },
    Case(
        "N-034.undelegated", "a bpffs that delegates nothing gives no token: ENOENT", spec: ["N-034"],
        needs: [.bpfToken]
    ) { test in
        let findings = try delegated(Delegation()) { findings, root in
            findings.note("nothing delegated", Token.create(root.raw).errno)
        }
        test.expect(findings, ["nothing delegated": "ENOENT"])
    },
    Case(
        "N-034.initial", "in the initial user namespace there are no tokens: EOPNOTSUPP", spec: ["N-034"],
        needs: [.bpfToken]
    ) { test in
        let context = try BPFFileSystem.begin()
        try test.require(success: BPFFileSystem.configure(context.raw, .everything), "all is delegated")
        try test.require(success: BPFFileSystem.create(context.raw), "the file system is made")
        let root = try BPFFileSystem.mount(context.raw)
        test.expect(Token.create(root.raw).errno, .EOPNOTSUPP, "the machine's root, its own bpffs")
    },
    Case(
        "N-034.other", "a bpffs of another user namespace gives no token, neither above nor below nor beside: EPERM",
        spec: ["N-034"], needs: [.bpfToken]
    ) { test in
        var above: Errno?
        var beside = Findings()
        let findings = try delegated(.everything) { findings, root, channel in
            try channel.send(passing: [root.raw])
            _ = try channel.receive()
            if let errno = Namespaces.unshare(.user) { throw errno }
            try Namespaces.mapRoot()
            findings.note("in a namespace below", Token.create(root.raw).errno)
        } then: { channel in
            let root = try channel.receiveDescriptor()
            above = Token.create(root.raw).errno
            beside = try aside(in: [.user]) { findings, _ in
                findings.note("in a namespace beside", Token.create(root.raw).errno)
            }
            try channel.send()
        }
        test.expect(findings, ["in a namespace below": "EPERM"])
        test.expect(beside, ["in a namespace beside": "EPERM"])
        test.expect(above, .EPERM, "in the initial namespace")
    },
    Case(
        "N-034.capability", "BPF_TOKEN_CREATE needs CAP_BPF in the user namespace: EPERM", spec: ["N-034"],
        needs: [.bpfToken]
    ) { test in
        let findings = try delegated(.everything) { findings, root in
            if let errno = Capability.sysAdmin.drop() { throw errno }
            findings.note("with CAP_BPF alone", Token.create(root.raw).errno)
            if let errno = Capability.bpf.drop() { throw errno }
            findings.note("without", Token.create(root.raw).errno)
        }
        test.expect(findings, ["with CAP_BPF alone": "0", "without": "EPERM"])
    },
]

/// BPF_BTF_GET_FD_BY_ID of the kernel's own types, whose id is 1; nil on success.
private func kernelTypes(token: CInt?) -> Errno? {
    var attr = Attr(size: 16)
    attr.set(UInt32(1), at: 0)
    if let token {
        attr.set(RawProgram.tokenFlag, at: 8)
        attr.set(token, at: 12)
    }
    switch attr.call(.btfGetFDByID) {
    case .success(let raw):
        FileHandle(adopting: raw).close()
        return nil
    case .failure(let errno): return errno
    }
}

/// BPF_BTF_GET_FD_BY_ID takes a token (6.15): one that is no descriptor is EBADF then, and before an unknown flag.
private let btfByToken = Feature("btf-id-by-token", since: "6.15") {
    switch kernelTypes(token: -1) {
    case .EBADF: .present
    case let answer: .absent(evidence: "BPF_BTF_GET_FD_BY_ID with BPF_F_TOKEN_FD: \(answer?.name ?? "0")")
    }
}

extension RawProgram {
    /// The same program, loaded with a token.
    fileprivate func with(_ token: FileHandle) -> RawProgram {
        var program = self
        program.flags |= Self.tokenFlag
        program.token = token.raw
        return program
    }
}

/// Runs something as root of a new user namespace, with the root directory of a bpffs that belongs to it and that the
/// machine's root has delegated to it.
private func delegated(
    _ delegation: Delegation, _ child: (inout Findings, FileHandle) throws -> Void
) throws -> Findings {
    try delegated(delegation) { findings, root, _ in
        try child(&findings, root)
    } then: { _ in
    }
}

private func delegated(
    _ delegation: Delegation, _ child: (inout Findings, FileHandle, Channel) throws -> Void,
    then: (Channel) throws -> Void
) throws -> Findings {
    try aside(in: [.user, .mount]) { findings, channel in
        let context = try BPFFileSystem.begin()
        try channel.send(passing: [context.raw])
        _ = try channel.receive()
        try child(&findings, try BPFFileSystem.mount(context.raw), channel)
    } meanwhile: { channel, _ in
        let context = try channel.receiveDescriptor()
        if let errno = BPFFileSystem.configure(context.raw, delegation) { throw errno }
        if let errno = BPFFileSystem.create(context.raw) { throw errno }
        try channel.send()
        try then(channel)
    }
}

/// BPF_BTF_LOAD of one integer type; nil on success.
private func loadBTF(token: CInt?) -> Errno? {
    // struct btf_header, an int of 32 bits, and its name.
    let name = Array("\0int\0".utf8)
    let type: [UInt32] = [1, 1 << 24, 4, 1 << 24 | 32]
    var btf: [UInt8] = [0x9f, 0xeb, 1, 0]
    for word in [24, 0, UInt32(4 * type.count), UInt32(4 * type.count), UInt32(name.count)] {
        btf += word.bytes
    }
    btf += type.flatMap { $0.bytes } + name
    var attr = Attr(size: 40)
    attr.set(UInt32(btf.count), at: 16)
    if let token {
        attr.set(RawProgram.tokenFlag, at: 32)
        attr.set(token, at: 36)
    }
    return unsafe btf.withUnsafeBytes { raw in
        attr.set(UInt64(UInt(bitPattern: raw.baseAddress)), at: 0)
        switch attr.call(.btfLoad) {
        case .success(let raw):
            FileHandle(adopting: raw).close()
            return nil
        case .failure(let errno): return errno
        }
    }
}
