// SPDX-License-Identifier: Apache-2.0
import Foundation
import Harness
import LinuxIO
import SystemPackage
import Testing

extension MachineTests {
    /// Frozen machines on disk, and what is restored from them.
    @Suite(.serialized)
    struct Zygotes {
        private static let quick = "mprog.tcx/M-001.ingress"

        /// A cache with the kernels of the real one and no zygotes.
        struct Cache {
            let folder: String
            var environment: [String: String] { ["BPFTEST_CACHE": folder] }
            var zygotes: String { folder + "/zygotes" }

            init(_ command: Command) throws {
                folder = command.folder + ".cache"
                let real = Folders(environment: ProcessInfo.processInfo.environment).cache.string
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                for name in ["kernels", "images", "apt", "kvm.json"] {
                    try FileManager.default.createSymbolicLink(
                        atPath: folder + "/" + name, withDestinationPath: real + "/" + name)
                }
            }

            func remove() {
                // What is left of a test that failed is swept with the system's temporary files.
                try? FileManager.default.removeItem(atPath: folder)
            }
        }

        /// Kernel and image are in the real cache from here on.
        private func fetchKernel() throws {
            let first = try Command()
            #expect(try first.run(["run", "-k", "6.12", "--dry-run"]) == .exited(0), "\(first.stderr)")
        }

        @Test func aDamagedOneIsMadeAgain() throws {
            try fetchKernel()
            let command = try Command()
            let cache = try Cache(command)
            defer { cache.remove() }
            let words = ["run", "-k", "6.12", Self.quick]
            #expect(try command.run(words, environment: cache.environment) == .exited(0), "\(command.stderr)")
            let folders = try FileManager.default.contentsOfDirectory(atPath: cache.zygotes)
            #expect(folders.count == 1)
            let memory = cache.zygotes + "/" + (folders.first ?? "") + "/memory"

            let second = try Command()
            #expect(try second.run(words, environment: cache.environment) == .exited(0))
            #expect(!second.stderr.contains("made again"), "\(second.stderr)")

            #expect(unsafe truncate(memory, 100 << 20) == 0)
            let third = try Command()
            #expect(try third.run(words, environment: cache.environment) == .exited(0), "\(third.stderr)")
            #expect(third.stderr.contains("its memory is 104857600 bytes: made again"), "\(third.stderr)")
            #expect(third.stdout.contains("# 1 passed, 0 failed, 0 skipped"))

            let listed = try Command()
            #expect(try listed.run(["zygotes", "list"], environment: cache.environment) == .exited(0))
            #expect(listed.stdout.contains("tcg, 256 MiB, 1 cpu, QEMU"), "\(listed.stdout)")
            let pruned = try Command()
            #expect(try pruned.run(["zygotes", "prune"], environment: cache.environment) == .exited(0))
            #expect(pruned.stdout == (folders.first ?? "") + "\n")
            #expect(try FileManager.default.contentsOfDirectory(atPath: cache.zygotes).isEmpty)
            try command.expectNothingLeft()
        }

        /// Nobody can make a folder in a file, root neither: a cache that is read-only looks the same to bpftest.
        @Test func aCacheThatCannotBeWrittenCostsOnlyTime() throws {
            try fetchKernel()
            let command = try Command()
            let cache = try Cache(command)
            defer { cache.remove() }
            try Data().write(to: URL(fileURLWithPath: cache.zygotes))
            #expect(
                try command.run(["run", "-k", "6.12", Self.quick], environment: cache.environment) == .exited(0),
                "\(command.stderr)")
            #expect(command.stderr.contains("the zygote is for this run only"), "\(command.stderr)")
            try command.expectNothingLeft()
        }

        /// A file system with too little room for a guest's memory.
        @Test(.enabled(if: geteuid() == 0, "mounting wants root"))
        func aFullDiskCostsOnlyTime() throws {
            try fetchKernel()
            let command = try Command()
            let cache = try Cache(command)
            defer { cache.remove() }
            try FileManager.default.createDirectory(atPath: cache.zygotes, withIntermediateDirectories: true)
            #expect(unsafe mount("tmpfs", cache.zygotes, "tmpfs", 0, "size=30m") == 0)
            defer { _ = unsafe umount(cache.zygotes) }
            #expect(
                try command.run(["run", "-k", "6.12", Self.quick], environment: cache.environment) == .exited(0),
                "\(command.stderr)")
            #expect(
                command.stderr.contains("(ENOSPC): the zygote is for this run only"), "\(command.stderr)")
            let kept = try FileManager.default.subpathsOfDirectory(atPath: cache.zygotes)
            #expect(!kept.contains { $0.hasSuffix("memory") }, "half a zygote is left")
            try command.expectNothingLeft()
        }

        /// What breaks the kernel while agents are made ready must break it again in a case, not before all of them.
        @Test func complaintsWhilePreparingAreNotFrozenIn() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "--append", "faults.prepare=warn",
                "--append", "bpftest.test=\(UUID().uuidString)", "fault.wrong/before",
            ])
            #expect(end == .exited(0), "\(command.stderr)")
            #expect(
                command.stderr.contains(
                    "an agent cannot be started in advance (the guest refused: the kernel complained: WARNING in"),
                "\(command.stderr)")
            try command.expectNothingLeft()
        }

        /// The cases are run all the same, and whose hang it is will show with them.
        @Test func aKernelThatHangsWhilePreparingIsNotWaitedFor() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.1", "--agent", Command.build + "/bpftest-faults", "--append", "faults.prepare=hang",
                "--append", "bpftest.test=\(UUID().uuidString)", "fault.wrong/before",
            ])
            #expect(end == .exited(0), "\(command.stderr)")
            #expect(
                command.stderr.contains(
                    "an agent cannot be started in advance (the guest has answered nothing for 15 s: its kernel hangs)"),
                "\(command.stderr)")
            try command.expectNothingLeft()
        }

        @Test func twoRunsMakeOneTogether() throws {
            try fetchKernel()
            let one = try Command()
            let two = try Command()
            let cache = try Cache(one)
            defer { cache.remove() }
            for command in [one, two] {
                try command.start(["run", "-k", "6.12", Self.quick], environment: cache.environment)
            }
            for command in [one, two] { #expect(try command.finish() == .exited(0), "\(command.stderr)") }
            let waited = [one, two].filter { $0.stderr.contains("another bpftest is making the zygote") }
            #expect(waited.count == 1)
            #expect(try FileManager.default.contentsOfDirectory(atPath: cache.zygotes).count == 1)
            try one.expectNothingLeft()
            try two.expectNothingLeft()
        }

        /// Both suites are carried out by the agent that was started in advance; between them ends what the first has left.
        @Test(arguments: ["none", "batch"])
        func suitesShareAMachineAndNothingElse(_ isolation: String) throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--agent", Command.build + "/agent-leftovers", "--run-isolated=\(isolation)",
                "leftovers.left", "leftovers.found",
            ])
            #expect(end == .exited(0), "\(command.stdout)")
            #expect(command.stdout.hasSuffix("# 3 passed, 0 failed, 0 skipped\n"))
            try command.expectNothingLeft()
        }

        @Test func programsDoNotShareAMachineUnlessAskedTo() throws {
            // What a first program leaves, a second would find.
            for (isolation, status) in [("batch", 0), ("none", 1)] {
                let command = try Command()
                let config = command.folder + "/bpftest.toml"
                try Data(
                    """
                    kernels = ["6.12"]
                    [[programs]]
                    run = ["/bin/sh", "-c", "test ! -e /run/first && echo > /run/first"]
                    name = "first"
                    [[programs]]
                    run = ["/bin/sh", "-c", "test ! -e /run/first"]
                    name = "second"
                    [defaults]
                    isolated = "\(isolation)"
                    reruns = 0
                    """.utf8
                ).write(to: URL(fileURLWithPath: config))
                let end = try command.run(["matrix", "--config", config, "--no-archive"])
                #expect(end == .exited(status), "\(isolation): \(command.stdout)")
            }
        }

        @Test(arguments: ["none", "batch", "suite", "case"])
        func resultsAreTheSameHoweverCasesAreKeptApart(_ isolation: String) throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--run-isolated=\(isolation)", "-j2", "-t", "mprog.tcx/M-00?.ingress",
                "-t", "mprog.tcx/M-00?.egress", "-t", "kfuncs.file/K-00?", "--shuffle=7",
            ])
            #expect(end == .exited(0), "\(command.stdout)")
            #expect(command.stdout.contains("# order: --shuffle=7"))
            let lines = command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            let order = lines.filter { $0.hasPrefix("ok ") && $0.contains(" M-00") }.prefix(3)
            #expect(
                order.map { String($0.split(separator: " ")[3]) } == Self.shuffled,
                "the order follows from the seed, the isolation changes nothing of it")
            #expect(lines.last == "# 27 passed, 0 failed, 0 skipped")
            try command.expectNothingLeft()
        }

        /// The first three of mprog.tcx in the order of seed 7. Fixed: a seed in somebody's report must go on meaning the
        /// same.
        private static let shuffled = ["M-001.ingress", "M-008.egress", "M-003.egress"]

        @Test(arguments: [
            ("wrong", "suite", "failure: it fails alone in a pristine machine too"),
            ("stain", "suite", "order-dependent: alone it passed 5 of 5 times, after the same cases it failed again"),
        ])
        func aFailureIsTriedAlone(_ fault: String, _ isolation: String, _ verdict: String) throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "--run-isolated=\(isolation)",
                "fault.\(fault)",
            ])
            #expect(end == .exited(1), "\(command.stderr)")
            let lines = command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(lines.contains("not ok 2 - bad the fault"))
            #expect(lines.contains("verdict: \"\(verdict)\""), "\(command.stdout)")
            #expect(lines.contains("ran_before: \"fault.stain/before\"") == (fault == "stain"))
            #expect(lines.last == "# 2 passed, 1 failed, 0 skipped")
            try command.expectNothingLeft()
        }

        /// In a machine of its own nothing has gone before.
        @Test func whatDependsOnTheOrderPassesIsolated() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "--run-isolated=case", "fault.stain",
            ])
            #expect(end == .exited(0), "\(command.stdout)")
            try command.expectNothingLeft()
        }

        @Test func repeatsEndAtAFailureAndAtTheLimit() throws {
            let command = try Command()
            var end = try command.run(["run", "-k", "6.12", "--until-failure", "--repeat", "3", Self.quick])
            #expect(end == .exited(0), "\(command.stdout)")
            #expect(command.stdout.contains("# rounds: 3"), "\(command.stdout)")
            let failing = try Command()
            end = try failing.run([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "--until-failure", "fault.wrong",
            ])
            #expect(end == .exited(1), "\(failing.stdout)")
            #expect(failing.stdout.contains("# rounds: 1"), "\(failing.stdout)")
            try failing.expectNothingLeft()
        }
    }
}
