// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// Trouble on this side: never a test's result, always exit 3 (or 130), nothing left behind.
    @Suite(.serialized)
    struct HostTrouble {
        private static let quick = "mprog.tcx/M-001.ingress"

        @Test func saysThatQEMUIsMissing() throws {
            let command = try Command()
            let end = try command.run(
                ["run", "-k", "6.12", Self.quick], environment: ["BPFTEST_QEMU": "/nowhere/qemu"])
            #expect(end == .exited(3))
            #expect(command.stderr.contains("apt-get install qemu-system-x86"), "\(command.stderr)")
            try command.expectNothingLeft()
        }

        @Test func saysThatQEMUIsTooOld() throws {
            let command = try Command()
            let old = try Command()
            let script = old.folder + "/qemu"
            try "#!/bin/sh\necho 'QEMU emulator version 5.2.0 (Debian)'\n".write(
                toFile: script, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
            #expect(
                try command.run(["run", "-k", "6.12", Self.quick], environment: ["BPFTEST_QEMU": script]) == .exited(3))
            #expect(command.stderr.contains("is QEMU 5.2.0; 7.0 or later is needed"), "\(command.stderr)")
            try command.expectNothingLeft()
        }

        @Test func bailsOutWhenQEMUIsKilled() throws {
            let command = try Command()
            try command.start([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "fault.hang",
            ])
            #expect(try command.waits(for: "ok 1 - before"), "\(command.stderr)")
            let machines = command.machines()
            #expect(!machines.isEmpty)
            for pid in machines { kill(pid, SIGKILL) }
            #expect(try command.finish() == .exited(3))
            #expect(command.stdout.contains("Bail out! QEMU ended by itself (signal SIGKILL)"), "\(command.stdout)")
            #expect(!command.stdout.contains("not ok"), "infrastructure trouble is no test's result")
            try command.expectNothingLeft()
        }

        @Test func bailsOutWhenResultsCannotBeWritten() throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", Self.quick], standardOutput: "/dev/full")
            #expect(end == .exited(3))
            #expect(command.stderr.contains("ENOSPC"), "\(command.stderr)")
            try command.expectNothingLeft()
        }

        /// `bpftest … 2>&1 | head`: whoever stops reading leaves an exit status, and no trap.
        @Test(
            arguments: [
                (["kernels", "prune", "no.such"], 2), (["bisect", "--script", "mprog.tcx"], 3),
            ] as [([String], Int)])
        func nobodyReadsAnyMore(_ arguments: [String], _ status: Int) throws {
            /// The end that is written to; the other one is closed with the pair.
            func writer() throws -> OwnedFD {
                let pair = try Descriptors.pipe()
                return pair.second
            }
            let output = try writer()
            let command = try Command()
            try command.start(arguments, terminal: output.raw)
            #expect(try command.finish() == .exited(status))
        }

        @Test func bailsOutWhenTheJSONFileIsFull() throws {
            let command = try Command()
            let end = try command.run(["run", "-k", "6.12", "--json=/dev/full", Self.quick])
            #expect(end == .exited(3))
            #expect(command.stdout.contains("Bail out! results cannot be written"), "\(command.stdout)")
            try command.expectNothingLeft()
        }

        @Test func endsTheRunAtItsTimeLimit() throws {
            let command = try Command()
            let end = try command.run([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "--timeout", "9", "fault.hang",
            ])
            #expect(end == .exited(3))
            #expect(command.stdout.contains("Bail out! the run's time limit of 9 s is over"), "\(command.stdout)")
            try command.expectNothingLeft()
        }

        /// ^C and its relatives while the kernel boots, and while a case runs.
        @Test(arguments: [SIGINT, SIGTERM], ["boot", "case"])
        func stopsWhenInterrupted(_ number: Int32, _ phase: String) throws {
            let command = try Command()
            // Words that no zygote has been made with: the kernel has to boot.
            let words = phase == "boot" ? ["--append", "bpftest.test=\(UUID().uuidString)"] : []
            try command.start(
                ["run", "-k", "6.12", "-v", "--agent", Command.build + "/bpftest-faults", "fault.hang"] + words)
            if phase == "boot" {
                // The first machine asks the foreign agent for its cases; it is seen as a process once it boots.
                while command.machines().isEmpty {
                    #expect(try command.waits(for: "never said", limit: .milliseconds(50)) == false)
                }
            } else {
                #expect(try command.waits(for: "ok 1 - before"), "\(command.stderr)")
            }
            command.signal(number)
            #expect(try command.finish(limit: .seconds(20)) == .exited(130), "\(command.stderr)")
            if phase == "case" { #expect(command.stdout.contains("Bail out! interrupted"), "\(command.stdout)") }
            #expect(!command.stdout.contains("not ok"))
            try command.expectNothingLeft()
        }

        /// ^C while a kernel is fetched: no half kernel is left that a later run would take for one.
        @Test func stopsWhenInterruptedWhileFetching() throws {
            let command = try Command()
            let cache = try Command()
            let environment = ["BPFTEST_CACHE": cache.folder]
            try command.start(["run", "-k", "6.1", "mprog.tcx/M-002.ingress"], environment: environment)
            #expect(try command.waits(for: "fetching linux-image-6.1"), "\(command.stderr)")
            command.signal(SIGINT)
            #expect(try command.finish(limit: .seconds(20)) == .exited(130), "\(command.stderr)")
            #expect(command.stdout.isEmpty)
            try command.expectNothingLeft()

            let next = try Command()
            #expect(
                try next.run(["run", "-k", "6.1", "mprog.tcx/M-002.ingress"], environment: environment) == .exited(4),
                "\(next.stderr)")
        }

        /// So do the other commands with machines: nothing is fetched to its end.
        @Test(arguments: [["exec", "-k", "6.1", "--", "/bin/true"], ["surface", "6.1"]])
        func allStopWhenInterruptedWhileFetching(_ words: [String]) throws {
            let command = try Command()
            let cache = try Command()
            try command.start(words, environment: ["BPFTEST_CACHE": cache.folder])
            #expect(try command.waits(for: "fetching linux-image-6.1"), "\(command.stderr)")
            command.signal(SIGINT)
            #expect(try command.finish(limit: .seconds(20)) == .exited(130), "\(command.stderr)")
            let files = FileManager.default.subpaths(atPath: cache.folder) ?? []
            #expect(!files.contains { $0.hasPrefix("kernels/6.1") }, "\(files)")
            try command.expectNothingLeft()
        }

        /// Nothing can be cleaned up by a process that is killed: its machine ends by itself, and the next run sweeps.
        @Test func leavesNoMachineWhenKilled() throws {
            let command = try Command()
            try command.start([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "fault.hang",
            ])
            #expect(try command.waits(for: "ok 1 - before"), "\(command.stderr)")
            let machines = command.machines()
            #expect(!machines.isEmpty)
            let watches = try machines.map { ProcessWatch(try Descriptors.process($0)) }
            command.signal(SIGKILL)
            #expect(try command.finish() == .signalled(9))
            for watch in watches { #expect(try watch.ends(within: .seconds(10)), "QEMU goes with its bpftest") }
            let left = try FileManager.default.contentsOfDirectory(atPath: command.folder)
            #expect(left.count == 1, "a killed process leaves its folder: \(left)")

            let next = try Command()
            #expect(
                try next.run(["run", "-k", "6.12", Self.quick], environment: ["TMPDIR": command.folder]) == .exited(0))
            try command.expectNothingLeft()
        }
    }
}

/// Waits for the end of a process that is no child.
struct ProcessWatch {
    private let process: Shared

    init(_ process: consuming OwnedFD) {
        self.process = Shared(process)
    }

    func ends(within limit: Duration) throws -> Bool {
        var poller = Poller()
        poller.add(process.fd.raw, .read)
        return try poller.wait(limit)
    }
}
