// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// What is found out about a kernel that breaks.
    @Suite(.serialized)
    struct Crashes {
        private func lines(_ command: Command) -> [String] {
            command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        }

        private func run(_ command: Command, _ fault: String, _ more: [String]) throws -> [String] {
            let end = try command.run(
                [
                    "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "-w", "5", "--reruns", "0",
                    "fault.\(fault)/bad",
                ] + more)
            #expect(end == .exited(1), "\(command.stdout)\(command.stderr)")
            return lines(command)
        }

        @Test func aPanicHasAClassATitleAndAVmcore() throws {
            let command = try Command()
            let folder = command.folder + "/cores"
            let said = try run(command, "panic", ["--vmcore", "crash", "--vmcore-dir", folder])
            #expect(said.contains("splat_class: \"panic\""), "\(command.stdout)")
            #expect(said.contains("splat_title: \"kernel panic: sysrq triggered crash\""))
            #expect(command.stdout.contains("sysrq_handle_crash"), "its trace")
            let files = try FileManager.default.contentsOfDirectory(atPath: folder)
            try #require(files.count == 1 && files[0].hasPrefix("vmcore-6.12"), "\(files)")
            #expect(said.contains { $0.hasPrefix("vmcore: ") && $0.hasSuffix("/cores/\(files[0])\"") })
            let file = try #require(FileHandle(forReadingAtPath: folder + "/" + files[0]))
            #expect(try file.read(upToCount: 8) == Data("KDUMP   ".utf8))
            // The kernel has told QEMU where its description is: without it nothing opens the file.
            let start = try #require(try file.read(upToCount: 1 << 20))
            #expect(start.range(of: Data("OSRELEASE=6.12".utf8)) != nil)
            try FileManager.default.removeItem(atPath: folder)
            try command.expectNothingLeft()
        }

        @Test func aHangIsToldWithItsPlace() throws {
            let command = try Command()
            let said = try run(command, "hang", [])
            #expect(said.contains { $0.contains("processor 0, ") }, "\(command.stdout)")
            #expect(said.contains { $0.contains("RIP=") && $0.contains("RFL=") }, "registers")
            #expect(command.stdout.contains("NMI: Not continuing"), "the kernel's own answer")
            try command.expectNothingLeft()
        }

        @Test func whatMayComeIsNoFailure() throws {
            let command = try Command()
            let list = command.folder + "/allowed"
            let patterns = "# recorded\nverifier\\.c:[0-9]+ check_something\n"
            try patterns.write(toFile: list, atomically: true, encoding: .utf8)
            let agent = ["--agent", Command.build + "/bpftest-faults"]
            let end = try command.run(["run", "-k", "6.12", "fault.warn/bad", "--splat-allowlist", list] + agent)
            #expect(end == .exited(0), "\(command.stdout)")
            try "x\n(y\n".write(toFile: list, atomically: true, encoding: .utf8)
            let other = try Command()
            #expect(
                try other.run(["run", "-k", "6.12", "fault.warn/bad", "--splat-allowlist", list] + agent) == .exited(2))
            #expect(other.stderr.contains("allowed, line 2: '(y' is no extended regular expression"), "\(other.stderr)")
            try FileManager.default.removeItem(atPath: list)
        }
    }
}
