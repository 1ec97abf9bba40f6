// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

extension MachineTests {
    /// Whatever an agent or its kernel does wrong is the failure of that case, and the others still run.
    @Suite(.serialized)
    struct FaultyAgents {
        struct Fault: Sendable, CustomTestStringConvertible {
            let name: String
            let blame: String
            let message: String
            var testDescription: String { name }
        }

        static let faults = [
            Fault(name: "hang", blame: "timeout", message: "no result after 5 s"),
            Fault(name: "segfault", blame: "agent broke", message: "SIGSEGV"),
            Fault(name: "no-plan", blame: "agent broke", message: "exit status 0"),
            Fault(name: "half-line", blame: "agent broke", message: "exit status 7"),
            Fault(name: "flood", blame: "agent broke", message: "more than its limit of output"),
            Fault(name: "not-text", blame: "agent broke", message: "exit status 1"),
            Fault(name: "endless-line", blame: "agent broke", message: "was cut after"),
            Fault(name: "panic", blame: "kernel broke", message: "sysrq triggered crash"),
            Fault(name: "panic-first", blame: "kernel broke", message: "sysrq triggered crash"),
            Fault(name: "warn", blame: "kernel broke", message: "WARNING: CPU: 0"),
            Fault(name: "warn-late", blame: "kernel broke", message: "WARNING: CPU: 0"),
            Fault(name: "panic-late", blame: "kernel broke", message: "sysrq triggered crash"),
            Fault(name: "wrong-name", blame: "agent broke", message: "a result for nobody"),
            Fault(name: "bail-out", blame: "agent broke", message: "the agent gives up"),
        ]

        @Test(arguments: faults)
        func isTheFailureOfItsCase(_ fault: Fault) throws {
            let command = try Command()
            // Only a hang is to come to its limit: a machine with other work takes long to write a gigabyte.
            let limit = fault.name == "hang" ? "5" : "100"
            let end = try command.run([
                "run", "-k", "6.12", "--agent", Command.build + "/bpftest-faults", "-w", limit, "fault.\(fault.name)",
            ])
            #expect(end == .exited(1), "\(command.stderr)")
            let lines = command.stdout.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(lines.contains("ok 1 - before does nothing"))
            #expect(lines.contains("not ok 2 - bad the fault"))
            #expect(lines.contains("ok 3 - after does nothing"), "the rest still runs")
            #expect(lines.contains("blame: \"\(fault.blame)\""), "\(command.stdout)")
            #expect(command.stdout.contains(fault.message), "\(command.stdout)")
            #expect(lines.contains("# 2 passed, 1 failed, 0 skipped"))
            try command.expectNothingLeft()
        }
    }
}
