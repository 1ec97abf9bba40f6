// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// What is not a kernel, and kernels that do not come up.
    @Suite(.serialized)
    struct Boots {
        /// A file in the command's folder.
        private func file(_ command: Command, _ name: String, _ content: [UInt8]) throws -> String {
            let path = command.folder + "/" + name
            try Data(content).write(to: URL(fileURLWithPath: path))
            return path
        }

        /// The kernel's file in a QEMU line as a shell reads it: quoted where its name needs that.
        private func imagePath(_ line: String) throws -> String {
            let words = line.split(separator: " ").map(String.init)
            let word = try #require(words.firstIndex(of: "-kernel").map { words[$0 + 1] })
            return word.trimmingCharacters(in: CharacterSet(charactersIn: "'"))
        }

        @Test(arguments: ["random", "empty", "directory", "missing"])
        func refusesWhatIsNoKernel(_ kind: String) throws {
            let command = try Command()
            defer { try? FileManager.default.removeItem(atPath: command.folder + "/input") }
            let path = command.folder + "/input"
            var message = "not a kernel"
            switch kind {
            case "random":
                _ = try file(command, "input", (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 113 &+ $0 >> 7) })
            case "empty":
                _ = try file(command, "input", [])
                message = "is empty"
            case "directory":
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                message = "bzImage"
            default: message = "is neither a file"
            }
            #expect(try command.run(["run", "-k", path, "mprog.tcx/M-001.ingress"]) == .exited(2))
            #expect(command.stderr.contains(message), "\(command.stderr)")
            #expect(command.stderr.contains("input"), "the message names the file")
            #expect(command.stdout.isEmpty, "no result about what never ran")
        }

        struct Failure: Sendable, CustomTestStringConvertible {
            let name: String
            let arguments: [String]
            let message: String
            var testDescription: String { name }
        }

        static let failures = [
            Failure(name: "no init", arguments: ["--append", "rdinit=/nowhere"], message: "it found no init"),
            Failure(
                name: "panic", arguments: ["--append", "rdinit=/nowhere init=/nowhere root=/dev/nothing"],
                message: "Unable to mount root fs"),
            Failure(name: "out of memory", arguments: ["--memory", "64"], message: "the kernel did not boot"),
            Failure(
                name: "hang", arguments: ["--boot-timeout", "1", "--no-zygotes"], message: "no sign of init after 1 s"),
        ]

        @Test(arguments: failures)
        func reportsAFailedBootAsTheKernels(_ failure: Failure) throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", "mprog.tcx/M-001.ingress"] + failure.arguments)
            #expect(end == .exited(1), "\(command.stderr)")
            #expect(command.stdout.contains("not ok 1 - boot the kernel boots to its init"))
            #expect(command.stdout.contains(failure.message), "\(command.stdout)")
            #expect(command.stdout.contains("console: "), "the console's last lines are there: \(command.stdout)")
            try command.expectNothingLeft()
        }

        /// Debian's 6.1 has virtio as modules: its bare image cannot reach the host.
        @Test func saysThatVirtioIsMissing() throws {
            let command = try Command()
            #expect(try command.run(["run", "-k", "6.1", "--dry-run"]) == .exited(0), "\(command.stderr)")
            let image = try imagePath(command.stdout)
            let bare = command.folder + "/vmlinuz"
            try FileManager.default.copyItem(atPath: image, toPath: bare)
            let second = try Command()
            #expect(try second.run(["run", "-k", bare, "mprog.tcx/M-001.ingress"]) == .exited(1), "\(second.stderr)")
            #expect(second.stdout.contains("CONFIG_VIRTIO_CONSOLE"), "\(second.stdout)")
            #expect(second.stdout.contains("no virtio-serial port named"))
            try second.expectNothingLeft()
        }

        /// With its config at hand the same is known before booting.
        @Test func saysBeforeBootingWhatTheConfigLacks() throws {
            let command = try Command()
            #expect(try command.run(["run", "-k", "6.12", "--dry-run"]) == .exited(0), "\(command.stderr)")
            let image = try imagePath(command.stdout)
            try FileManager.default.copyItem(atPath: image, toPath: command.folder + "/vmlinuz")
            _ = try file(command, ".config", Array("CONFIG_PCI=y\n# CONFIG_BPF_SYSCALL is not set\n".utf8))
            let second = try Command()
            #expect(try second.run(["run", "-k", command.folder + "/vmlinuz"]) == .exited(2))
            #expect(second.stderr.contains("CONFIG_VIRTIO_CONSOLE is not set"), "\(second.stderr)")
            #expect(second.stderr.contains("CONFIG_BPF_SYSCALL is not set"))
            #expect(second.stderr.contains("images/bpf.config"))
            try second.expectNothingLeft()
        }
    }
}
