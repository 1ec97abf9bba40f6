// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let sockDestroy = Feature.kfunc("bpf_sock_destroy", since: "6.5")
}

private let needs = [Features.sockDestroy]

/// TCP's states: include/net/tcp_states.h.
private let established: Int32 = 1
private let listening: Int32 = 10

/// Iterators that destroy sockets of the case's own network namespace.
private struct Destroyer {
    let test: Test
    let object: BPFObject
    let program: String

    init(_ test: Test, _ program: String) throws {
        self.test = test
        self.program = program
        object = try BPFObject("kfuncs/sock.bpf.o", programs: [program])
    }

    /// Destroys the socket with a port, the only one that has it.
    func destroy(_ port: UInt16, state: Int32 = 0) throws {
        try object.set("port", to: Int32(port))
        try object.set("state", to: state)
        try object.set("result", to: Int32(1))
        let before = try calls()
        _ = try BPFCall.read(iterator: try BPFCall.iterator(try object.program(program)).get())
        test.expect(try calls(), equals: before + 1, "sockets with port \(port)")
        test.expect(try object.value(of: "result", as: Int32.self), equals: 0, "result of bpf_sock_destroy")
    }

    /// Lets the iterator look for a socket that is not there any more.
    func expectGone(_ port: UInt16) throws {
        try object.set("port", to: Int32(port))
        try object.set("state", to: Int32(0))
        let before = try calls()
        _ = try BPFCall.read(iterator: try BPFCall.iterator(try object.program(program)).get())
        test.expect(try calls(), equals: before, "sockets with port \(port): none any more")
    }

    private func calls() throws -> Int32 {
        try object.value(of: "calls")
    }
}

/// K-075 to K-077 of docs/semantics/kfuncs.md.
public let socketSuite = Suite(
    "kfuncs.socket", "bpf_sock_destroy from iterators over sockets", isolation: .network,
    objects: ["kfuncs/sock.bpf.o", "kfuncs/sock_fail.bpf.o"]
) {
    for (isV6, name) in [(false, "4"), (true, "6")] {
        Case(
            "K-075.tcp\(name)", "IPv\(name): a TCP socket is aborted, and the other end is told", spec: ["K-075"],
            since: "6.5", needs: needs
        ) { test in
            let destroyer = try Destroyer(test, "destroy_tcp")
            let server = try InternetSocket(.tcp, isV6: isV6)
            try server.bind()
            try server.listen()
            let client = try InternetSocket(.tcp, isV6: isV6)
            try client.connect(port: try server.port())
            let accepted = try server.accept()
            let bystander = try InternetSocket(.tcp, isV6: isV6)
            try bystander.connect(port: try server.port())
            let port = try client.port()
            try destroyer.destroy(port)
            test.expect(client.receive().errno, .ECONNABORTED, "reading from the socket destroyed")
            test.expect(client.send([1]), .brokenPipe, "writing to the socket destroyed")
            test.expect(accepted.receive().errno, .ECONNRESET, "reading at the other end")
            try destroyer.expectGone(port)
            test.expect(bystander.send([1]), nil, "writing to another connection")
            test.expect(try server.accept().receive().get(), equals: [1], "what came over the other connection")
        }
        Case(
            "K-075.listen\(name)", "IPv\(name): a listening socket is aborted, with those nobody had accepted",
            spec: ["K-075"], since: "6.5", needs: needs
        ) { test in
            let destroyer = try Destroyer(test, "destroy_tcp")
            let server = try InternetSocket(.tcp, isV6: isV6)
            try server.bind()
            try server.listen()
            let port = try server.port()
            let client = try InternetSocket(.tcp, isV6: isV6)
            try client.connect(port: port)
            try destroyer.destroy(port, state: listening)
            test.expect(server.takeError(), .ECONNABORTED, "SO_ERROR of the socket destroyed")
            test.expect(client.receive().errno, .ECONNRESET, "reading from a connection that was not accepted")
            do throws(Errno) {
                _ = try server.accept()
                test.fail("accepting from the socket destroyed", expected: "EINVAL (22)", observed: "0")
            } catch {
                test.expect(error, .EINVAL, "accepting from the socket destroyed")
            }
            let late = try InternetSocket(.tcp, isV6: isV6)
            do throws(Errno) {
                try late.connect(port: port)
                test.fail("connecting to the socket destroyed", expected: "ECONNREFUSED (111)", observed: "0")
            } catch {
                test.expect(error, .ECONNREFUSED, "connecting to the socket destroyed")
            }
            try destroyer.expectGone(port)
        }
        Case(
            "K-075.udp\(name)", "IPv\(name): a UDP socket is aborted, and connected no more", spec: ["K-075"],
            since: "6.5", needs: needs
        ) { test in
            let destroyer = try Destroyer(test, "destroy_udp")
            let server = try InternetSocket(.udp, isV6: isV6)
            try server.bind()
            let client = try InternetSocket(.udp, isV6: isV6)
            try client.connect(port: try server.port())
            let port = try client.port()
            try destroyer.destroy(port)
            test.expect(client.receive().errno, .ECONNABORTED, "reading from the socket destroyed")
            test.expect(client.send([1]), .EDESTADDRREQ, "writing to the socket destroyed")
            try destroyer.expectGone(port)
            let other = try InternetSocket(.udp, isV6: isV6)
            try other.bind(port: port)
            try other.connect(port: try server.port())
            test.expect(other.send([7]), nil, "writing from another socket with the port that is free again")
            test.expect(try server.receive().get(), equals: [7], "what came to the other end")
        }
    }
    Case(
        "K-075.accepted", "only the socket asked for is aborted of two with one port", spec: ["K-075"], since: "6.5",
        needs: needs
    ) { test in
        let destroyer = try Destroyer(test, "destroy_tcp")
        let server = try InternetSocket(.tcp)
        try server.bind()
        try server.listen()
        let client = try InternetSocket(.tcp)
        try client.connect(port: try server.port())
        let accepted = try server.accept()
        try destroyer.destroy(try server.port(), state: established)
        test.expect(accepted.receive().errno, .ECONNABORTED, "reading from the socket destroyed")
        test.expect(client.receive().errno, .ECONNRESET, "reading at the other end")
        let next = try InternetSocket(.tcp)
        try next.connect(port: try server.port())
        test.expect(next.send([3]), nil, "writing to a new connection to the same port")
        test.expect(try server.accept().receive().get(), equals: [3], "what came over it")
    }
    Refused(
        "K-077", "a Unix socket is not destroyed: its iterator hands out none to be trusted", "destroy_unix",
        since: "6.5", .untrusted
    ).asCase("kfuncs/sock_fail.bpf.o", needs: needs)
    Refused(
        "K-076", "tracepoint programs destroy no sockets", "destroy_in_tracepoint", since: "6.5",
        .notAllowed("bpf_sock_destroy")
    ).asCase("kfuncs/sock_fail.bpf.o", needs: needs)
    Refused(
        "K-076.tc", "tc programs destroy no sockets", "destroy_in_tc", since: "6.5", .notAllowed("bpf_sock_destroy")
    )
    .asCase("kfuncs/sock_fail.bpf.o", needs: needs)
    Refused("K-075.null", "an iterator's socket may be NULL", "destroy_unchecked", since: "6.5", .maybeNull)
        .asCase("kfuncs/sock_fail.bpf.o", needs: needs)
}
