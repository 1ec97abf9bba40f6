// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import SystemPackage
import Testing

/// An agent that was started in advance, told what to run by hand: docs/agent-output.md, "prepare".
@Suite struct PreparedAgentTests {
    /// `agent-fixture prepare`, and the ends that init has of it.
    private final class Agent {
        let pid: Int32
        private let control: OwnedFD
        private let ready: OwnedFD
        private let output: OwnedFD

        init() throws {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("agent-fixture")
            let down = try Descriptors.pipe()
            let up = try Descriptors.pipe()
            let text = try Descriptors.pipe()
            let nothing = try Descriptors.open("/dev/null", O_RDWR)
            var spawn = Spawn(path: path.path, arguments: [path.path, "prepare"], environment: [])
            spawn.descriptors = [
                0: nothing.raw, 1: text.second.raw, 2: nothing.raw, 3: down.first.raw, 4: up.second.raw,
            ]
            spawn.newSession = true
            pid = try spawn.start()
            control = down.second
            ready = up.first
            output = text.first
        }

        /// Waits until the agent says that it is ready, for the first time or once more; false: it is gone.
        func isReady() throws -> Bool {
            var byte: [UInt8] = [0]
            return try ready.read(into: &byte) == 1
        }

        func call(_ words: String...) throws {
            let text = Array(words.joined(separator: "\0").utf8)
            let count = UInt32(text.count)
            try control.writeAll((0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + text)
        }

        /// What it has written by now.
        func said() throws -> String {
            var bytes = [UInt8](repeating: 0, count: 65536)
            let count = try output.read(into: &bytes)
            return String(decoding: bytes[..<count], as: UTF8.self)
        }

        func wait() -> ProcessEnd {
            var status: CInt = 0
            _ = unsafe waitpid(pid, &status, 0)
            return ProcessEnd(waitStatus: status)
        }
    }

    @Test func suiteAfterSuiteInOneProcess() throws {
        let agent = try Agent()
        #expect(try agent.isReady())
        try agent.call("run", "fixture.endings", "pass", "skip")
        #expect(try agent.isReady())
        #expect(
            try agent.said() == """
                KTAP version 1
                1..2
                # bpftest: case pass
                ok 1 pass all is well
                # bpftest: case skip
                ok 2 skip cannot be judged # SKIP not today

                """)
        try agent.call("run", "fixture.unprepared", "two")
        #expect(try agent.isReady())
        let second = try agent.said()
        #expect(second.hasPrefix("KTAP version 1\n1..1\n# bpftest: case two\n"), "\(second)")
        #expect(second.contains("not ok 1 two second"), "\(second)")
        // The same suite once more: the process of its first case, made in advance, is used up.
        try agent.call("run", "fixture.endings", "pass")
        #expect(try agent.isReady())
        #expect(try agent.said().contains("ok 1 pass all is well"))
        try agent.call("list")
        #expect(try !agent.isReady(), "another call is its last")
        #expect(agent.wait() == .exited(0))
    }

    @Test func aWrongCallEndsIt() throws {
        let agent = try Agent()
        #expect(try agent.isReady())
        try agent.call("run", "no.suite")
        #expect(try !agent.isReady())
        #expect(agent.wait() == .exited(2))
    }
}
