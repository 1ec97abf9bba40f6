// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// Programs and commands of the user's, on one of Debian's kernels.
    @Suite(.serialized)
    struct Programs {
        /// A script in the folder of a call.
        private func script(_ name: String, _ text: String, in folder: String) throws -> String {
            let file = "\(folder)/\(name)"
            try Data("#!/bin/sh\n\(text)\n".utf8).write(to: URL(fileURLWithPath: file))
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
            return file
        }

        /// A dynamic program by its exit status, with its own environment and nothing of ours.
        @Test func aDynamicProgramsStatusIsItsResult() throws {
            let command = try Command()
            let words = #"test "$HOME $TERM $MORE$SECRET" = "/tmp dumb yes" && test -z "$(cat)""#
            let good = try command.run(
                ["run", "-k", "6.12", "--env", "MORE=yes", "--file", "/bin/cat", "--", "/bin/sh", "-c", words],
                environment: ["SECRET": "no"])
            #expect(good == .exited(0), "\(command.stdout)\(command.stderr)")
            #expect(command.stdout.contains("# Subtest: sh\n") && command.stdout.contains("ok 1 - sh "))
            let other = try Command()
            let bad = try other.run(
                ["run", "-k", "6.12", "--reruns", "0", "--", "/bin/sh", "-c", "echo why >&2; kill -SEGV $$"])
            #expect(bad == .exited(1))
            #expect(other.stdout.contains("the program was killed by SIGSEGV"), "\(other.stdout)")
            #expect(other.stdout.contains(#"stderr: "why\n""#))
            let alone = "bpftest run -k 6.12 -- /bin/sh -c 'echo why >&2; kill -SEGV $$'"
            #expect(other.stdout.contains("run_alone: \"\(alone)\""))
            try other.expectNothingLeft()
        }

        /// A static program, which needs nothing of the host.
        @Test func aStaticProgramRuns() throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", "--", "/sbin/ldconfig", "--version"])
            #expect(end == .exited(0), "\(command.stdout)\(command.stderr)")
            #expect(command.stdout.contains("ok 1 - ldconfig /sbin/ldconfig --version"))
            try command.expectNothingLeft()
        }

        /// A program's TAP becomes nested results; a warning of the kernel fails what ran while it came.
        @Test func aScriptsTAPBecomesResults() throws {
            let command = try Command()
            let file = try script(
                "points.sh",
                """
                echo 'TAP version 13'; echo 1..3
                echo 'ok 1 first'
                echo '    1..1'; echo '    ok 1 inner'; echo 'ok 2 group'
                echo '<4>WARNING: CPU: 0 PID: 1 at nowhere.c:1 nowhere+0x1/0x2' > /dev/kmsg
                echo 'ok 3 third'
                """, in: command.folder)
            let end = try command.run(["run", "-k", "6.12", "--reruns", "0", "--", file])
            #expect(end == .exited(1), "\(command.stderr)")
            let lines = command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(lines.contains("# Subtest: points.sh") && lines.contains("1..3"))
            #expect(lines.contains("ok 1 - first") && lines.contains("ok 2 - group/inner"))
            #expect(lines.contains("not ok 3 - third") && lines.contains("blame: \"kernel broke\""))
            #expect(lines.contains("observed: \"WARNING in nowhere\""))
            try FileManager.default.removeItem(atPath: file)
            try command.expectNothingLeft()
        }

        /// The command's own status, and those that tell what became of the machine.
        @Test func execEndsAsItsCommand() throws {
            let cases: [(arguments: [String], words: String, status: Int, said: String)] = [
                ([], "exit 0", 0, ""), ([], "exit 7", 7, ""),
                (["--timeout", "2"], "while :; do :; done", 124, "did not end in 2 s"),
                ([], "echo c > /proc/sysrq-trigger; sleep", 255, "the kernel panicked"),
                ([], "echo b > /proc/sysrq-trigger; while :; do :; done", 128, "was reset or powered off"),
            ]
            for (arguments, words, status, said) in cases {
                let command = try Command()
                let end = try command.run(["exec", "-k", "6.12"] + arguments + ["--", "sh", "-c", words])
                #expect(end == .exited(status), "\(words): \(command.stderr)")
                #expect(said.isEmpty || command.stderr.contains(said), "\(words): \(command.stderr)")
                try command.expectNothingLeft()
            }
            let absent = try Command()
            #expect(try absent.run(["exec", "-k", "6.12", "--", "/nowhere/program"]) == .exited(127))
            #expect(absent.stderr.contains("/nowhere/program"))
        }

        /// What comes in a pipe goes to the command, more than is ever under way; its outputs stay apart.
        @Test func execPassesInputAndOutputsThrough() throws {
            let command = try Command()
            let input = command.folder + "/input"
            let bytes = Data((0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            try bytes.write(to: URL(fileURLWithPath: input))
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = [
                "-c",
                #"cd "$1" && cat input | "$2" exec -k 6.12 --file /bin/cat -- sh -c 'cat; echo over >&2' >out 2>err"#,
                "sh", command.folder, Command.build + "/bpftest",
            ]
            try process.run()
            process.waitUntilExit()
            let errors = try String(contentsOfFile: command.folder + "/err", encoding: .utf8)
            #expect(process.terminationStatus == 0, "\(errors)")
            #expect(errors == "over\n")
            #expect(try Data(contentsOf: URL(fileURLWithPath: command.folder + "/out")) == bytes)
        }
    }
}
