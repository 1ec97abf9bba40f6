// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import Testing

@testable import VMRunner

/// Machines without a host, with a shell in QEMU's place.
@Suite struct ConsoleMachineTests {
    private func run(
        _ script: String, limit: Duration = .seconds(60), hasMonitor: Bool = false,
        onConsole: (ArraySlice<UInt8>) -> Duration? = { _ in nil }
    ) throws -> ConsoleMachine.Outcome {
        var machine = ConsoleMachine(
            qemu: QEMU(path: "/bin/sh", version: "10.0.2", hasSandbox: true), arguments: ["-c", script, "sh"],
            limit: limit)
        machine.hasMonitor = hasMonitor
        return try machine.run(Cancellation(), onConsole: onConsole)
    }

    /// Foreign code is to find nothing of the host's: no settings, no files, no terminal.
    @Test func itGetsNothingOfTheHosts() throws {
        let outcome = try run(
            """
            tr '\\0' '\\n' </proc/$$/environ
            n=0; while [ $n -lt 40 ]; do [ ! -e /proc/$$/fd/$n ] || echo fd $n; n=$((n + 1)); done
            wc -c; echo no >&2
            """)
        #expect(outcome.end == .exited(0))
        let lines = String(decoding: outcome.console, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(lines == ["PATH=/usr/bin:/bin", "fd 0", "fd 1", "fd 2", "0"], "\(lines)")
        #expect(outcome.complaints == "no\n")
    }

    @Test func itIsKilledAtItsLimit() throws {
        let outcome = try run("echo here; exec sleep 1000", limit: .milliseconds(300))
        #expect(outcome.end == nil)
        #expect(String(decoding: outcome.console, as: UTF8.self) == "here\n")
    }

    /// What a recording takes: QEMU's own end, by its monitor.
    @Test func aRecordedOneIsToldToEnd() throws {
        let outcome = try run(
            "echo start; head -n 2 <&3; echo \"$@\"", limit: .milliseconds(300), hasMonitor: true)
        #expect(outcome.end == .exited(0), "\(outcome.complaints)")
        let text = String(decoding: outcome.console, as: UTF8.self)
        #expect(text.hasPrefix("start\n{\"execute\":\"qmp_capabilities\""), "\(text)")
        #expect(text.contains("{\"execute\":\"quit\"") && text.contains("-mon chardev=monitor,mode=control"), "\(text)")
    }

    /// What a machine has said may leave it less time, and never more.
    @Test func whatItSaysLimitsIt() throws {
        let start = ContinuousClock.now
        let short = try run("echo enough; exec sleep 1000") { _ in .milliseconds(200) }
        #expect(short.end == nil)
        let long = try run("echo more; exec sleep 1000", limit: .milliseconds(200)) { _ in .seconds(1000) }
        #expect(long.end == nil)
        #expect(ContinuousClock.now - start < .seconds(60))
    }
}
