// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import LinuxIO
public import SystemPackage

/// Classic tc filters with direct action, which every kernel has; they go with their device.
public enum TrafficControl {
    public enum Direction: Sendable {
        case ingress, egress
    }

    /// Attaches a program to a device of the caller's network namespace; nil on success.
    ///
    /// - Parameter device: gets the qdisc `clsact` unless it has one.
    public static func attach(_ program: CInt, to device: UInt32, _ direction: Direction) -> Errno? {
        LibbpfMessages.capture()
        var hook = bpf_tc_hook()
        hook.sz = MemoryLayout<bpf_tc_hook>.size
        hook.ifindex = CInt(device)
        hook.attach_point = direction == .ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS
        let made = unsafe bpf_tc_hook_create(&hook)
        if made != 0, -made != Errno.fileExists.rawValue { return Errno(rawValue: -made) }
        var options = bpf_tc_opts()
        options.sz = MemoryLayout<bpf_tc_opts>.size
        options.prog_fd = program
        let attached = unsafe bpf_tc_attach(&hook, &options)
        return attached == 0 ? nil : Errno(rawValue: -attached)
    }
}
