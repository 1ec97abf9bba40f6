// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let ksock = Feature.kfunc("bpf_ksock_create", since: "7.3")
}

private let needs = [Features.ksock]
private let object = "kfuncs/ksock.bpf.o"
private let refusing = "kfuncs/ksock_fail.bpf.o"

/// Programs that make a socket, and a receiver for what they send.
private struct KernelSocket {
    let test: Test
    let object: BPFObject
    let receiver: InternetSocket

    init(_ test: Test, _ programs: [String], isV6: Bool = false) throws {
        self.test = test
        receiver = try InternetSocket(.udp, isV6: isV6)
        try receiver.bind()
        object = try BPFObject(KfuncSuites.object, programs: programs)
        try object.set("port", to: try receiver.port())
        try object.set("family", to: UInt16(isV6 ? AF_INET6 : AF_INET))
        try options(family: UInt8(isV6 ? AF_INET6 : AF_INET))
    }

    /// `struct bpf_ksock_create_opts`.
    func options(family: UInt8 = 2, type: UInt8 = 2, protocol: UInt8 = 17, reserved: UInt8 = 0) throws {
        try object.setBytes(of: "opts", to: [family, type, `protocol`, reserved])
    }

    func run(_ program: String, line: Int = #line) throws {
        test.expect(try object.run(program).get(), equals: 1, "\(program) did what it was to do", line: line)
    }

    func expect(_ variable: String, equals value: Int32, _ what: String, line: Int = #line) throws {
        test.expect(try object.value(of: variable, as: Int32.self), equals: value, what, line: line)
    }

    func expectReceived(_ text: String, line: Int = #line) throws {
        test.expect(try receiver.receive().get(), equals: Array(text.utf8), "the datagram received", line: line)
    }
}

/// K-097 and K-098 of docs/semantics/kfuncs.md.
public let ksockSuite = Suite(
    "kfuncs.ksock", "sockets that programs make", isolation: .network, objects: [object, refusing]
) {
    for (isV6, name) in [(false, "4"), (true, "6")] {
        Case(
            "K-097.send\(name)", "IPv\(name): a program's socket sends a datagram", spec: ["K-097"], since: "7.3",
            needs: needs
        ) { test in
            let socket = try KernelSocket(test, ["create_and_send"], isV6: isV6)
            for _ in 0..<2 {
                try socket.run("create_and_send")
                for (variable, value) in [
                    ("error", 0), ("usage_created", 1), ("usage_acquired", 2), ("usage_left", 1), ("connected", 0),
                    ("sent", 5),
                ] {
                    try socket.expect(variable, equals: Int32(value), variable)
                }
                try socket.expectReceived("hello")
            }
        }
    }
    Case("K-097.errors", "bpf_ksock_create says what is wrong", spec: ["K-097"], since: "7.3", needs: needs) { test in
        let socket = try KernelSocket(test, ["create_and_send", "create_with_short_options"])
        func expectNone(_ what: String, _ errno: Errno, program: String = "create_and_send") throws {
            test.expect(try socket.object.run(program).get(), equals: 0, "0: NULL for \(what)")
            try socket.expect("error", equals: -errno.rawValue, "*err for \(what)")
        }
        try socket.options(family: 1)
        try expectNone("AF_UNIX", .EAFNOSUPPORT)
        try socket.options(type: 1)
        try expectNone("SOCK_STREAM", .EPROTONOSUPPORT)
        try socket.options(protocol: 6)
        try expectNone("TCP", .EPROTONOSUPPORT)
        try socket.options(reserved: 1)
        try expectNone("reserved 1", .EINVAL)
        try socket.options()
        try expectNone("options of 3 bytes", .EINVAL, program: "create_with_short_options")
        try socket.object.set("family", to: UInt16(1))
        try socket.run("create_and_send")
        try socket.expect("connected", equals: -Errno.EAFNOSUPPORT.rawValue, "connecting to an address of AF_UNIX")
        try socket.expect("sent", equals: -Errno.EDESTADDRREQ.rawValue, "sending without a destination")
        try socket.object.set("family", to: UInt16(AF_INET))
        try socket.options(protocol: 0)
        try socket.run("create_and_send")
        try socket.expectReceived("hello")
    }
    Case("K-097.kept", "a socket in a map is used by other programs", spec: ["K-097"], since: "7.3", needs: needs) {
        test in
        let socket = try KernelSocket(test, ["create_and_keep", "send_from_map", "drop"])
        test.expect(try socket.object.run("send_from_map").get(), equals: 0, "0: the map is empty")
        try socket.run("create_and_keep")
        for _ in 0..<3 {
            try socket.run("send_from_map")
            try socket.expect("usage_acquired", equals: 2, "references: the map's and the program's")
            try socket.expect("sent", equals: 4, "bytes sent")
            try socket.expectReceived("kept")
        }
        try socket.run("drop")
        try socket.expect("usage_left", equals: 1, "references at the end")
        test.expect(try socket.object.run("send_from_map").get(), equals: 0, "0: the map is empty again")
    }
    Case(
        "K-097.lsm", "an LSM program sends with a socket from a map", spec: ["K-097"], since: "7.3",
        needs: needs + [.bpfLSM]
    ) { test in
        let socket = try KernelSocket(test, ["create_and_keep", "send_from_lsm"])
        try socket.run("create_and_keep")
        try socket.object.set("pid_wanted", to: getpid())
        let attached = try socket.object.attach("send_from_lsm")
        try withExtendedLifetime(attached) {
            let other = try InternetSocket(.udp)
            try other.bind()
        }
        attached.detach()
        try socket.expect("runs", equals: 1, "datagrams for one bind(2)")
        try socket.expectReceived("kept")
    }
    for one in [
        Refused("K-097.leak", "a socket that was made must be released", "leak", since: "7.3", .leak),
        Refused(
            "K-097.null", "what bpf_ksock_create returns may be NULL", "release_unchecked", since: "7.3", .maybeNull),
        Refused(
            "K-097.rcu", "a socket from a map is acquired in an RCU section", "acquire_outside_rcu", since: "7.3",
            .notRCU),
        Refused(
            "K-098", "programs that sending itself runs do not send", "send_in_sendmsg", since: "7.3",
            needs: [.bpfLSM], .notAllowed("bpf_ksock_acquire")),
        Refused(
            "K-098.create", "LSM programs make no sockets", "create_in_lsm", since: "7.3", needs: [.bpfLSM],
            .notAllowed("bpf_ksock_create")),
    ] {
        one.asCase(refusing, needs: needs)
    }
}
