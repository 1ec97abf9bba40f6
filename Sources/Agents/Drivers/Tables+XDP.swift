// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Tables {
    static let xdp: [Row] =
        both(.generic, from: 70) + both(.native, from: 80) + [
            Row("V-090", "XDP that comes and goes under traffic: each frame runs a chain that there was", .ingress) {
                rig in
                try rig.attach([1, 2])
                let mark = UInt8(ExpressPath.mark)
                try Traffic(rig, [1, 2], total: frames).run { traffic in
                    let path = try ExpressPath(rig)
                    let place = MprogTarget(ifindex: rig.device.index, type: .xdp)
                    var link: BPFLink?
                    try traffic.step([mark, 1, 2]) { () -> Errno? in
                        let answer = place.createLink(
                            try path.program("one_buffer"), AttachFlags(rawValue: ExpressPath.Mode.generic.rawValue))
                        if case .success(let made) = answer { link = made }
                        return answer.errno
                    }
                    try traffic.step([1, 2]) {
                        link?.close()
                        return nil
                    }
                }
            }
        ]

    /// The same on both paths, as far as the driver has them.
    private static func both(_ mode: ExpressPath.Mode, from first: Int) -> [Row] {
        let name = mode == .native ? "native XDP" : "generic XDP"
        return [
            row(first, "\(name) runs before tcx, and PASS goes on there", mode) { rig in
                try rig.attach([1, 2])
                try rig.attachFilter()
                try rig.expect(ran: [1, 2, filter], inFrame: [ExpressPath.mark, 1, 2, filter], arrives: true)
            },
            row(first + 1, "\(name): DROP is the end of a frame, and no chain sees it", mode, .drop) { rig in
                try rig.attach([1, 2])
                try rig.expect(ran: [], arrives: false)
            },
            row(first + 2, "\(name): TX sends a frame back to where it came from", mode, .transmit) { rig in
                try rig.attach([1, 2])
                let other = MprogTarget(ifindex: rig.device.index, type: .tcxEgress)
                try rig.test.require(success: other.attach(rig.chain.fd(9)), "attach P9 to egress")
                try rig.expect(ran: [], arrives: false)
                try rig.expectMarked(try rig.collect(1))
            },
            row(first + 3, "\(name): REDIRECT sends a frame out of another device", mode, .redirect) { rig in
                try rig.attach([1, 2])
                let other = try rig.other()
                if mode == .native {
                    // A device takes frames from another's driver when it has rings for XDP.
                    let there = try ExpressPath(rig)
                    try rig.test.require(
                        success: try there.attach(to: other.device, .native), "XDP is attached to \(other.device.name)")
                }
                try rig.path?.redirect(to: other.device)
                try rig.expect(ran: [], arrives: false)
                try rig.expectMarked(try other.collect())
            },
        ]
    }

    private static func row(
        _ number: Int, _ title: String, _ mode: ExpressPath.Mode, _ verdict: ExpressPath.Verdict = .pass,
        _ body: @escaping @Sendable (Rig) throws -> Void
    ) -> Row {
        Row("V-0\(number)", title, .ingress) { rig in
            let path = try ExpressPath(rig, verdict)
            let answer = try path.attach(to: rig.device, mode)
            if mode == .native, !rig.kind.hasNativeXDP {
                rig.test.expect(answer, .notSupportedOnSocket, "native XDP on a driver without it")
                return
            }
            try rig.test.require(success: answer, "XDP is attached")
            if mode == .native, rig.kind.card == nil {
                // veth sends from XDP to an end that has a ring of its own, which XDP there makes.
                let there = try ExpressPath(rig)
                let peer = try NetworkDevice("far0")
                try rig.test.require(success: try there.attach(to: peer, .native), "XDP is attached to the other end")
            }
            rig.path = path
            try body(rig)
            rig.test.expect(try path.seen().count, equals: 1, "frames that XDP has seen")
        }
    }
}

extension Rig {
    /// States that the one frame of the case is there, with the mark of XDP and of nothing else.
    fileprivate func expectMarked(_ frames: [[UInt8]], file: String = #fileID, line: Int = #line) throws {
        try expectElsewhere([1], frames, trace: [UInt8(ExpressPath.mark)], file: file, line: line)
    }
}
