// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// examples/hello-agent depends on AgentKit as anybody's package would.
    @Suite(.serialized)
    struct Examples {
        @Test func anAgentOfOnesOwnIsBuiltAndRun() throws {
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().path
            let build = NSTemporaryDirectory() + "/bpftest-example-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: build) }
            let swift = Process()
            swift.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            swift.arguments = [
                "swift", "build", "-c", "release", "--package-path", root + "/examples/hello-agent", "--scratch-path",
                build,
            ]
            let output = Pipe()
            swift.standardOutput = output
            swift.standardError = output
            try swift.run()
            let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
            swift.waitUntilExit()
            try #require(swift.terminationStatus == 0, "\(text.suffix(3000))")

            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", "--agent", build + "/release/hello-agent", "hello.tcx"])
            #expect(end == .exited(0), "\(command.stdout) \(command.stderr)")
            #expect(command.stdout.contains("ok 1 - empty the list of a new device is empty"))
            #expect(command.stdout.contains("# 2 passed, 0 failed, 0 skipped"))
            try command.expectNothingLeft()
        }
    }
}
