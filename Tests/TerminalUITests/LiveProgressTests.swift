// SPDX-License-Identifier: Apache-2.0
import Foundation
import Harness
import LinuxIO
import SystemPackage
import TerminalModel
import Testing

@testable import TerminalUI

/// The whole on a real terminal device.
@Suite(.timeLimit(.minutes(2))) struct LiveProgressTests {
    private static let environment = ["TERM": "xterm-256color"]

    private func result(_ id: String, _ outcome: Outcome) -> CaseResult {
        CaseResult(kernel: "6.12", name: CaseID(suite: "s", id: id), title: "", outcome: outcome)
    }

    /// What a run of ten cases writes, results and log lines from two threads.
    private func run(
        on terminal: PseudoTerminal, environment: [String: String], untilSeen: @escaping (String) -> Bool
    ) throws -> (results: [String], notes: [String]) {
        let descriptor = terminal.slave
        let progress = LiveProgress(environment: environment, errors: descriptor, results: descriptor)
        let device = TerminalDevice(descriptor: descriptor)
        @Sendable func write(_ line: String) {
            func now() {
                do { try device.write(line + "\n") } catch { Issue.record("\(error)") }
            }
            if let progress { progress.interleave { now() } } else { now() }
        }
        let results = (0..<10).map { "ok \($0) - a case" }
        let notes = (0..<10).map { "bpftest: note \($0)" }
        let noted = DispatchSemaphore(value: 0)
        Thread {
            for note in notes { write(note) }
            noted.signal()
        }.start()
        progress?.planned(10)
        for number in 0..<10 {
            progress?.started(CaseID(suite: "s", id: "C-\(number)"), kernel: "6.12", worker: 0)
            if number == 5 { #expect(terminal.waits(until: untilSeen), "\(terminal.text)") }
            progress?.finished(result("C-\(number)", number == 2 ? .failed(.test) : .passed), worker: 0)
            write(results[number])
        }
        #expect(noted.wait(timeout: .now() + 20) == .success)
        progress?.ended()
        write("# 9 passed, 1 failed, 0 skipped")
        return (results + ["# 9 passed, 1 failed, 0 skipped"], notes)
    }

    @Test func onlyResultsAndLogLinesAreLeftOnTheScreen() throws {
        let terminal = try PseudoTerminal(columns: 60, rows: 12)
        let (results, notes) = try run(on: terminal, environment: Self.environment) {
            $0.contains("  5/10 done  \u{1b}[31m1 failed\u{1b}[m  0:0") && $0.contains("\r\n  1 6.12 s/C-5\u{1b}[J")
        }
        let output = try #require(terminal.allOutput())
        var screen = Screen(columns: 60, rows: 12)
        screen.feed(output)
        #expect(screen.unknown == [])
        #expect(screen.lines.filter { results.contains($0) } == results)
        #expect(screen.lines.filter { notes.contains($0) } == notes)
        #expect(screen.lines.count == results.count + notes.count, "\(screen.lines)")
        #expect(screen.cursor == (screen.lines.count, 0))
    }

    @Test func withoutColoursIfTheUserWantsNone() throws {
        let terminal = try PseudoTerminal()
        let environment = Self.environment.merging(["NO_COLOR": "1"]) { $1 }
        _ = try run(on: terminal, environment: environment) { $0.contains("  5/10 done  1 failed  0:0") }
        let output = try #require(terminal.allOutput())
        #expect(!output.contains("\u{1b}[31m"))
        #expect(!output.contains("\u{1b}[m"))
    }

    @Test(arguments: [["BPFTEST_NO_UI": "1"], ["TERM": "dumb"], ["TERM": ""]])
    func notASingleSequenceIfTheUserOrTheTerminalWantsNone(_ environment: [String: String]) throws {
        let terminal = try PseudoTerminal()
        let merged = Self.environment.merging(environment) { $1 }
        let (results, notes) = try run(on: terminal, environment: merged) { $0.contains("ok 4 - a case\r\n") }
        let output = try #require(terminal.allOutput())
        #expect(!output.contains("\u{1b}"))
        #expect(Set(output.components(separatedBy: "\r\n")) == Set(results + notes + [""]))
    }

    @Test func isThereForATerminalAlone() throws {
        let terminal = try PseudoTerminal()
        let pipe = try Descriptors.pipe()
        let file = try Descriptors.open("/dev/null", O_WRONLY)
        func isWanted(_ errors: CInt, _ results: CInt, _ more: [String: String] = [:]) -> Bool {
            LiveProgress(
                environment: Self.environment.merging(more) { $1 }, errors: errors, results: results) != nil
        }
        #expect(isWanted(terminal.slave, terminal.slave))
        #expect(isWanted(terminal.slave, file.raw), "results go to a file")
        #expect(isWanted(terminal.slave, terminal.slave, ["BPFTEST_NO_UI": "", "NO_COLOR": ""]), "empty is unset")
        #expect(!isWanted(pipe.second.raw, terminal.slave))
        #expect(!isWanted(file.raw, terminal.slave))
        #expect(!isWanted(terminal.slave, pipe.second.raw), "tee or a pager may be at the pipe's other end")
        #expect(LiveProgress(environment: [:], errors: terminal.slave, results: terminal.slave) == nil, "no TERM")
    }

    @Test func theEndErasesTheRegionForGood() throws {
        let terminal = try PseudoTerminal()
        let progress = try #require(
            LiveProgress(environment: Self.environment, errors: terminal.slave, results: terminal.slave))
        progress.planned(3)
        #expect(terminal.waits { $0.contains("  0/3 done  0:0") }, "\(terminal.text)")
        progress.ended()
        progress.ended()
        progress.finished(result("C-1", .passed), worker: 0)
        progress.draw()
        let output = try #require(terminal.allOutput())
        #expect(output.hasSuffix("elapsed\u{1b}[J\r\u{1b}[?7h" + LiveRegion.erasure), "\(output)")
        #expect(!output.contains("1/3"))
        var screen = Screen()
        screen.feed(output)
        #expect(screen.lines == [])
    }

    /// Nothing but the window changes, and yet the lines fit it at once.
    @Test func followsTheWindow() throws {
        let terminal = try PseudoTerminal(columns: 60)
        let progress = try #require(
            LiveProgress(environment: Self.environment, errors: terminal.slave, results: terminal.slave))
        progress.planned(1000)
        progress.started(CaseID(suite: "a.long.suite", id: "a.long.case"), kernel: "6.12", worker: 0)
        #expect(terminal.waits { $0.contains("  1 6.12 a.long.suite/a.long.case\u{1b}[J") }, "\(terminal.text)")
        try terminal.resize(columns: 21)
        #expect(terminal.waits { $0.contains("  1 6.12 a.long.s...\u{1b}[J") }, "\(terminal.text)")
        progress.ended()
    }

    /// ^S: nothing that is written gets through. The run goes on, and the user can end it.
    @Test func aStoppedTerminalDoesNotHoldUpTheRun() throws {
        let terminal = try PseudoTerminal()
        let progress = try #require(
            LiveProgress(environment: Self.environment, errors: terminal.slave, results: terminal.slave))
        progress.planned(2_000_000)
        #expect(terminal.waits { $0.contains("  0/2000000 done") })
        try terminal.stop()
        // From here on something new is due to be drawn every time.
        let clock = ContinuousClock()
        let spent = clock.measure {
            for number in 0..<100_000 {
                progress.started(CaseID(suite: "s", id: "C-\(number)"), kernel: "6.12", worker: number % 8)
                progress.finished(result("C-\(number)", .passed), worker: number % 8)
            }
        }
        #expect(spent < .seconds(10))
        let waited = clock.measure { progress.ended() }
        #expect(waited >= .seconds(1), "the terminal was not stopped after all")
        #expect(waited < .seconds(5))
        try terminal.resume()
        progress.ended()
        var screen = Screen()
        screen.feed(try #require(terminal.allOutput()))
        #expect(screen.lines == [])
    }

    @Test func aTerminalThatIsGoneDoesNotDisturbTheRun() throws {
        let terminal = try PseudoTerminal(reads: false)
        let progress = try #require(
            LiveProgress(environment: Self.environment, errors: terminal.slave, results: terminal.slave))
        terminal.hangUp()
        progress.planned(10)
        progress.finished(result("C-1", .passed), worker: 0)
        progress.draw()
        var isWritten = false
        progress.interleave { isWritten = true }
        #expect(isWritten)
        progress.ended()
    }
}
