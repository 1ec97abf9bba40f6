// SPDX-License-Identifier: Apache-2.0
import AgentKit

/// Two promises of the kernel, as an agent of your own would check them.
let suite = Suite("hello.tcx", "what a first agent looks like", isolation: .network) {
    Case("empty", "the list of a new device is empty", needs: [.tcx]) { test in
        try Netlink.addDummy("dummy0")
        let list = MprogTarget(ifindex: try Netlink.index("dummy0"), type: .tcxIngress)
        let contents = try list.query().get()
        test.expect(contents.count, equals: 0, "count of programs")
        test.expect(contents.revision, equals: 1, "revision")
    }
    Case("nothing-to-detach", "nothing can be detached from a new device", needs: [.tcx]) { test in
        try Netlink.addDummy("dummy0")
        let list = MprogTarget(ifindex: try Netlink.index("dummy0"), type: .tcxIngress)
        test.expect(list.detach(0), .ENOENT, "detach without a program")
    }
}

@main
struct HelloAgent {
    static func main() {
        AgentMain.run([suite])
    }
}
