// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// `bpftest matrix` over two real kernels.
    @Suite(.serialized)
    struct Matrices {
        private static let config = """
            kernels = ["6.1", "6.12"]
            suites = ["mprog.call", "kfuncs.file/K-00?"]
            baseline = "expected.json"
            [kernel."6.12"]
            config = ["CONFIG_NETKIT=y", "CONFIG_BPF_SYSCALL=n"]
            deny = ["kfuncs.file/K-004"]
            [[known]]
            case = "kernel/config"
            reason = "the line is wrong"
            """

        /// A folder with a configuration, and the words that run it.
        private func project(_ config: String = config) throws -> (folder: String, words: [String]) {
            let folder = NSTemporaryDirectory() + "/bpftest-matrix-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let file = folder + "/bpftest.toml"
            try Data(config.utf8).write(to: URL(fileURLWithPath: file))
            return (folder, ["matrix", "--config", file])
        }

        @Test func comparesWithItsBaselineAndItsShardsAreTheWhole() throws {
            let (folder, words) = try project()
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let whole = folder + "/whole.jsonl"
            let first = try Command()
            #expect(try first.run(words + ["--update-baseline", "--json", whole]) == .exited(0), "\(first.stderr)")
            #expect(first.stdout.contains("not ok 1 - config the kernel's config is as bpftest.toml expects # TODO"))
            #expect(first.stderr.contains("1 known to fail"))
            let denied = first.stdout.split(separator: "\n").filter { $0.contains(" - K-004 ") }
            #expect(denied.count == 1, "it is on the list of 6.12 alone")
            try first.expectNothingLeft()

            let baseline = folder + "/expected.json"
            let text = try String(contentsOfFile: baseline, encoding: .utf8)
            try Data(text.replacing("\"K-001\"", with: "\"K-999\"").utf8).write(to: URL(fileURLWithPath: baseline))
            let second = try Command()
            #expect(try second.run(words + ["-k", "6.12"]) == .exited(1))
            #expect(second.stderr.contains("gone: 6.12 kfuncs.file/K-999: passed, now gone"), "\(second.stderr)")
            #expect(!second.stderr.contains("gone: 6.1 "), "6.1 was left out")
            let third = try Command()
            let absent = try third.run(words + ["--baseline", folder + "/none.json"])
            #expect(absent == .exited(2), "a baseline that was named and is not there")

            var parts: [String] = []
            for number in 1...3 {
                let part = folder + "/\(number).jsonl"
                try Command().run(words + ["--shard", "\(number)/3", "--json", part])
                parts.append(part)
            }
            func report(_ arguments: [String]) throws -> String {
                let command = try Command()
                try command.run(["report"] + arguments)
                #expect(command.stdout.contains("known"), "\(command.stderr)")
                return command.stdout.replacing(/duration: "[0-9]+ ms"/, with: "")
            }
            let merged = try report(["--merge"] + parts)
            #expect(merged == (try report([whole])))
        }

        /// What cannot be had costs its own results only.
        @Test func aKernelThatCannotBeHadLeavesTheOthersTheirResults() throws {
            let (folder, words) = try project(
                "kernels = [\"9.9-rc9\", \"6.12\"]\nsuites = [\"kfuncs.file/K-001\"]")
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let command = try Command()
            let end = try command.run(words, environment: ["BPFTEST_DEBIAN_MIRROR": "file:///nonexistent"])
            #expect(end == .exited(3))
            #expect(command.stdout.contains("not ok 1 - kernel the kernel can be had"))
            #expect(command.stdout.contains("ok 1 - K-001 "))
            #expect(command.stdout.contains("# 1 passed, 1 failed, 0 skipped"))
            try command.expectNothingLeft()
        }
    }
}
