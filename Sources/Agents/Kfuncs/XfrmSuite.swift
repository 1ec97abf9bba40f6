// SPDX-License-Identifier: Apache-2.0
public import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Features {
    static let xfrmState = Feature.kfunc("bpf_xdp_get_xfrm_state", since: "6.8", config: ["CONFIG_XFRM"])
    static let xfrmInfo = Feature.kfunc("bpf_skb_set_xfrm_info", since: "6.2", config: ["CONFIG_XFRM_INTERFACE"])
}

private let object = "kfuncs/xfrm.bpf.o"
private let refusing = "kfuncs/xfrm_fail.bpf.o"
private let stateNeeds = [Features.xfrmState, ipsec]
private let address = UInt32(0x0a00_0005).bigEndian
private let spi = UInt32(0x1234).bigEndian

/// States are made over netlink.
private let ipsec = Feature("ipsec", since: "2.6", config: ["CONFIG_XFRM_USER"]) {
    do throws(Errno) {
        try IPsec.delete(destination: address, spi: 0)
        return .present
    } catch .noSuchProcess {
        return .present
    } catch {
        return .absent(evidence: "XFRM_MSG_DELSA of a state that is not there: \(error.name) (\(error.rawValue))")
    }
}

private struct States {
    let test: Test
    let object: BPFObject

    init(_ test: Test, _ programs: [String]) throws {
        self.test = test
        object = try BPFObject(KfuncSuites.object, programs: programs)
        try object.set("address", to: address)
        try object.set("spi", to: spi)
    }

    func find() throws -> Bool {
        try object.run("find_state", data: frame).get() == 1
    }

    func value(_ variable: String) throws -> Int32 {
        try object.value(of: variable)
    }

    func expectNone(_ what: String, line: Int = #line) throws {
        test.expect(try !find(), "no state is found: \(what)", line: line)
        test.expect(Errno(rawValue: -(try value("error"))), .ENOENT, "opts.error: \(what)", line: line)
    }
}

/// K-092 to K-094 of docs/semantics/kfuncs.md.
public let xfrmSuite = Suite("kfuncs.xfrm", "kfuncs on IPsec", isolation: .network, objects: [object, refusing]) {
    Case("K-092", "an IPsec state is found, counted and released", since: "6.8", needs: stateNeeds) { test in
        let states = try States(test, ["find_state"])
        try states.expectNone("none was made")
        try IPsec.add(destination: address, spi: spi)
        test.expect(try states.find(), "the state is found")
        test.expect(try states.value("error"), equals: 77, "opts.error of a call that succeeds is left as it was")
        test.expect(try states.object.value(of: "spi_seen"), equals: spi, "SPI of the state found")
        let references = try states.value("references")
        try test.require(references >= 2, "the namespace's reference and the program's: \(references)")
        test.expect(try states.value("references_twice"), equals: references + 1, "references when found twice")
        test.expect(try states.value("references_left"), equals: references, "references when one was released")
        for _ in 0..<100 { test.expect(try states.find(), "the state is found again") }
        test.expect(try states.value("references"), equals: references, "references after 100 times more")
        try states.object.set("protocol", to: UInt8(51))
        try states.expectNone("of another protocol")
        try states.object.set("protocol", to: UInt8(50))
        try IPsec.delete(destination: address, spi: spi)
        try states.expectNone("it was deleted")
    }
    Case("K-092.mark", "a state with a mark is found by it alone", spec: ["K-092"], since: "6.8", needs: stateNeeds) {
        test in
        let states = try States(test, ["find_state"])
        try IPsec.add(destination: address, spi: spi, mark: 7)
        try states.expectNone("without the mark")
        try states.object.set("mark", to: UInt32(7))
        test.expect(try states.find(), "the state is found by its mark")
        try states.object.set("mark", to: UInt32(8))
        try states.expectNone("by another mark")
    }
    Case(
        "K-092.errors", "bpf_xdp_get_xfrm_state says what is wrong", spec: ["K-092"], since: "6.8", needs: stateNeeds
    ) { test in
        let states = try States(test, ["state_errors", "find_state"])
        try IPsec.add(destination: address, spi: spi)
        test.expect(try states.object.run("state_errors", data: frame).get(), equals: 1, "the program runs")
        let observed = try states.object.bytes(of: "errors")
        let expected: [(what: String, error: Int32)] = [
            ("options one byte too short", -Errno.EINVAL.rawValue), ("netns_id -2", -Errno.EINVAL.rawValue),
            ("netns_id 9999", -Errno.ENONET.rawValue), ("another SPI", -Errno.ENOENT.rawValue),
            ("another protocol", -Errno.ENOENT.rawValue),
            ("options of 3 bytes: no room, the error is left as it was", 77),
        ]
        for (index, one) in expected.enumerated() {
            test.expect(Int32(observed, at: 4 * index), equals: one.error, "opts.error for \(one.what)")
        }
        test.expect(try states.find(), "the state is found with the right options")
    }
    Case(
        "K-092.netns", "netns_id says whose state it is, and the namespace is given back", spec: ["K-092"],
        since: "6.8", needs: stateNeeds
    ) { test in
        let other = try OtherNamespace(test, id: 6)
        try other.enter { try IPsec.add(destination: address, spi: spi) }
        let states = try States(test, ["find_state", "namespace"])
        try states.expectNone("in the caller's own namespace")
        try states.object.set("netns_id", to: Int32(6))
        test.expect(try states.find(), "it is found in the other namespace")
        try other.expectNoReferences(from: states.object, "a lookup in the namespace") { _ = try states.find() }
        try states.object.set("spi", to: UInt32(99))
        try other.expectNoReferences(from: states.object, "a lookup of what is not there") { _ = try states.find() }
    }
    Case(
        "K-094", "an IPsec interface's metadata is set once", since: "6.2", needs: [Features.xfrmInfo]
    ) { test in
        let object = try BPFObject(object, programs: ["interface_info"])
        try object.set("if_id", to: UInt32(42))
        try object.set("link", to: Int32(3))
        for round in 1...3 {
            test.expect(try object.run("interface_info", data: frame).get(), equals: 1, "the program runs")
            let results = [
                ("get_before", -Errno.EINVAL.rawValue, "reading before it is set"), ("set_first", 0, "setting"),
                ("set_second", -Errno.EINVAL.rawValue, "setting again"), ("get_after", 0, "reading"),
                ("link_seen", 3, "the link"),
            ]
            for (variable, value, what) in results {
                test.expect(
                    try object.value(of: variable, as: Int32.self), equals: value, "packet \(round): \(what)")
            }
            test.expect(
                try object.value(of: "if_id_seen"), equals: UInt32(42), "packet \(round): the id that was set first")
        }
    }
    Refused("K-093", "an IPsec state must be released", "leak", since: "6.8", .leak)
        .asCase(refusing, needs: [Features.xfrmState])
    Refused(
        "K-093.null", "what bpf_xdp_get_xfrm_state returns may be NULL", "release_unchecked", since: "6.8", .maybeNull
    )
    .asCase(refusing, needs: [Features.xfrmState])
    Refused(
        "K-093.tc", "tc programs get no IPsec state", "get_in_tc", since: "6.8", .notAllowed("bpf_xdp_get_xfrm_state")
    )
    .asCase(refusing, needs: [Features.xfrmState])
}
