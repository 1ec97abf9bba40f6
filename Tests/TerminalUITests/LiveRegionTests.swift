// SPDX-License-Identifier: Apache-2.0
import LinuxIO
import TerminalModel
import Testing

@testable import TerminalUI

/// Drawing and erasing, seen on the screen of a model.
@Suite struct LiveRegionTests {
    @Test func bytesOfADrawing() {
        #expect(LiveRegion.drawing(["a", "b"]) == "\u{1b}[?7l\ra\u{1b}[K\r\nb\u{1b}[J\u{1b}[1A\r\u{1b}[?7h")
        #expect(LiveRegion.drawing(["a"]) == "\u{1b}[?7l\ra\u{1b}[J\r\u{1b}[?7h")
        #expect(LiveRegion.erasure == "\r\u{1b}[J")
    }

    /// In the middle of the screen, and where each new line scrolls it.
    @Test(arguments: [0, 20, 23, 100]) func comesAndGoesWithoutATrace(_ linesBefore: Int) {
        let before = (0..<linesBefore).map { "ok \($0)" }
        var screen = Screen()
        screen.feed(before.map { $0 + "\r\n" }.joined())
        screen.feed(LiveRegion.drawing(["one", "two", "three"]))
        #expect(screen.lines == before + ["one", "two", "three"])
        #expect(screen.cursor == (linesBefore, 0))
        screen.feed(LiveRegion.drawing(["ONE", "TWO"]))
        #expect(screen.lines == before + ["ONE", "TWO"])
        screen.feed(LiveRegion.drawing(["1", "2", "3", "4", "5"]))
        #expect(screen.lines == before + ["1", "2", "3", "4", "5"])
        screen.feed(LiveRegion.erasure + "ok last\r\n")
        #expect(screen.lines == before + ["ok last"])
        #expect(screen.cursor == (linesBefore + 1, 0))
        #expect(screen.unknown == [])
    }

    /// A terminal that breaks lines anew: what was drawn has another height then.
    @Test(arguments: [79, 40, 11, 160]) func survivesAWindowOfAnotherWidth(_ columns: Int) {
        var screen = Screen()
        screen.feed("ok 1\r\nok 2\r\n")
        screen.feed(LiveRegion.drawing([String(repeating: "x", count: 79), String(repeating: "y", count: 60)]))
        screen.resize(columns: columns)
        screen.feed(LiveRegion.drawing(["new"]))
        #expect(screen.lines == ["ok 1", "ok 2", "new"])
        screen.feed(LiveRegion.erasure)
        #expect(screen.lines == ["ok 1", "ok 2"])
    }

    /// Should a terminal take a character for wider than we do, the line is cut and not wrapped.
    @Test func aLineThatIsTooWideDoesNotWrap() {
        var screen = Screen(columns: 10)
        screen.feed("ok\r\n" + LiveRegion.drawing(["0123456789abc", "next"]))
        #expect(screen.wraps == 0)
        #expect(screen.lines[2] == "next")
        screen.feed(LiveRegion.erasure + String(repeating: "y", count: 25))
        #expect(screen.wraps == 2, "other output wraps as ever")
    }

    // MARK: On a terminal

    private func shown(_ use: (inout LiveRegion) -> Void) throws -> String {
        let terminal = try PseudoTerminal()
        var region = LiveRegion(on: TerminalDevice(descriptor: terminal.slave))
        use(&region)
        return try #require(terminal.allOutput())
    }

    @Test func isDrawnAgainOnlyIfSomethingIsDifferent() throws {
        let output = try shown { region in
            region.show(["a"], in: WindowSize())
            region.show(["a"], in: WindowSize())
            region.show(["b"], in: WindowSize())
            region.show(["b"], in: WindowSize(columns: 70))
            region.close()
            region.show(["c"], in: WindowSize())
            region.close()
        }
        let drawing = LiveRegion.drawing
        #expect(output == drawing(["a"]) + drawing(["b"]) + drawing(["b"]) + LiveRegion.erasure)
    }

    @Test func otherOutputFindsItsPlaceEmpty() throws {
        let terminal = try PseudoTerminal()
        let device = TerminalDevice(descriptor: terminal.slave)
        var region = LiveRegion(on: device)
        region.interleave(endsLine: true) { try? device.write("early\n") }
        region.show(["a"], in: WindowSize())
        region.interleave(endsLine: true) { try? device.write("ok 1\n") }
        region.close()
        #expect(
            try #require(terminal.allOutput()) == "early\r\n" + LiveRegion.drawing(["a"]) + LiveRegion.erasure
                + "ok 1\r\n" + LiveRegion.drawing(["a"]) + LiveRegion.erasure)
    }

    @Test func staysAwayFromALineThatIsNotComplete() throws {
        let terminal = try PseudoTerminal()
        let device = TerminalDevice(descriptor: terminal.slave)
        var region = LiveRegion(on: device)
        region.show(["a"], in: WindowSize())
        region.interleave(endsLine: false) { try? device.write("ok") }
        region.show(["b"], in: WindowSize())
        region.interleave(endsLine: true) { try? device.write(" 1\n") }
        region.show(["c"], in: WindowSize())
        region.close()
        #expect(
            try #require(terminal.allOutput()) == LiveRegion.drawing(["a"]) + LiveRegion.erasure + "ok 1\r\n"
                + LiveRegion.drawing(["c"]) + LiveRegion.erasure)
    }

    /// Thousands of lines at once are not to become thousands of drawings.
    @Test func aFloodOfLinesDoesNotCarryItAlong() throws {
        let terminal = try PseudoTerminal()
        let device = TerminalDevice(descriptor: terminal.slave)
        var region = LiveRegion(on: device)
        region.show(["a"], in: WindowSize())
        for number in 0..<1000 { region.interleave(endsLine: true) { try? device.write("\(number)\n") } }
        region.show(["a"], in: WindowSize())
        region.close()
        let output = try #require(terminal.allOutput())
        #expect(output.split(separator: "a\u{1b}[J", omittingEmptySubsequences: false).count - 1 == 6)
        var screen = Screen()
        screen.feed(output)
        #expect(screen.lines == (0..<1000).map { "\($0)" })
    }

    @Test func anErrorOfTheOutputComesOutAndNothingIsLeft() throws {
        let terminal = try PseudoTerminal()
        var region = LiveRegion(on: TerminalDevice(descriptor: terminal.slave))
        region.show(["a"], in: WindowSize())
        #expect(throws: CancellationError.self) {
            try region.interleave(endsLine: true) { throw CancellationError() }
        }
        region.close()
        #expect(try #require(terminal.allOutput()) == LiveRegion.drawing(["a"]) + LiveRegion.erasure)
    }
}
