// SPDX-License-Identifier: Apache-2.0
import GuestProtocol
import SystemPackage
import TAP
import Testing

@testable import Harness
@testable import VMRunner

@Suite struct ProgramOutputTests {
    private func read(
        _ text: String, _ output: ProgramCall.Output = .tapOrStatus, status: UInt8 = 0,
        found: (inout ProgramPoint) -> Void = { _ in }
    ) throws -> (whole: ProgramPoint, points: [ProgramPoint]) {
        let judge = Judge(version: try #require(KernelVersion("6.12")), config: nil)
        var reading = ProgramReading(output: output, judge: judge)
        // In pieces, as they come.
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: 7) {
            reading.append(.output, bytes[start..<min(start + 7, bytes.count)]) { point, _ in found(&point) }
        }
        let points = reading.finish(found: found)
        var whole = ProgramPoint(id: "program", title: "", outcome: .passed)
        reading.judge(JobEnd(id: 1, cause: .exited(status: status), outputBytes: 0, errorBytes: 0), &whole, points)
        return (whole, points)
    }

    /// The place of a point is the end of its line, however the bytes come.
    @Test(arguments: [1, 3, 1000])
    func pointsAreToldWithTheirPlaceInTheOutput(_ piece: Int) throws {
        let judge = Judge(version: try #require(KernelVersion("6.12")), config: nil)
        var reading = ProgramReading(output: .tapOrStatus, judge: judge)
        let bytes = Array("1..2\nok 1 a\n# text\nok 2 b\n".utf8)
        var places: [UInt64] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            reading.append(.output, bytes[start..<min(start + piece, bytes.count)]) { _, end in places.append(end) }
        }
        #expect(places == [12, 26])
    }

    @Test func nestedTAPBecomesNestedNames() throws {
        let points = try read(
            """
            TAP version 14
            1..3
            ok 1 - first thing
            # Subtest: group
                1..2
                ok 1 - one
                # it went wrong
                not ok 2 - two
                  ---
                  got: 3
                  ...
            not ok 2 - group
            ok 3 - last # SKIP no such device
            """, status: 1
        ).points
        #expect(points.map(\.id) == ["first_thing", "group/one", "group/two", "last"])
        #expect(points.map(\.title) == ["first thing", "", "", ""])
        #expect(
            points.map(\.outcome) == [.passed, .passed, .failed(.test), .skipped(reason: "no such device")])
        #expect(points[2].diagnostics["log"] == "it went wrong\n")
        #expect(points[2].diagnostics["yaml"] == "got: 3")
    }

    /// KTAP of kselftest and KUnit: the name of a group comes behind it, TAP 13 has no nesting of its own.
    @Test func ktapIsReadToo() throws {
        let (whole, points) = try read(
            """
            KTAP version 1
            1..2
              KTAP version 1
              # Subtest: outer
              1..1
                KTAP version 1
                1..2
                ok 1 a
                ok 2 a
              ok 1 inner
            ok 1 outer
            not ok 2 known # TODO not yet
            """)
        #expect(points.map(\.id) == ["outer/inner/a", "outer/inner/a~2", "known"])
        #expect(points[2].outcome == .skipped(reason: "known to fail (TODO)"))
        #expect(whole.outcome == .passed)
        #expect(try read("TAP version 13\n1..1\nok 1 x\n").points.map(\.id) == ["x"])
        // KUnit indents by four, and a block by two more.
        let unit = try read(
            """
            KTAP version 1
            1..1
                KTAP version 1
                # Subtest: outer
                1..1
                    KTAP version 1
                    1..1
                    not ok 1 a
                      ---
                      ok: words
                      ...
                not ok 1 inner
            not ok 1 outer
            """, status: 1
        ).points
        #expect(unit.map(\.id) == ["outer/inner/a"] && unit[0].diagnostics["yaml"] == "ok: words")
    }

    /// What was announced and did not come is a failure, and so is a group that fails without a reason in it.
    @Test func missingResultsAreFailures() throws {
        let short = try read("1..3\nok 1 a\n").points
        #expect(short.map(\.id) == ["a", "plan"])
        #expect(short[1].diagnostics["observed"] == "1")
        let group = try read("1..1\n    ok 1 - a\nnot ok 1 - group\n").points
        #expect(group.map(\.id) == ["group/a", "group"] && group[1].outcome == .failed(.test))
        let open = try read("1..1\n# Subtest: group\n    1..2\n    ok 1 - a\n").points
        #expect(open.map(\.id) == ["group/a", "group", "plan"])
        let stopped = try read("1..2\nok 1 a\nBail out! no memory\n").points
        #expect(stopped.last?.id == "bail-out")
        #expect(stopped.last?.diagnostics["message"] == "the program gave up: no memory")
    }

    @Test func namesAreMadeHarmless() throws {
        let points = try read("1..3\nok 1 a  b\t\u{1}c\nok 2 a  b\t\u{1}c\nok\n").points
        #expect(points.map(\.id) == ["a_b_c", "a_b_c~2", "3"])
        let long = try read("1..1\nok 1 \(String(repeating: "x", count: 5000))\n").points
        #expect(long[0].id.count == 200)
    }

    @Test func aFloodOfResultsIsBounded() throws {
        let flood = "1..1\n" + (1...ProgramTAP.pointLimit + 5).map { "ok \($0) p\n" }.joined()
        let points = try read(flood).points
        #expect(points.count <= ProgramTAP.pointLimit + 2)
        #expect(points.contains { $0.id == "too-many-results" && $0.outcome.isFailure })
    }

    /// Words that only look like TAP make no results: the exit status is the result.
    @Test func withoutAPlanTheStatusDecides() throws {
        #expect(try read("ok that works\n").points.isEmpty)
        #expect(try read("ok that works\n").whole.outcome == .passed)
        let failed = try read("hello\n", status: 3).whole
        #expect(failed.outcome == .failed(.test) && failed.diagnostics["observed"] == "exit status 3")
        #expect(try read("no veth here\n", status: 4).whole.outcome == .skipped(reason: "no veth here"))
        #expect(try read("1..0 # SKIP no root\n").whole.outcome == .skipped(reason: "no root"))
        // A failing status that no result explains is a failure of its own.
        #expect(try read("1..1\nok 1 a\n", status: 1).whole.outcome == .failed(.test))
        #expect(try read("1..1\nnot ok 1 a\n", status: 1).whole.outcome == .passed)
        #expect(try read("1..1\nok 1 a # SKIP x\n", status: 4).whole.outcome == .passed)
    }

    @Test func theEndOfLongOutputIsKept() {
        var tail = OutputTail()
        #expect(tail.text == nil)
        for number in 0..<5000 { tail.append(Array("line \(number)\n".utf8)[...]) }
        #expect(tail.text?.hasPrefix("…") == true && tail.text?.hasSuffix("line 4999\n") == true)
        #expect((tail.text?.utf8.count ?? 0) <= 4096 + 3)
    }

    // MARK: exec

    @Test func exitCodesAreThoseThatOthersUse() {
        let codes: [(Execution.End, Int32)] = [
            (.exited(0), 0), (.exited(7), 7), (.signalled(11), 139), (.panicked, 255), (.timedOut, 124),
            (.lost("x"), 128), (.unread, 141), (.notStarted(errno: 2, reason: ""), 127),
            (.notStarted(errno: 13, reason: ""), 126),
        ]
        for (end, code) in codes { #expect(end.exitCode == code) }
    }
}
