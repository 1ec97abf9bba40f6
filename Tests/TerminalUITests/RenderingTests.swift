// SPDX-License-Identifier: Apache-2.0
import Harness
import Testing

@testable import TerminalUI

extension ProgressBoard {
    /// A case's result, on behalf of a test.
    mutating func finished(
        _ id: String, _ outcome: Outcome, worker: Int, at now: Instant, kernel: String = "6.12"
    ) {
        finished(
            CaseResult(kernel: kernel, name: CaseID(suite: "s", id: id), title: "", outcome: outcome), worker: worker,
            at: now)
    }
}

@Suite struct DisplayWidthTests {
    @Test(arguments: [("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("日本", 4), ("가", 2), ("🧪", 2), ("–…", 2)])
    func columns(_ text: String, _ columns: Int) {
        #expect(DisplayWidth.of(text) == columns)
    }

    @Test(arguments: [
        ("0123456789", 10, "0123456789"), ("0123456789", 9, "012345..."), ("0123456789", 6, "012345"),
        ("日本語日本語", 12, "日本語日本語"), ("日本語日本語", 11, "日本語日..."), ("日本語日本語", 10, "日本語..."),
        ("日本", 1, ""), ("abc", 0, ""),
    ])
    func isCutToFit(_ text: String, _ columns: Int, _ expected: String) {
        #expect(DisplayWidth.fitted(text, to: columns) == expected)
    }

    @Test(arguments: [
        ("a\u{1b}[2Jb", "a?[2Jb"), ("a\nb\rc\td", "a?b?c?d"), ("\u{9b}31m", "?31m"), ("\u{202e}abc", "?abc"),
        ("e\u{301}", "e\u{301}"), ("e" + String(repeating: "\u{301}", count: 6), "e\u{301}\u{301}\u{301}\u{301}??"),
    ])
    func namesCannotOrderTheTerminalAbout(_ name: String, _ shown: String) {
        #expect(Array(DisplayWidth.harmless(name).unicodeScalars) == Array(shown.unicodeScalars))
    }
}

@Suite struct RenderingTests {
    private let start = ContinuousClock.now

    private func after(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    /// 5 of 20 cases done after 12 s: 1 failed, 2 skipped; three workers.
    private func board() -> ProgressBoard {
        var board = ProgressBoard()
        board.planned(20, at: start)
        let outcomes: [Outcome] = [
            .passed, .passed, .skipped(reason: "x"), .failed(.test), .skipped(reason: "y"),
        ]
        for (number, outcome) in outcomes.enumerated() {
            board.finished("C-\(number)", outcome, worker: 0, at: after(Double(number) * 3))
        }
        board.started(CaseID(suite: "mprog.tcx", id: "M-049.ingress"), kernel: "6.12.117", worker: 0, at: after(11.5))
        board.started(CaseID(suite: "kfuncs", id: "K-001"), kernel: "6.1.0", worker: 1, at: after(9))
        board.idle(worker: 11, doing: "booting 5.10", at: after(-50))
        return board
    }

    @Test func aLineForAllAndOneForEachWorker() {
        let lines = board().lines(at: after(12), in: WindowSize(columns: 100, rows: 24), colour: false)
        #expect(
            lines == [
                "  5/20 done  1 failed  2 skipped  0:12 elapsed  ~0:36 left",
                "   1 6.12.117 mprog.tcx/M-049.ingress",
                "   2 6.1.0 kfuncs/K-001 3 s",
                "  12 booting 5.10 1:02",
            ])
    }

    @Test func onlyFailuresAreRedAndOnlyWithColour() {
        let lines = board().lines(at: after(12), in: WindowSize(columns: 100, rows: 24), colour: true)
        #expect(lines[0] == "  5/20 done  \u{1b}[31m1 failed\u{1b}[m  2 skipped  0:12 elapsed  ~0:36 left")
        #expect(!lines[1...].joined().contains("\u{1b}"))
    }

    @Test func nothingIsSaidOfWhatThereIsNotYet() {
        var board = ProgressBoard()
        #expect(board.lines(at: start, in: WindowSize(), colour: true) == [])
        board.planned(3, at: start)
        #expect(board.lines(at: after(0.2), in: WindowSize(), colour: true) == ["  0/3 done  0:00 elapsed"])
        board.idle(worker: 0, doing: "booting", at: after(0.3))
        board.idle(worker: 0, doing: nil, at: after(3700))
        #expect(board.lines(at: after(3723), in: WindowSize(), colour: true) == ["  0/3 done  1:02:03 elapsed"])
    }

    /// `--until-failure`: there are more results than were planned.
    @Test func aRunWithoutAnEndHasNoTotal() {
        var board = ProgressBoard()
        board.planned(2, at: start)
        for number in 1...3 { board.finished("C", .passed, worker: 0, at: after(Double(number) * 5)) }
        #expect(board.lines(at: after(15), in: WindowSize(), colour: true) == ["  3 done  0:15 elapsed"])
    }

    /// The line stays for a moment, as the next case usually comes at once.
    @Test func aWorkerWhoseCaseHasEndedGoesUnlessAnotherBegins() {
        var board = board()
        board.idle(worker: 11, doing: nil, at: after(12))
        board.finished("K-001", .passed, worker: 1, at: after(12.5))
        func lines(_ seconds: Double) -> [String] {
            Array(board.lines(at: after(seconds), in: WindowSize(), colour: false).dropFirst())
        }
        #expect(lines(12.7) == ["  1 6.12.117 mprog.tcx/M-049.ingress 1 s", "  2 6.1.0 kfuncs/K-001 3 s"])
        #expect(lines(12.8) == ["  1 6.12.117 mprog.tcx/M-049.ingress 1 s"])
        board.started(CaseID(suite: "kfuncs", id: "K-002"), kernel: "6.1.0", worker: 1, at: after(12.6))
        #expect(lines(12.8) == ["  1 6.12.117 mprog.tcx/M-049.ingress 1 s", "  2 6.1.0 kfuncs/K-002"])
    }

    @Test func narrowWindowsLoseWhatMattersLeast() {
        func first(_ columns: Int) -> String {
            board().lines(at: after(12), in: WindowSize(columns: columns, rows: 24), colour: false)[0]
        }
        #expect(first(59) == "  5/20 done  1 failed  2 skipped  0:12 elapsed  ~0:36 left")
        #expect(first(58) == "  5/20 done  1 failed  0:12 elapsed  ~0:36 left")
        #expect(first(47) == "  5/20 done  1 failed  ~0:36 left")
        #expect(first(33) == "  5/20 done  1 failed")
        #expect(first(21) == "  5/20 done")
        #expect(first(11) == "  5/20 ...")
        #expect(board().lines(at: after(12), in: WindowSize(columns: 1, rows: 24), colour: false) == [])
    }

    /// Every line of every window leaves its last column free.
    @Test func noLineIsAsWideAsItsWindow() {
        var board = board()
        board.started(CaseID(suite: "日本語日本語日本語", id: "é🧪🧪🧪"), kernel: "6.1", worker: 2, at: after(1))
        for columns in 2...120 {
            let lines = board.lines(at: after(12), in: WindowSize(columns: columns, rows: 60), colour: false)
            #expect(lines.count == 5)
            #expect(lines.allSatisfy { DisplayWidth.of($0) < columns }, "\(columns) columns: \(lines)")
        }
    }

    @Test func aLongNameIsCutAndTheTimeStays() {
        let lines = board().lines(at: after(12), in: WindowSize(columns: 25, rows: 24), colour: false)
        #expect(lines[1] == "   1 6.12.117 mprog.t...")
        #expect(lines[2] == "   2 6.1.0 kfuncs... 3 s")
    }

    @Test func atMostAThirdOfTheWindow() {
        var board = ProgressBoard()
        board.planned(50, at: start)
        for worker in 0..<7 { board.idle(worker: worker, doing: "restoring", at: start) }
        func lines(_ rows: Int) -> [String] {
            Array(board.lines(at: start, in: WindowSize(columns: 80, rows: rows), colour: false).dropFirst())
        }
        #expect(lines(24) == (1...7).map { "  \($0) restoring" })
        #expect(lines(23) == (1...5).map { "  \($0) restoring" } + ["  +2 more"])
        #expect(lines(9) == ["  1 restoring", "  +6 more"])
        #expect(lines(6) == ["  +7 more"])
        #expect(lines(5) == [])
        #expect(lines(1) == [])
    }

    // MARK: Time left

    @Test func betweenResultsTheTimeLeftCountsDown() {
        let board = board()
        #expect(board.timeLeft(at: after(12)) == .seconds(36))
        #expect(board.timeLeft(at: after(22)) == .seconds(26))
        #expect(board.timeLeft(at: after(49)) == nil, "later than promised: no new promise without a result")
    }

    @Test func thereIsNoGuessAtTheStartAndAtTheEnd() {
        var board = ProgressBoard()
        board.planned(2, at: start)
        #expect(board.timeLeft(at: after(100)) == nil)
        board.finished("a", .passed, worker: 0, at: after(1.9))
        #expect(board.timeLeft(at: after(1.9)) == nil, "two seconds tell little")
        board.finished("b", .passed, worker: 0, at: after(4))
        #expect(board.timeLeft(at: after(4)) == nil, "all is done")
    }

    @Test func expectationsComeFromRecordedTimes() throws {
        let names = (1...4).map { CaseID(suite: "s", id: "C-\($0)") }
        let times: [CaseID: Duration] = [names[0]: .seconds(9), names[1]: .seconds(1), names[2]: .zero]
        let expectation = try #require(
            Expectation(kernels: ["6.1", "6.12"], cases: names, repeats: 3, overhead: .seconds(1)) { kernel, name in
                kernel == "6.12" ? times[name] : nil
            })
        func of(_ kernel: String, _ index: Int) -> Double { expectation.of(kernel, names[index]) }
        #expect((0...2).map { of("6.12", $0) } == [10, 2, 1])
        // Unknown ones are taken for as long as the others are on average.
        let mean = 13.0 / 3
        #expect(abs(of("6.12", 3) - mean) < 1e-9)
        #expect(abs(of("6.1", 0) - mean) < 1e-9)
        #expect(abs(expectation.total - 3 * (13 + 5 * mean)) < 1e-6)
        #expect(Expectation(kernels: ["6.1"], cases: names) { _, _ in nil } == nil, "nothing is known")
    }

    /// One long case and nine short ones: with the short ones done, most of the time is still to come.
    @Test func recordedTimesCountInsteadOfCases() throws {
        var board = ProgressBoard()
        board.expectation = Expectation(total: 90 + 9) { kernel, name in
            kernel == "6.12" && name.id == "long" ? 90 : 1
        }
        board.planned(10, at: start)
        for number in 1...9 { board.finished("short-\(number)", .passed, worker: 0, at: after(Double(number))) }
        let left = try #require(board.timeLeft(at: after(9)))
        #expect(abs(left / .seconds(90) - 1) < 0.001)
    }
}
