// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// The main job on Debian's kernels.
    @Suite(.serialized)
    struct Runs {
        @Test func allBuiltInSuitesPassOn612() throws {
            let command = try Command()
            let json = command.folder + "/results.json"
            // Ten minutes on a busy host, three on a quiet one.
            let end = try command.run(["run", "-k", "6.12", "--json", json], limit: .seconds(1500))
            #expect(end == .exited(0), "\(command.stdout.suffix(4000))")
            #expect(command.stdout.hasPrefix("TAP version 14\n1..1\n"))
            #expect(!command.stdout.contains("not ok"))
            // What came after 6.12, and what was gone before.
            let reasons = [
                "is absent and not due before ", "there is no KF_KPTR_GET from 6.4 on",
                "sizes and offsets have 32 bits",
                "RCU sections are not nested in 6.18 and before", "every case was skipped",
                "the kernel has tcx",
                // Options and drivers that a cloud kernel has not.
                "override helpers is absent: CONFIG_BPF_KPROBE_OVERRIDE is not set",
                "lirc helpers is absent: CONFIG_BPF_LIRC_MODE2 is not set",
                "e1000e is absent: CONFIG_E1000E is not set", "igb is absent: CONFIG_IGB is not set",
            ]
            for line in command.stdout.split(separator: "\n") where line.contains("# SKIP") {
                #expect(reasons.contains { line.contains($0) }, "\(line)")
            }
            let text = try String(contentsOfFile: json, encoding: .utf8)
            let lines = text.split(separator: "\n")
            #expect(lines.first?.contains("\"run_started\"") == true)
            #expect(lines.last?.contains("\"run_finished\"") == true)
            for line in lines {
                #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
            }
            try FileManager.default.removeItem(atPath: json)
            try command.expectNothingLeft()
        }

        @Test(arguments: ["5.10", "6.1"]) func allBuiltInSuitesPassOnOlderKernels(_ kernel: String) throws {
            let command = try Command()
            let end = try command.run(["run", "-k", kernel], limit: .seconds(900))
            #expect(end == .exited(0), "\(command.stdout.suffix(4000))")
            #expect(!command.stdout.contains("not ok"))
            let passed = command.stdout.split(separator: "\n").last?.split(separator: " ").dropFirst().first
            #expect((passed.flatMap { Int($0) } ?? 0) >= 100, "\(command.stdout.suffix(200))")
            try command.expectNothingLeft()
        }

        /// 5.10 and 6.1 have no tcx: skips with the kernel's own answer, in one subtest for each kernel.
        @Test func olderKernelsSkipWithEvidence() throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "5.10", "-k", "6.1", "-k", "6.12", "mprog.tcx/M-002.ingress"])
            #expect(end == .exited(0), "\(command.stderr)")
            let lines = command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            let skip =
                "# SKIP tcx is absent and not due before 6.6: BPF_PROG_QUERY of BPF_TCX_INGRESS on lo: EINVAL (22)"
            #expect(lines.filter { $0.hasSuffix(skip) }.count == 2)
            #expect(lines.contains("ok 1 - M-002.ingress ingress: attach without flags starts the list"))
            #expect(lines.last == "# 1 passed, 0 failed, 2 skipped")
            try command.expectNothingLeft()
        }

        @Test func everythingSkippedIsExit4() throws {
            let command = try Command()
            #expect(
                try command.run(["run", "-k", "6.1", "mprog.tcx/M-002.ingress"]) == .exited(4), "\(command.stderr)")
            try command.expectNothingLeft()
        }

        @Test func nothingMatchedIsExit2() throws {
            let command = try Command()
            #expect(try command.run(["run", "-k", "6.12", "no.such.suite"]) == .exited(2))
            #expect(
                command.stderr.contains("there is no suite or case no.such.suite; suites: mprog.tcx"),
                "\(command.stderr)")
            let other = try Command()
            #expect(try other.run(["run", "-k", "6.12", "-t", "zzz*"]) == .exited(2))
            #expect(other.stderr.contains("no case matches zzz*"))
            let third = try Command()
            #expect(try third.run(["run", "--frobnicate"]) == .exited(2))
        }

        @Test func ktapIsAnotherFormOfTheSame() throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", "--format", "ktap", "mprog.tcx/M-001.ingress"])
            #expect(end == .exited(0), "\(command.stderr)")
            #expect(command.stdout.hasPrefix("KTAP version 1\n1..1\n"))
            #expect(command.stdout.contains("\n    ok 1 M-001.ingress "), "\(command.stdout)")
        }

        @Test func aSecondProcessorChangesNothing() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--cpus", "2", "mprog.tcx/M-068.ingress", "mprog.tcx/M-068.egress",
            ])
            #expect(end == .exited(0), "\(command.stdout)")
            try command.expectNothingLeft()
        }
    }
}
