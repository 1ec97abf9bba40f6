// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import SystemPackage
import Testing

extension MachineTests {
    /// BPF objects of a user, from the command line to the verdict.
    @Suite(.serialized)
    struct AnnotatedObjects {
        /// Where `make build-tests` puts what is in Tests/Support/Objects.
        private static let objects: String = {
            var folder = FilePath(Command.build)
            while folder.lastComponent?.string != ".build", folder.removeLastComponent() {}
            return folder.appending("test-objects").string
        }()

        private func object(_ name: String) -> String { "\(Self.objects)/\(name).bpf.o" }

        private func lines(_ command: Command) -> [String] {
            command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        }

        @Test func programsAreJudgedByTheirAnnotations() throws {
            let command = try Command()
            #expect(try command.run(["run", "-k", "6.12", object("judged")]) == .exited(0), "\(command.stdout)")
            let lines = lines(command)
            #expect(lines.contains("ok 1 - returns_seven seven is returned"), "\(command.stdout)")
            #expect(lines.contains { $0.hasPrefix("ok 3 - reads_without_check is refused: R0 invalid mem access") })
            #expect(lines.contains { $0.hasPrefix("ok 5 - leaks_address.unpriv ") && !$0.contains("# SKIP") })
            #expect(lines.contains { $0.hasPrefix("ok 2 - elsewhere ") && $0.contains("# SKIP it is for ARM64") })
            #expect(lines.last == "# 4 passed, 0 failed, 1 skipped")
            try command.expectNothingLeft()
        }

        @Test func aProgramIsNamedBehindItsFile() throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", object("wrong") + "/wrong_value", "--reruns", "0"])
            #expect(end == .exited(1), "\(command.stderr)")
            let lines = lines(command)
            #expect(lines.last == "# 0 passed, 1 failed, 0 skipped")
            #expect(lines.contains { $0.hasPrefix("run_alone:") && $0.contains("wrong.bpf.o/wrong_value") })
            let other = try Command()
            #expect(try other.run(["run", "-k", "6.12", object("wrong") + "/nothing"]) == .exited(2))
            #expect(other.stderr.contains("has no program nothing; it has: "), "\(other.stderr)")
        }

        /// A folder with everything that can be wrong: each file and each program has its own result.
        @Test func brokenFilesHaveResultsAndTheOthersRun() throws {
            let command = try Command()
            let folder = command.folder + "/objects"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let good = try readFile(object("plain"))
            var foreign = good
            foreign[18] = 62
            foreign[19] = 0
            var bare = good
            let name = Array(".BTF\0".utf8)
            for index in bare.indices.dropLast(name.count) where bare[index...].starts(with: name) {
                bare[index + 1] = 0x58
            }
            for (file, bytes) in [
                ("a-truncated", Array(good.dropLast(200))), ("b-text", Array("no object".utf8)), ("c-foreign", foreign),
                ("d-without-btf", bare), ("e-wrong", try readFile(object("wrong"))), ("f-plain", good),
            ] {
                try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(file).bpf.o"))
            }
            let end = try command.run([
                "run", "-k", "6.12", "--reruns", "0", "--run-isolated=none", folder, folder + "/g-absent.bpf.o",
            ])
            #expect(end == .exited(1), "\(command.stderr)")
            let lines = lines(command)
            for cause in [
                "it is truncated", "it is no ELF file", "it is for another architecture: x86-64", "it has no BTF",
                "there is no such file", "unknown annotation comment:test_expect_miracle",
            ] {
                #expect(
                    lines.contains { $0.hasPrefix("message:") && $0.contains(cause) }, "\(cause): \(command.stdout)")
            }
            #expect(lines.contains("ok 1 - plain loads"))
            #expect(lines.last == "# 1 passed, 10 failed, 0 skipped")
            let observed = lines.filter { $0.hasPrefix("observed:") }
            #expect(observed.contains { $0.contains("it was loaded") })
            #expect(observed.contains { $0.contains("7") })
            #expect(observed.contains { $0.contains("EACCES (13)") })
            // What was looked for, behind what was found, and the log around it.
            #expect(lines.contains { $0.hasPrefix("expected:") && $0.contains("words that no verifier says") })
            #expect(observed.contains { $0.contains("where 'invalid mem access' is") })
            #expect(command.stdout.contains("verifier_log:"))
        }

        @Test func withoutAnnotationsTheFlagTurnsTheExpectationRound() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--reruns", "0", "--expect-load-failure", object("plain"),
            ])
            #expect(end == .exited(1), "\(command.stderr)")
            #expect(lines(command).contains { $0.hasPrefix("not ok 1 - plain is refused") }, "\(command.stdout)")
            try command.expectNothingLeft()
        }

        /// Ours are written so that the kernel's own runner takes them: so does this one.
        @Test func ourOwnNegativeProgramsAreAnnotated() throws {
            let command = try Command()
            let files = ["task_fail", "file_fail"].map { Command.build + "/../../guest/objects/kfuncs/\($0).bpf.o" }
                .map { FilePath($0).lexicallyNormalized().string }
            #expect(try command.run(["run", "-k", "6.12"] + files) == .exited(0), "\(command.stdout.suffix(4000))")
            // Two call kfuncs that later kernels have.
            let skips = lines(command).filter { $0.contains("# SKIP") }
            #expect(skips.count == 2, "\(skips)")
            #expect(skips.allSatisfy { $0.contains("# SKIP cannot be judged here: kfunc bpf_") })
        }
    }
}
