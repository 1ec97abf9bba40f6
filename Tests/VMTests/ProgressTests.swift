// SPDX-License-Identifier: Apache-2.0
import Foundation
import LinuxIO
import TerminalModel
import Testing

extension MachineTests {
    /// What somebody at a terminal sees of a run.
    @Suite(.serialized)
    struct Progress {
        private static let arguments = [
            "run", "-k", "6.12", "-t", "mprog.tcx/M-00?.ingress", "-t", "mprog.tcx/M-00?.egress",
        ]

        private func screen(_ terminal: PseudoTerminal) throws -> (output: String, screen: Screen) {
            let output = try #require(terminal.allOutput())
            var screen = Screen(columns: 100, rows: 30)
            screen.feed(output)
            #expect(screen.unknown == [])
            return (output, screen)
        }

        @Test func aTerminalShowsInTheEndWhatAPipeGets() throws {
            let piped = try Command()
            #expect(try piped.run(Self.arguments, environment: ["TERM": "xterm"]) == .exited(0), "\(piped.stderr)")
            #expect(!piped.stdout.contains("\u{1b}"))
            #expect(!piped.stderr.contains("\u{1b}"))
            #expect(piped.stderr == "", "else the comparison below needs to know of it")

            let terminal = try PseudoTerminal(columns: 100, rows: 30)
            let command = try Command()
            try command.start(Self.arguments, environment: ["TERM": "xterm"], terminal: terminal.slave)
            #expect(try command.finish() == .exited(0))
            let (output, screen) = try screen(terminal)
            #expect(
                output.contains("/18 done  0:0"),
                "nothing was shown meanwhile: \(output.prefix(2000))")
            #expect(screen.lines == piped.stdout.split(separator: "\n").map(String.init))
            try command.expectNothingLeft()
        }

        /// Results in a file, progress on the terminal; in the end nothing is there, not even an empty line.
        @Test func withResultsInAFileTheTerminalIsLeftAsItWas() throws {
            let terminal = try PseudoTerminal(columns: 100, rows: 30)
            let command = try Command()
            let file = command.folder + "/results.tap"
            try Data().write(to: URL(filePath: file))
            try command.start(
                Self.arguments, environment: ["TERM": "xterm"], standardOutput: file, terminal: terminal.slave)
            #expect(try command.finish() == .exited(0))
            let (output, screen) = try screen(terminal)
            #expect(
                output.contains("/18 done  0:0"),
                "nothing was shown meanwhile: \(output.prefix(2000))")
            #expect(screen.lines == [])
            #expect(screen.cursor == (0, 0))
            let text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.hasPrefix("TAP version 14\n"))
            #expect(!text.contains("\u{1b}"))
            try FileManager.default.removeItem(atPath: file)
            try command.expectNothingLeft()
        }

        @Test func withoutAUserInterfaceThereAreResultsAlone() throws {
            let terminal = try PseudoTerminal(columns: 100, rows: 30)
            let command = try Command()
            try command.start(
                Self.arguments, environment: ["TERM": "xterm", "BPFTEST_NO_UI": "1"], terminal: terminal.slave)
            #expect(try command.finish() == .exited(0))
            let output = try #require(terminal.allOutput())
            #expect(!output.contains("\u{1b}"))
            #expect(output.hasPrefix("TAP version 14\r\n"))
            try command.expectNothingLeft()
        }

        /// `bpftest run … &` at a shell's prompt: its results come, but it does not draw over what is typed.
        @Test(arguments: [false, true]) func aBackgroundJobDrawsNothing(_ background: Bool) throws {
            // Job control needs a terminal that is the shell's own, which script(1) makes.
            let command = Command.build + "/bpftest run -k 6.12 mprog.tcx/M-001.ingress"
            let shell = Process()
            shell.executableURL = URL(filePath: "/usr/bin/script")
            let job = background ? "\(command) & wait" : command
            shell.arguments = ["--quiet", "--return", "--command", "bash -mc '\(job)'", "/dev/null"]
            shell.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm"]) { $1 }
            let output = Pipe()
            shell.standardInput = FileHandle.nullDevice
            shell.standardOutput = output
            try shell.run()
            let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
            shell.waitUntilExit()
            #expect(text.contains("# 1 passed, 0 failed, 0 skipped"), "\(text)")
            #expect(text.contains("\u{1b}[J") == !background, "\(text)")
        }

        /// ^C in the middle: what it says then stands where the region was.
        @Test func anInterruptedRunLeavesNoRegion() throws {
            let terminal = try PseudoTerminal(columns: 100, rows: 30)
            let command = try Command()
            try command.start(["run", "-k", "6.12"], environment: ["TERM": "xterm"], terminal: terminal.slave)
            let running = terminal.waits(limit: .seconds(120)) {
                $0.contains(" mprog.cgroup/") || $0.contains(" mprog.tcx/")
            }
            #expect(running, "\(terminal.text.suffix(2000))")
            command.signal(SIGINT)
            #expect(try command.finish() == .exited(130))
            let (_, screen) = try screen(terminal)
            #expect(screen.lines.suffix(2) == ["Bail out! interrupted", "bpftest: interrupted"])
            #expect(!screen.lines.contains { $0.hasSuffix(" elapsed") || $0.contains("/1") && $0.contains(" done") })
            try command.expectNothingLeft()
        }
    }
}
