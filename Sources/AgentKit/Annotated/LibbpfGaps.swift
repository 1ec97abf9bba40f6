// SPDX-License-Identifier: Apache-2.0
internal import CBpf
internal import Synchronization

/// What newer objects need and libbpf 1.1 does not know, taught to it as far as it can be.
enum LibbpfGaps {
    private struct Kind {
        var section: String
        var type: UInt32
        var attachType: UInt32 = 0
        var isSleepable = false
        /// What follows the section's first part is the name of a kernel type to attach to.
        var hasTarget = false
    }

    /// Sections of libbpf 1.2 to 1.7; numbers from include/uapi/linux/bpf.h of 7.2.
    private static let kinds: [Kind] = [
        Kind(section: "tc/ingress", type: 3, attachType: 46), Kind(section: "tc/egress", type: 3, attachType: 47),
        Kind(section: "tcx/ingress", type: 3, attachType: 46), Kind(section: "tcx/egress", type: 3, attachType: 47),
        Kind(section: "netkit/primary", type: 3, attachType: 54), Kind(section: "netkit/peer", type: 3, attachType: 55),
        Kind(section: "netfilter", type: 32, attachType: 45),
        Kind(section: "sk_skb/verdict", type: 14, attachType: 38),
        Kind(section: "cgroup/connect_unix", type: 18, attachType: 49),
        Kind(section: "cgroup/sendmsg_unix", type: 18, attachType: 50),
        Kind(section: "cgroup/recvmsg_unix", type: 18, attachType: 51),
        Kind(section: "cgroup/getpeername_unix", type: 18, attachType: 52),
        Kind(section: "cgroup/getsockname_unix", type: 18, attachType: 53),
        Kind(section: "uprobe.multi+", type: 2, attachType: 48),
        Kind(section: "uretprobe.multi+", type: 2, attachType: 48),
        Kind(section: "uprobe.multi.s+", type: 2, attachType: 48, isSleepable: true),
        Kind(section: "uretprobe.multi.s+", type: 2, attachType: 48, isSleepable: true),
        Kind(section: "kprobe.session+", type: 2, attachType: 56),
        Kind(section: "uprobe.session+", type: 2, attachType: 57),
        Kind(section: "uprobe.session.s+", type: 2, attachType: 57, isSleepable: true),
        Kind(section: "usdt.s+", type: 2, isSleepable: true),
        Kind(section: "struct_ops.s+", type: 27, isSleepable: true),
        Kind(section: "tp_btf.s+", type: 26, attachType: 23, isSleepable: true, hasTarget: true),
        Kind(section: "raw_tp.s+", type: 17, isSleepable: true),
        Kind(section: "raw_tracepoint.s+", type: 17, isSleepable: true),
        Kind(section: "tp.s+", type: 5, isSleepable: true), Kind(section: "tracepoint.s+", type: 5, isSleepable: true),
        Kind(section: "fsession+", type: 26, attachType: 58, hasTarget: true),
        Kind(section: "fsession.s+", type: 26, attachType: 58, isSleepable: true, hasTarget: true),
    ]

    private static let isTaught = Mutex(false)
    private static let sleepable = 1
    private static let targeted = 2

    /// Registers the sections, once in a process.
    static func teach() {
        let isNew = isTaught.withLock { known in
            defer { known = true }
            return !known
        }
        guard isNew else { return }
        for kind in kinds {
            var options = libbpf_prog_handler_opts()
            options.sz = MemoryLayout<libbpf_prog_handler_opts>.size
            options.cookie = (kind.isSleepable ? sleepable : 0) | (kind.hasTarget ? targeted : 0)
            unsafe options.prog_prepare_load_fn = { program, options, cookie in
                unsafe LibbpfGaps.prepare(program, options, cookie)
            }
            // One that the library has by now cannot be registered again, nor need it be.
            _ = unsafe libbpf_register_prog_handler(
                kind.section, bpf_prog_type(rawValue: kind.type), bpf_attach_type(rawValue: kind.attachType), &options)
        }
    }

    private static func prepare(
        _ program: OpaquePointer?, _ options: UnsafeMutablePointer<bpf_prog_load_opts>?, _ cookie: Int
    ) -> CInt {
        guard let options = unsafe options, let program = unsafe program else { return 0 }
        if cookie & sleepable != 0 { unsafe options.pointee.prog_flags |= 1 << 4 }
        guard cookie & targeted != 0 else { return 0 }
        let section = unsafe String(cString: bpf_program__section_name(program))
        guard let slash = section.firstIndex(of: "/") else { return 0 }
        let target = String(section[section.index(after: slash)...])
        let type = unsafe bpf_program__expected_attach_type(program)
        // The kernel's own attach type for a target is that of the plain kind: a function, or a tracepoint.
        let id = unsafe libbpf_find_vmlinux_btf_id(
            target, type.rawValue == 58 ? bpf_attach_type(rawValue: 24) : type)
        guard id > 0 else { return id }
        unsafe options.pointee.attach_btf_id = UInt32(id)
        return 0
    }
}
