// SPDX-License-Identifier: Apache-2.0
import TAP
import Testing

@Suite struct TAPParserTests {
    private func events(_ text: String) -> [TAPEvent] {
        var parser = TAPParser()
        return parser.append(text.utf8) + parser.finish()
    }

    static let agentOutput = """
        KTAP version 1
        1..3
        # bpftest: case M-001
        ok 1 M-001 a title
        # bpftest: case M-002
        # a word for the log
        # ---
        # expected: "EBUSY (16)"
        # verifier_log: "line 1\\nline \\"2\\""
        # ...
        not ok 2 M-002 another
        # bpftest: case M-003
        ok 3 M-003 third # SKIP tcx is absent

        """

    static let agentEvents: [TAPEvent] = [
        .version("KTAP version 1"), .plan(depth: 0, count: 3, skip: nil),
        .caseStarted("M-001"), .point(depth: 0, TestPoint(ok: true, number: 1, description: "M-001 a title")),
        .caseStarted("M-002"), .comment(depth: 0, "a word for the log"),
        .diagnosticsBefore(
            depth: 0,
            Diagnostics([.init("expected", "EBUSY (16)"), .init("verifier_log", "line 1\nline \"2\"")])),
        .point(depth: 0, TestPoint(ok: false, number: 2, description: "M-002 another")),
        .caseStarted("M-003"),
        .point(
            depth: 0,
            TestPoint(ok: true, number: 3, description: "M-003 third", directive: .skip(reason: "tcx is absent"))),
    ]

    @Test func readsAnAgent() {
        #expect(events(Self.agentOutput) == Self.agentEvents)
    }

    @Test(arguments: [1, 2, 7, 64]) func piecesMakeNoDifference(_ size: Int) {
        let bytes = Array(Self.agentOutput.utf8)
        var parser = TAPParser()
        var found: [TAPEvent] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            found += parser.append(bytes[start..<min(bytes.count, start + size)])
        }
        #expect(found + parser.finish() == Self.agentEvents)
    }

    /// Cut after any byte it still reads, and never claims a result that was not there.
    @Test func anyTruncationIsRead() {
        let bytes = Array(Self.agentOutput.utf8)
        for length in bytes.indices {
            var parser = TAPParser()
            let found = parser.append(bytes[..<length]) + parser.finish()
            let failures = found.filter { if case .point(_, let point) = $0 { !point.ok } else { false } }
            #expect(failures.count <= 1)
        }
    }

    @Test func readsNestedTAP14WithYAML() {
        let text = """
            TAP version 14
            1..1
            # Subtest: inner
                1..2
                ok 1 - first
                not ok 2 - second # TODO not yet
                  ---
                  message: "x"
                  ...
            not ok 1 - inner
            Bail out! no more
            """
        #expect(
            events(text) == [
                .version("TAP version 14"), .plan(depth: 0, count: 1, skip: nil), .subtest(depth: 0, name: "inner"),
                .plan(depth: 1, count: 2, skip: nil),
                .point(depth: 1, TestPoint(ok: true, number: 1, description: "first")),
                .point(
                    depth: 1,
                    TestPoint(ok: false, number: 2, description: "second", directive: .todo(reason: "not yet"))),
                .yamlAfter(depth: 1, ["message: \"x\""]),
                .point(depth: 0, TestPoint(ok: false, number: 1, description: "inner")), .bailOut("no more"),
            ])
    }

    @Test func keepsWhatIsNoTAP() {
        #expect(events("okay\nnot okay\nhello\n") == [.other("okay"), .other("not okay"), .other("hello")])
        #expect(events("1..0 # SKIP no hardware") == [.plan(depth: 0, count: 0, skip: "no hardware")])
        #expect(events("1..x") == [.other("1..x")])
        #expect(events("ok\r\n") == [.point(depth: 0, TestPoint(ok: true, number: nil, description: ""))])
    }

    @Test func bytesThatAreNoTextAreKept() {
        var parser = TAPParser()
        let found = parser.append([0xff, 0x00, 0x0a])
        #expect(found == [.other("\u{fffd}\0")])
    }

    @Test func anEndlessLineIsCut() {
        var limits = TAPParser.Limits()
        limits.line = 10
        var parser = TAPParser(limits: limits)
        #expect(parser.append(Array(repeating: 0x78, count: 1000)).isEmpty)
        #expect(
            parser.append([0x0a])
                == [.truncated("a line of 1000 bytes was cut after 10"), .other("xxxxxxxxxx")])
        #expect(parser.append("ok 1\n".utf8) == [.point(depth: 0, TestPoint(ok: true, number: 1, description: ""))])
    }

    @Test func anEndlessBlockIsCut() {
        var limits = TAPParser.Limits()
        limits.block = 20
        var parser = TAPParser(limits: limits)
        var found = parser.append("# ---\n".utf8)
        for _ in 0..<100 { found += parser.append("# key: \"0123456789\"\n".utf8) }
        found += parser.append("# ...\nok 1 x\n".utf8)
        #expect(found.first == .truncated("a diagnostic block was cut"))
        #expect(found.count == 3, "one remark, one short block, one point")
        #expect(found.last == .point(depth: 0, TestPoint(ok: true, number: 1, description: "x")))
    }

    /// Linear: with a copy for each line this takes minutes.
    @Test(.timeLimit(.minutes(1))) func aBlockOfManyLinesIsReadInLinearTime() {
        let found = events("# ---\n" + String(repeating: "# x: y\n", count: 200_000) + "# ...\nok 1 after\n")
        #expect(found.last == .point(depth: 0, TestPoint(ok: true, number: 1, description: "after")))
    }

    /// An agent that dies inside a block: the result line that somebody else prints then is not swallowed.
    @Test func aResultEndsAnOpenBlock() {
        let found = events("# ---\n# message: \"m\"\nnot ok 1 x\n")
        #expect(
            found == [
                .diagnosticsBefore(depth: 0, Diagnostics([.init("message", "m")])),
                .point(depth: 0, TestPoint(ok: false, number: 1, description: "x")),
            ])
    }
}

@Suite struct TestPointTests {
    @Test func escapesSurvive() {
        let point = TestPoint(ok: false, number: 3, description: "a # b \\ c\nd", directive: .skip(reason: "why"))
        let line = point.line(dash: true)
        #expect(line == "not ok 3 - a \\# b \\\\ c d # SKIP why")
        var parser = TAPParser()
        let read = parser.append((line + "\n").utf8)
        let expected = TestPoint(ok: false, number: 3, description: "a # b \\ c d", directive: .skip(reason: "why"))
        #expect(read == [.point(depth: 0, expected)])
    }

    @Test(arguments: ["ok 1 x # SKIP why", "ok 1 x # skipped: why", "ok 1 x #SKIP why"])
    func everySpellingOfASkipIsRead(_ line: String) {
        var parser = TAPParser()
        let expected = TestPoint(ok: true, number: 1, description: "x", directive: .skip(reason: "why"))
        #expect(parser.append((line + "\n").utf8) == [.point(depth: 0, expected)])
    }
}

@Suite struct JSONTextTests {
    @Test(arguments: ["", "a", "\"\\/\n\r\t\u{1}\u{7f}ü😀\u{2028}", "# --- not a block"])
    func quotedTextComesBack(_ text: String) {
        #expect(JSONText.unquote(JSONText.quote(text)) == text)
        #expect(!JSONText.quote(text).contains("\n"))
    }

    @Test func readsForeignEscapes() {
        #expect(JSONText.unquote(#""\u00e4\ud83d\ude00\b\f\/""#) == "ä😀\u{8}\u{c}/")
    }

    @Test(arguments: ["", "\"", "a", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud83d\"", "\"a\"b\"", "\"\\\""])
    func refusesWhatIsNoString(_ text: String) {
        #expect(JSONText.unquote(text) == nil)
    }
}

@Suite struct TAPWriterTests {
    private func written(_ dialect: TAPDialect, _ body: (inout TAPWriter) throws -> Void) throws -> String {
        var text = ""
        try withoutActuallyEscaping({ text += $0 }) { write in
            var writer = TAPWriter(dialect: dialect, write: write)
            try body(&writer)
        }
        return text
    }

    @Test func writesNestedTAP14() throws {
        let text = try written(.tap) { writer in
            try writer.begin(planned: 1)
            try writer.beginSubtest("kernel", planned: 1)
            try writer.comment("first\nsecond")
            try writer.beginSubtest("suite", planned: 2)
            try writer.point(ok: true, "a")
            try writer.point(ok: false, "b", diagnostics: Diagnostics([.init("log", "x\n\n  y"), .init("at", "f:1")]))
            try writer.endSubtest("suite", ok: false)
            try writer.endSubtest("kernel", ok: false)
        }
        #expect(
            text == """
                TAP version 14
                1..1
                    # Subtest: kernel
                    1..1
                    # first
                    # second
                        # Subtest: suite
                        1..2
                        ok 1 - a
                        not ok 2 - b
                          ---
                          log: |2-
                            x

                              y
                          at: "f:1"
                          ...
                    not ok 1 - suite
                not ok 1 - kernel

                """)
    }

    @Test func writesKTAP() throws {
        let text = try written(.ktap) { writer in
            try writer.begin(planned: 1)
            try writer.beginSubtest("kernel", planned: 1)
            try writer.point(ok: false, "b", diagnostics: Diagnostics([.init("at", "f:1")]))
            try writer.endSubtest("kernel", ok: false, directive: .skip(reason: "all"))
        }
        #expect(
            text == """
                KTAP version 1
                1..1
                  KTAP version 1
                  # Subtest: kernel
                  1..1
                  # at: "f:1"
                  not ok 1 b
                not ok 1 kernel # SKIP all

                """)
    }

    @Test func whatCannotBeWrittenIsAnError() {
        struct Full: Error {}
        var writer = TAPWriter(dialect: .tap) { _ in throw Full() }
        #expect(throws: Full.self) { try writer.begin(planned: 1) }
    }

    /// What the agent's writer prints, the parser reads.
    @Test func agentOutputIsReadBack() {
        nonisolated(unsafe) var text = ""
        var output = AgentOutput { unsafe text += $0 }
        output.begin(count: 1)
        output.caseStarted("X-1")
        output.result(ok: false, id: "X-1", title: "t", diagnostics: Diagnostics([.init("message", "a\n\"b\"")]))
        var parser = TAPParser()
        #expect(
            unsafe parser.append(text.utf8) == [
                .version("KTAP version 1"), .plan(depth: 0, count: 1, skip: nil), .caseStarted("X-1"),
                .diagnosticsBefore(depth: 0, Diagnostics([.init("message", "a\n\"b\"")])),
                .point(depth: 0, TestPoint(ok: false, number: 1, description: "X-1 t")),
            ])
    }
}
