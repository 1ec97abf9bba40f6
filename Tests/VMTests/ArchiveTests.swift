// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import SystemPackage
import Testing

extension MachineTests {
    /// A failure comes out as an archive, and happens again: with bpftest, and with QEMU alone.
    @Suite(.serialized)
    struct Archives {
        /// The folder that archives go into, beside the one in which nothing may be left.
        private func pack(_ fault: String, _ options: [String] = []) throws -> (command: Command, archives: [String]) {
            let command = try Command()
            let folder = command.folder + ".state/archives"
            let end = try command.run(
                [
                    "run", "-k", "6.12", "--reruns", "0", "-j1", "--agent", Command.build + "/bpftest-faults",
                    "--archive",
                    folder, "fault.\(fault)",
                ] + options)
            #expect(end == .exited(1), "\(command.stderr)")
            try command.expectNothingLeft()
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            return (command, names.map { folder + "/" + $0 })
        }

        /// What a person does who has it.
        private func shell(
            _ script: String, _ words: [String], _ more: [String: String] = [:]
        ) throws -> (Int32, String) {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", script, "sh"] + words
            process.environment = ["PATH": "/usr/bin:/bin"].merging(more) { $1 }
            let output = Pipe()
            process.standardOutput = output
            process.standardError = output
            try process.run()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            return (process.terminationStatus, text)
        }

        @Test func aFailureHappensAgain() throws {
            let (command, archives) = try pack("wrong")
            try #require(archives.count == 1)
            let archive = archives[0]
            #expect(command.stderr.contains("tried once: it failed again"), "\(command.stderr)")

            // With QEMU alone.
            let unpacked = command.folder + ".state/unpacked"
            let (status, text) = try shell(
                "mkdir \"$2\" && zstd -dc \"$1\" | tar -x -C \"$2\" && exec \"$2\"/*/repro.sh", [archive, unpacked],
                ["TMPDIR": command.folder])
            #expect(status == 1, "\(text)")
            #expect(text.contains("not ok 2 bad the fault") || text.contains("not ok 1 bad the fault"), "\(text)")
            #expect(text.contains("repro.sh: the failure happened again: not ok"), "\(text)")

            // Nothing of this machine is in it.
            let (_, leaks) = try shell(
                "grep -r -l -a -F -e \"$2\" -e \"$3\" -e \"$4\" \"$1\"",
                [unpacked, command.folder, Command.build, "BPFTEST_"])
            // The one setting of the agent's that is named so is its own.
            let others = leaks.split(separator: "\n").filter { name in
                !["guest.cpio", "job.cpio", "manifest.json", "agent"].contains { name.hasSuffix($0) }
            }
            #expect(others.isEmpty, "\(leaks)")
            // An agent of one's own is packed as it is, and this one has its debugging information.
            let (_, paths) = try shell("grep -r -l -a -F -e \"$2\" \"$1\"", [unpacked, command.folder])
            #expect(paths.isEmpty, "\(paths)")

            // A case of the same name that passes, in the place of this one.
            let (passed, words) = try shell(
                """
                cd "$1"/* && sed s/fault.wrong/fault.stain/ boot/job.cpio >boot/job.new && mv boot/job.new boot/job.cpio
                exec ./repro.sh
                """, [unpacked], ["TMPDIR": command.folder])
            #expect(passed == 0, "\(words)")
            #expect(words.contains("repro.sh: the failure did not happen: ok"), "\(words)")

            let (broken, why) = try shell(
                "exec \"$1\"/*/repro.sh", [unpacked], ["TMPDIR": command.folder, "QEMU": "/bin/false"])
            #expect(broken == 3, "\(why)")

            let replay = try Command()
            #expect(try replay.run(["replay", archive]) == .exited(1), "\(replay.stderr)")
            #expect(replay.stdout.contains("# the failure happened in 1 of 1 runs on 6.12"), "\(replay.stdout)")
            #expect(replay.stderr.contains("# kernel: 6.12") && replay.stderr.contains("# qemu: "), "\(replay.stderr)")
            #expect(replay.stderr.contains("-sandbox on"))
            try replay.expectNothingLeft()
        }

        @Test func aCrashHappensAgain() throws {
            let (command, archives) = try pack("panic", ["--bundle"])
            #expect(archives.count == 2, "\(archives)")
            let archive = try #require(archives.first { !$0.contains("bpftest-bundle") })
            let bundle = try #require(archives.first { $0.contains("bpftest-bundle") })
            let size = try FileManager.default.attributesOfItem(atPath: archive)[.size] as? Int ?? 0
            #expect(size < 200_000, "what is in the bundle is not in the archive")
            let unpacked = command.folder + ".state/unpacked"
            let (status, text) = try shell(
                """
                mkdir "$2"; for file in "$1" "$3"; do zstd -dc "$file" | tar -x -C "$2" || exit 9; done
                exec "$2"/bpftest-fault*/repro.sh
                """, [archive, unpacked, bundle], ["TMPDIR": command.folder])
            #expect(status == 1, "\(text)")
            #expect(text.contains("the kernel complained: ") && text.contains("sysrq triggered crash"), "\(text)")
            let alone = try Command()
            let elsewhere = command.folder + ".state/alone.tar.zst"
            try FileManager.default.copyItem(atPath: archive, toPath: elsewhere)
            #expect(try alone.run(["replay", elsewhere]) == .exited(2))
            #expect(alone.stderr.contains("beside it"), "\(alone.stderr)")
        }

        /// One processor, every instruction: the same console to the last byte.
        @Test func aRecordingIsPlayedBack() throws {
            let (command, archives) = try pack("panic", ["--record"])
            try #require(archives.count == 1)
            #expect(
                command.stderr.contains("recorded with the failure, played back byte by byte"), "\(command.stderr)")
            let replay = try Command()
            #expect(try replay.run(["replay", archives[0], "--deterministic"]) == .exited(1), "\(replay.stderr)")
            #expect(
                replay.stdout.contains("# the console is the recorded one, byte by byte")
                    && replay.stdout.contains("# the failure happened again: the kernel complained: Kernel panic"),
                "\(replay.stdout)")
            try replay.expectNothingLeft()
        }

        /// The case that has to run before stays, everything else goes.
        @Test func whatAFailureDoesNotNeedIsLeftOut() throws {
            let (command, archives) = try pack("stain", ["--reruns", "1"])
            try #require(archives.count == 1, "\(command.stderr)")
            let folder = command.folder + ".state/smaller"
            let minimise = try Command()
            #expect(try minimise.run(["minimise", archives[0], "-o", folder]) == .exited(0), "\(minimise.stderr)")
            #expect(minimise.stderr.contains("cases that ran before: 1 of 1 needed"), "\(minimise.stderr)")
            #expect(minimise.stderr.contains("objects: 0 of "), "\(minimise.stderr)")
            try minimise.expectNothingLeft()
            let smaller = minimise.stdout.trimmingCharacters(in: .whitespacesAndNewlines)
            let (_, names) = try shell("zstd -dc \"$1\" | tar -t", [smaller])
            #expect(names.contains("boot/guest.cpio") && !names.contains(".bpf.o"), "\(names)")
        }

        @Test func whatIsNoArchiveIsRefused() throws {
            let command = try Command()
            let file = command.folder + ".state"
            try Data("no archive".utf8).write(to: URL(fileURLWithPath: file))
            #expect(try command.run(["replay", file], environment: ["BPFTEST_STATE": "/nonexistent"]) == .exited(2))
            #expect(command.stderr.contains("is damaged"), "\(command.stderr)")
            #expect(!command.stderr.contains("# qemu"))
            try command.expectNothingLeft()
        }
    }
}
