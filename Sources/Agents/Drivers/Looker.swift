// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// The programs of tests-bpf/drivers/look.bpf.c: what the kernel says of a frame that passes a chain.
final class Looker {
    private let object: BPFObject

    init() throws {
        object = try BPFObject("drivers/look.bpf.o")
    }

    func program(_ name: String) throws -> CInt { try object.program(name) }

    /// The tag that `push_tag` puts on.
    func set(tag: UInt16) throws { try object.set("tag", to: UInt32(tag)) }

    /// A number that `look` noted of the last frame; `count` and `bytes` of all.
    func seen(_ name: String) throws -> Int { Int(try object.value(of: name, as: UInt32.self)) }

    /// bpf_csum_level(BPF_CSUM_LEVEL_QUERY): the level up to which the device has found checksums right, or an errno.
    func checksumLevel() throws -> Int { Int(try object.value(of: "checksum_level", as: Int64.self)) }
}

extension Rig {
    /// Attaches programs of the looker to the case's chain.
    func look(_ programs: String...) throws -> Looker {
        let looker = try Looker()
        for name in programs {
            try test.require(success: target.attach(try looker.program(name)), "attach \(name)")
        }
        return looker
    }

    /// Sends a frame with `struct virtio_net_hdr` in front through the egress chain.
    func send(offloaded frame: [UInt8], _ header: [UInt8]) throws {
        try PacketSocket(device.index, .virtioHeader).send(header + frame)
    }

    /// Takes what the device has transmitted until now, and a frame behind it that no program touches.
    func transmitted() throws -> [[UInt8]] {
        let last = TestFrame.bytes(to: destination, run: run | 0x8000_0000, number: .max)
        try socket.send(last)
        var frames: [[UInt8]] = []
        while !frames.contains(last) { frames += try far.collect(wait: true) }
        return frames.filter { $0 != last }
    }
}
