// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// The key `programs` of bpftest.toml, on a real kernel.
    @Suite(.serialized)
    struct MatrixPrograms {
        private static let config = """
            kernels = ["6.12"]
            suites = ["kfuncs.file/K-001"]
            [[programs]]
            run = ["bin/status"]
            [[programs]]
            run = ["bin/points", "--fast"]
            name = "points.fast"
            files = ["data=/srv/data", "/bin/cat"]
            env = ["LEVEL=2"]
            [defaults]
            reruns = 0
            """

        private func script(_ file: String, _ text: String) throws {
            try Data("#!/bin/sh\n\(text)\n".utf8).write(to: URL(fileURLWithPath: file))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
        }

        /// By exit status and by TAP, with arguments, files and environment, beside a built-in suite.
        @Test func programsRunBesideSuites() throws {
            let folder = NSTemporaryDirectory() + "/bpftest-matrix-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try FileManager.default.createDirectory(atPath: folder + "/bin", withIntermediateDirectories: true)
            let file = folder + "/bpftest.toml"
            try Data(Self.config.utf8).write(to: URL(fileURLWithPath: file))
            try Data("from the host".utf8).write(to: URL(fileURLWithPath: folder + "/data"))
            try script(
                folder + "/bin/status",
                #"read line < /proc/version; test "${line#Linux version 6.12}" != "$line""#)
            try script(
                folder + "/bin/points",
                """
                echo 1..3
                test "$1 $LEVEL" = "--fast 2" && echo ok 1 words || echo not ok 1 words
                test "$(cat /srv/data)" = "from the host" && echo ok 2 data || echo not ok 2 data
                echo not ok 3 fault
                """)
            let command = try Command()
            let report = folder + "/report.jsonl"
            let end = try command.run(["matrix", "--config", file, "--no-archive", "--json", report])
            #expect(end == .exited(1), "\(command.stdout)\(command.stderr)")
            let lines = command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(lines.contains { $0.hasPrefix("ok 1 - K-001 ") })
            #expect(lines.contains("# Subtest: status") && lines.contains { $0.hasPrefix("ok 1 - status ") })
            #expect(lines.contains("# Subtest: points.fast"))
            #expect(lines.contains("ok 1 - words") && lines.contains("ok 2 - data"), "\(command.stdout)")
            #expect(lines.contains("not ok 3 - fault"))
            #expect(lines.contains("# 4 passed, 1 failed, 0 skipped"))
            try command.expectNothingLeft()

            // What the report says is run again is the program, not the matrix.
            let names = try Command()
            #expect(try names.run(["report", report, "--format", "junit"]) == .exited(0), "\(names.stderr)")
            let text = names.stdout
            #expect(text.contains("points.fast") && text.contains("/bin/points --fast"), "\(text)")
        }
    }
}
