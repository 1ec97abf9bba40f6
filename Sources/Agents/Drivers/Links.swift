// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// Devices made ready and brought back to what they were.
enum Links {
    /// Brings up all cards that have a driver, and waits until they can send.
    static func bringUpCards() throws {
        var devices: [NetworkDevice] = []
        for card in Wire.everyCard.indices {
            guard let device = NetworkDevice(card: card) else { continue }
            try silence(device.name)
            try device.setUp()
            devices.append(device)
        }
        try NetworkDevice.waitForCarrier(of: devices, limit: .seconds(15))
    }

    /// Makes two devices that are joined, both up.
    static func make(_ kind: DeviceKind, _ name: String, _ peer: String) throws {
        // Left by a case that was ended.
        remove(name)
        switch kind {
        case .veth: try Netlink.addVeth(name, peer: peer)
        case .netkit:
            try Netkit.add(name, peer: peer)
            try Netlink.setUp(name)
            try Netlink.setUp(peer)
        case .virtioNet, .e1000e, .igb: throw Errno.invalidArgument
        }
        try silence(name)
        try silence(peer)
        try NetworkDevice.waitForCarrier(of: [NetworkDevice(name), NetworkDevice(peer)], limit: .seconds(15))
    }

    static func remove(_ name: String) {
        // Not there: as it should be.
        try? Netlink.delete(name)
    }

    /// Keeps the kernel from sending packets of its own: IPv6 looks for routers as soon as a device comes up.
    private static func silence(_ name: String) throws {
        do throws(Errno) {
            let file = try Descriptors.open("/proc/sys/net/ipv6/conf/\(name)/disable_ipv6", 1)
            try file.writeAll(Array("1\n".utf8))
        } catch {
            // A kernel without IPv6 says nothing anyway.
            if error != .noSuchFileOrDirectory { throw error }
        }
    }

    /// Takes off what a case has attached.
    static func clean(_ device: NetworkDevice) throws {
        for type in [AttachType.tcxIngress, .tcxEgress] {
            let list = MprogTarget(ifindex: device.index, type: type)
            var left = try list.query().get().count
            while left > 0 {
                if let errno = list.detach(0, .before) { throw errno }
                left -= 1
            }
        }
        do throws(Errno) {
            try Netlink.deleteClsact(device.name)
        } catch {
            // It has none.
            if error != .noSuchFileOrDirectory, error != .invalidArgument { throw error }
        }
    }
}
