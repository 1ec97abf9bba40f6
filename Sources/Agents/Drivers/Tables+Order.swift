// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Tables {
    static let order: [Row] = [
        Row("V-001", "a frame passes an empty chain unchanged") { try $0.expect(ran: [], arrives: true) },
        Row("V-002", "a frame runs the one program of the chain") { rig in
            try rig.attach([1])
            try rig.expect(ran: [1], arrives: true)
        },
        Row("V-003", "a frame runs 63 programs in the order in which they were attached") { rig in
            try rig.attach(Array(1...63))
            try rig.expect(ran: Array(1...63), arrives: true)
        },
        Row("V-004", "each frame of many runs the whole chain, and they arrive in order") { rig in
            try rig.attach([5, 3, 1])
            let arrived = try rig.exchange((1...200).map { rig.frame($0) })
            rig.test.expect(arrived.map(\.number), equals: Array(1...200), "numbers of the frames that arrive")
            let other = arrived.first { $0.trace != [5, 3, 1] }
            rig.test.expect(other?.description ?? "none", equals: "none", "a frame with another trace")
        },
        Row("V-005", "BEFORE and AFTER put programs where frames run them") { rig in
            var list: [Int] = []
            for number in 1...63 {
                let anchor = list.isEmpty ? nil : number * 7 % list.count
                let isBefore = number % 2 == 0
                let relative = anchor.map { UInt32(bitPattern: rig.chain.fd(list[$0])) } ?? 0
                try rig.test.require(
                    success: rig.target.attach(rig.chain.fd(number), isBefore ? .before : .after, relative: relative),
                    "attach P\(number)")
                list.insert(number, at: anchor.map { isBefore ? $0 : $0 + 1 } ?? 0)
            }
            try rig.expect(ran: list, arrives: true)
        },
        Row("V-006", "programs attached by links and without run in one order") { rig in
            try rig.attach([1])
            let link = try rig.target.createLink(rig.chain.fd(2)).get()
            try rig.attach([3])
            let front = try rig.target.createLink(rig.chain.fd(4), .before).get()
            try rig.expect(ran: [4, 1, 2, 3], arrives: true)
            link.close()
            try rig.expect(ran: [4, 1, 3], arrives: true, number: 2)
            front.close()
            try rig.expect(ran: [1, 3], arrives: true, number: 3)
        },
        Row("V-007", "a replaced program runs in the place of the old one") { rig in
            try rig.attach(Array(1...8))
            for number in [1, 4, 8] {
                try rig.test.require(
                    success: rig.target.attach(
                        rig.chain.fd(number + 20), .replace, replace: rig.chain.fd(number)), "replace P\(number)")
            }
            try rig.expect(ran: [21, 2, 3, 24, 5, 6, 7, 28], arrives: true)
        },
        Row("V-008", "programs that are detached run no more, the others go on in order") { rig in
            try rig.attach(Array(1...9))
            for number in [1, 5, 9] {
                try rig.test.require(success: rig.target.detach(rig.chain.fd(number)), "detach P\(number)")
            }
            try rig.expect(ran: [2, 3, 4, 6, 7, 8], arrives: true)
            for number in [2, 3, 4, 6, 7, 8] {
                try rig.test.require(success: rig.target.detach(rig.chain.fd(number)), "detach P\(number)")
            }
            try rig.expect(ran: [], arrives: true, number: 2)
        },
        Row("V-009", "the other direction's programs do not run") { rig in
            try rig.attach([1, 2])
            let other = MprogTarget(
                ifindex: rig.device.index, type: rig.direction == .ingress ? .tcxEgress : .tcxIngress)
            try rig.test.require(success: other.attach(rig.chain.fd(9)), "attach P9 to the other direction")
            try rig.expect(ran: [1, 2], arrives: true)
        },
    ]
}
