// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage

/// Classic tc filters with direct action, which every kernel has; they go with their device.
///
/// - Source: include/uapi/linux/{rtnetlink,pkt_sched,pkt_cls}.h.
public enum TrafficControl {
    public enum Direction: UInt32, Sendable {
        /// Minor numbers of the qdisc `clsact`.
        case ingress = 0xfff2
        case egress = 0xfff3
    }

    private static let newFilter: UInt16 = 44

    /// Attaches a program to a device of the caller's network namespace; nil on success.
    ///
    /// - Parameter device: gets the qdisc `clsact` unless it has one.
    public static func attach(_ program: CInt, to device: String, _ direction: Direction) -> Errno? {
        do throws(Errno) {
            do throws(Errno) {
                try Netlink.addClsact(device)
            } catch {
                if error != .fileExists { throw error }
            }
            var message = Netlink.Message()
            message.word32(0)  // family, padding
            message.word32(try Netlink.index(device))
            message.word32(0)  // the kernel chooses a handle
            message.word32(0xffff_0000 | direction.rawValue)
            message.word32(1 << 16 | 0x0300)  // priority 1; ETH_P_ALL in network order
            message.text(1, "bpf")
            message.nest(2) { options in
                options.number(6, UInt32(bitPattern: program))
                options.text(7, "bpftest")
                options.number(8, 1)  // TCA_BPF_FLAG_ACT_DIRECT
            }
            try Netlink.talk(newFilter, [Netlink.create, Netlink.exclusive], message)
            return nil
        } catch {
            return error
        }
    }
}
