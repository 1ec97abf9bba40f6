// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import LinuxIO
public import SystemPackage

/// netkit devices: two that are joined, the primary and its peer, with a list of programs on what each sends.
///
/// - Source: include/uapi/linux/if_link.h, IFLA_NETKIT_*.
public enum Netkit {
    /// What becomes of packets while the list is empty.
    public enum Policy: UInt32, Sendable {
        case forward = 0
        case blackhole = 2
    }

    private static let peerInfo: UInt16 = 1
    private static let policy: UInt16 = 3
    private static let peerPolicy: UInt16 = 4
    private static let pairing: UInt16 = 10
    private static let getLink: UInt16 = 18
    /// IFF_RUNNING.
    private static let running: UInt32 = 1 << 6

    /// Makes a pair, both ends down.
    ///
    /// - Parameter namespace: where the peer is made; nil: where the caller is.
    public static func add(
        _ name: String, peer: String, policy: Policy = .forward, peerPolicy: Policy = .forward,
        namespace: NetworkNamespace? = nil
    ) throws(Errno) {
        var message = Netlink.Message.link(index: 0, flags: 0, change: 0)
        message.text(3, name)
        message.nest(18) { info in
            info.text(1, "netkit")
            info.nest(2) { data in
                data.number(Self.policy, policy.rawValue)
                data.number(Self.peerPolicy, peerPolicy.rawValue)
                data.nest(Self.peerInfo) { end in
                    end.raw(Netlink.Message.link(index: 0, flags: 0, change: 0).bytes)
                    end.text(3, peer)
                    if let namespace { end.number(28, UInt32(bitPattern: namespace.raw)) }
                }
            }
        }
        try Netlink.talk(Netlink.newLink, [Netlink.create, Netlink.exclusive], message)
    }

    /// Makes a device that has no peer (commit b5c3fa4a0b16).
    public static func addSingle(_ name: String) throws(Errno) {
        try add(name, pairing: 1)
    }

    fileprivate static func add(_ name: String, pairing: UInt32) throws(Errno) {
        var message = Netlink.Message.link(index: 0, flags: 0, change: 0)
        message.text(3, name)
        message.nest(18) { info in
            info.text(1, "netkit")
            info.nest(2) { $0.number(Self.pairing, pairing) }
        }
        try Netlink.talk(Netlink.newLink, [Netlink.create, Netlink.exclusive], message)
    }

    /// Changes what becomes of packets, by the primary.
    public static func change(_ name: String, policy: Policy, peerPolicy: Policy) throws(Errno) {
        var message = Netlink.Message.link(index: try Netlink.index(name), flags: 0, change: 0)
        message.nest(18) { info in
            info.text(1, "netkit")
            info.nest(2) { data in
                data.number(Self.policy, policy.rawValue)
                data.number(Self.peerPolicy, peerPolicy.rawValue)
            }
        }
        try Netlink.talk(Netlink.newLink, [], message)
    }

    /// Waits until a device that is up sends what it is given: the end that comes up first is told by a worker of the
    /// kernel that its cable has another end, and drops everything until then.
    public static func awaitRunning(_ name: String, limit: Duration = .seconds(10)) throws(Errno) {
        let index = try Netlink.index(name)
        let end = ContinuousClock.now + limit
        var poller = Poller()
        while true {
            let answer = try Netlink.talk(getLink, [], Netlink.Message.link(index: index, flags: 0, change: 0))
            // struct nlmsghdr, struct ifinfomsg: its flags.
            if answer.count >= 28, UInt32(answer, at: 24) & running != 0 { break }
            if ContinuousClock.now > end { throw .timedOut }
            _ = try poller.wait(.milliseconds(1))
        }
        // The flag is set before the queues are ready, under one lock, which this waits for.
        try Netlink.setUp(name)
    }

    /// Keeps the kernel from sending packets of its own over devices that are made from now on, in the caller's network
    /// namespace: IPv6 looks for routers and neighbours as soon as a device comes up.
    public static func silenceNewDevices() throws(Errno) {
        do throws(Errno) {
            let file = try Descriptors.open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY)
            try file.writeAll(Array("1\n".utf8))
        } catch {
            // A kernel without IPv6 says nothing anyway.
            if error != .noSuchFileOrDirectory { throw error }
        }
    }
}

extension Feature {
    /// netkit: BPF_PROG_QUERY with BPF_NETKIT_PRIMARY on `lo`, which is none, is refused with ENXIO by a kernel that
    /// knows the attach type (commit 35dfaad7188c, 6.7), with EINVAL by others.
    public static let netkit = Feature("netkit", since: "6.7", config: ["CONFIG_NETKIT"]) {
        switch MprogTarget(ifindex: 1, type: .netkitPrimary).query(room: 0) {
        case .success, .failure(.noSuchAddressOrDevice): .present
        case .failure(let errno):
            .absent(evidence: "BPF_PROG_QUERY of BPF_NETKIT_PRIMARY on lo: \(errno.name) (\(errno.rawValue))")
        }
    }

    /// netkit devices without a peer: a kernel that knows IFLA_NETKIT_PAIRING (commit b5c3fa4a0b16) refuses a value
    /// that is none with ERANGE; others make a pair and are told to take it back.
    public static let netkitSingle = Feature("netkit-single", since: "7.2", config: ["CONFIG_NETKIT"]) {
        do throws(Errno) {
            try Netkit.add("bpftestprobe", pairing: 7)
            try Netlink.delete("bpftestprobe")
            return .absent(evidence: "RTM_NEWLINK kind netkit makes a pair whatever IFLA_NETKIT_PAIRING says")
        } catch {
            if error == .outOfRange { return .present }
            return .absent(evidence: "RTM_NEWLINK kind netkit with IFLA_NETKIT_PAIRING: \(error.name)")
        }
    }
}
