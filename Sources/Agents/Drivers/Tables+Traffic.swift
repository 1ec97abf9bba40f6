// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import LinuxIO
internal import SystemPackage

extension Tables {
    /// Frames of a case: `--append bpftest.frames=100000` says how many, on the kernel's command line.
    static let frames: Int = {
        // Without /proc nothing works, which is said elsewhere.
        let line = (try? readFile("/proc/cmdline")) ?? []
        let words = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        let given = words.last { $0.hasPrefix("bpftest.frames=") }?.dropFirst("bpftest.frames=".count)
        return given.flatMap { Int($0) } ?? 1500
    }()

    static let traffic: [Row] = [
        Row("V-020", "programs come and go at the end of the chain: each frame runs one that there was") { rig in
            try rig.attach([1, 2])
            try Traffic(rig, [1, 2], total: frames).run { traffic in
                try traffic.step([1, 2, 3]) { rig.target.attach(rig.chain.fd(3)) }
                try traffic.step([1, 2]) { rig.target.detach(rig.chain.fd(3)) }
            }
        },
        Row("V-021", "programs come and go at the front and in the middle") { rig in
            try rig.attach([1, 2])
            try Traffic(rig, [1, 2], total: frames).run { traffic in
                try traffic.step([3, 1, 2]) { rig.target.attach(rig.chain.fd(3), .before) }
                try traffic.step([3, 1, 4, 2]) {
                    rig.target.attach(rig.chain.fd(4), .after, relative: UInt32(bitPattern: rig.chain.fd(1)))
                }
                try traffic.step([1, 4, 2]) { rig.target.detach(rig.chain.fd(3)) }
                try traffic.step([1, 2]) { rig.target.detach(rig.chain.fd(4)) }
            }
        },
        Row("V-022", "a chain that becomes empty and is filled anew loses no frame") { rig in
            try rig.attach([1])
            try Traffic(rig, [1], total: frames).run { traffic in
                try traffic.step([]) { rig.target.detach(rig.chain.fd(1)) }
                try traffic.step([1]) { rig.target.attach(rig.chain.fd(1)) }
            }
        },
        Row("M-168", "a program replaced again and again: each frame runs the old or the new one") { rig in
            try rig.attach([1, 2, 3])
            try Traffic(rig, [1, 2, 3], total: frames).run { traffic in
                try traffic.step([1, 12, 3]) {
                    rig.target.attach(rig.chain.fd(12), .replace, replace: rig.chain.fd(2))
                }
                try traffic.step([1, 2, 3]) {
                    rig.target.attach(rig.chain.fd(2), .replace, replace: rig.chain.fd(12))
                }
            }
        },
        Row("V-023", "a link updated again and again: each frame runs the old or the new program") { rig in
            try rig.attach([1])
            let link = try rig.target.createLink(rig.chain.fd(2)).get()
            try rig.attach([3])
            try Traffic(rig, [1, 2, 3], total: frames).run { traffic in
                try traffic.step([1, 12, 3]) { link.update(to: rig.chain.fd(12)) }
                try traffic.step([1, 2, 3]) { link.update(to: rig.chain.fd(2)) }
            }
        },
        Row("V-024", "links made and closed: each frame runs a chain that there was") { rig in
            try rig.attach([1, 2])
            try Traffic(rig, [1, 2], total: frames).run { traffic in
                var link: BPFLink?
                try traffic.step([3, 1, 2]) {
                    switch rig.target.createLink(rig.chain.fd(3), .before) {
                    case .success(let made):
                        link = made
                        return nil
                    case .failure(let errno): return errno
                    }
                }
                try traffic.step([1, 2]) {
                    link?.close()
                    return nil
                }
            }
        },
        // On the way out clsact's coming and going loses frames: qdisc_graft() deactivates the device's queues.
        Row("V-025", "clsact comes and goes behind the chain, which every frame runs", .ingress) { rig in
            try rig.attach([1, 2])
            let filter = UInt8(Tables.filter)
            try Traffic(rig, [1, 2], total: frames).run { traffic in
                try traffic.step([1, 2, filter]) {
                    try rig.attachFilter()
                    return nil
                }
                try traffic.step([1, 2]) {
                    try Netlink.deleteClsact(rig.device.name)
                    return nil
                }
            }
        },
        Row("V-026", "a program that drops every second frame comes and goes: only these are lost") { rig in
            rig.set([5: Chain.dropOdd])
            try rig.attach([1, 2])
            let traffic = try Traffic(rig, [1, 2], total: frames, dropper: 5)
            var drops = false
            // One change at a time: frames come between two of them.
            try traffic.run { traffic in
                if drops {
                    try traffic.step([1, 2]) { rig.target.detach(rig.chain.fd(5)) }
                } else {
                    try traffic.step([1, 5, 2]) {
                        rig.target.attach(rig.chain.fd(5), .after, relative: UInt32(bitPattern: rig.chain.fd(1)))
                    }
                }
                drops.toggle()
            }
            rig.test.expect(traffic.lost > 0, "frames met the program that drops")
        },
    ]
}

extension Traffic {
    /// Changes the chain.
    func step(_ state: State, file: String = #fileID, line: Int = #line, _ call: () throws -> Errno?) throws {
        announce(state)
        try require(success: try call(), file: file, line: line)
        changed()
    }
}
