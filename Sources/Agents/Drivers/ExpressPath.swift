// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

/// XDP programs of tests-bpf/drivers/xdp.bpf.c on a device: they leave a mark in front of the chain's.
final class ExpressPath {
    /// Where a device runs its XDP program: XDP_FLAGS_*.
    enum Mode: UInt32 {
        /// Behind the driver, in the stack.
        case generic = 2
        /// In the driver itself.
        case native = 4
    }

    enum Verdict: UInt32 {
        case drop = 1
        case pass = 2
        case transmit = 3
        case redirect = 4
    }

    /// In a frame's trace.
    static let mark = 100
    private let object: BPFObject
    private let test: Test

    init(_ rig: Rig, _ verdict: Verdict = .pass) throws {
        test = rig.test
        object = try BPFObject("drivers/xdp.bpf.o")
        try object.set("run", to: rig.run)
        try object.set("verdict", to: verdict.rawValue)
    }

    func program(_ name: String) throws -> CInt { try object.program(name) }

    func redirect(to device: NetworkDevice) throws { try object.set("redirect_to", to: device.index) }

    /// Attaches a program to a device until the case is over, and waits until the device can be used again: a driver
    /// may have to make its rings anew.
    ///
    /// - Returns: the errno, where the device has no such mode.
    func attach(_ program: String = "one_buffer", to device: NetworkDevice, _ mode: Mode) throws -> Errno? {
        let place = MprogTarget(ifindex: device.index, type: .xdp)
        switch place.createLink(try object.program(program), AttachFlags(rawValue: mode.rawValue)) {
        case .failure(let errno): return errno
        case .success(let link):
            test.atEnd { link.close() }
            try NetworkDevice.waitForCarrier(of: [device], limit: .seconds(30))
            return nil
        }
    }

    /// Frames of the case that the program has seen, and the length of the last one.
    func seen() throws -> (count: Int, length: Int) {
        (
            Int(try object.value(of: "count", as: UInt32.self)), Int(try object.value(of: "length", as: UInt32.self))
        )
    }
}
