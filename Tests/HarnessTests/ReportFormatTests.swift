// SPDX-License-Identifier: Apache-2.0
import Foundation
import FoundationXML
import TAP
import Testing

@testable import Harness

/// The forms, with hostile text in everything that a guest may say.
@Suite struct ReportFormatTests {
    /// What a guest may say anywhere.
    private static func hostileResults() -> RunResults {
        var results = ReportFixture.results()
        let hostile = ReportFixture.hostile
        results.kernels[0].identity = KernelIdentity(name: hostile, spec: hostile, version: hostile, origin: hostile)
        results.kernels[0].comments = [hostile]
        results.kernels[0].suites[0].name = hostile
        results.comments = [hostile]
        results.incomplete = [hostile]
        for outcome in [Outcome.passed, .failed(.test), .skipped(reason: hostile)] {
            results.kernels[0].suites[0].results.append(
                ReportFixture.result(
                    hostile, hostile, hostile, outcome, known: hostile, [(hostile, hostile), ("message", hostile)],
                    title: hostile))
        }
        results.bailedOut = hostile
        return results
    }

    // MARK: JUnit

    private final class Elements: NSObject, XMLParserDelegate {
        var all: [(name: String, attributes: [String: String])] = []
        var texts: [String] = []

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            all.append((name, attributes))
        }

        func parser(_ parser: XMLParser, foundCharacters string: String) { texts.append(string) }
    }

    private static func parse(_ results: RunResults) throws -> Elements {
        let parser = XMLParser(data: Data(try ReportFixture.text(results, .junit).utf8))
        let elements = Elements()
        parser.delegate = elements
        #expect(parser.parse(), "\(String(describing: parser.parserError))")
        return elements
    }

    @Test func junitCountsWhatItHolds() throws {
        let elements = try Self.parse(ReportFixture.results())
        let suites = elements.all.filter { $0.name == "testsuite" }
        #expect(suites.map { $0.attributes["name"] } == ["first", "second", "first", "second"])
        #expect(suites.map { $0.attributes["tests"] } == ["3", "4", "3", "4"])
        #expect(suites.map { $0.attributes["failures"] } == ["1", "1", "1", "1"])
        #expect(suites.map { $0.attributes["skipped"] } == ["1", "1", "1", "1"])
        #expect(suites[0].attributes["time"] == "1.524")
        #expect(suites[0].attributes["timestamp"] == "2023-11-14T22:13:20")
        #expect(elements.all.filter { $0.name == "testcase" }.count == 14)
        let failures = elements.all.filter { $0.name == "failure" }
        #expect(failures.map { $0.attributes["type"] } == ["test", "kernel broke", "test", "kernel broke"])
        #expect(failures[0].attributes["message"] == "counts differ")
        #expect(elements.texts.joined().contains("verifier_log:\n0: R1=ctx()\n1: (95) exit\n"))
        #expect(elements.all.contains { $0.attributes["message"] == "known to fail: issue 7 until 7.3" })
    }

    @Test func junitHasNoCharacterThatXMLForbids() throws {
        let text = try ReportFixture.text(Self.hostileResults(), .junit)
        #expect(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0xfffe || $0 == "\n" })
        let elements = try Self.parse(Self.hostileResults())
        // Seen, not dropped.
        #expect(elements.all.contains { $0.attributes["name"]?.contains("\u{241B}[31m\u{2400}⟨U+FFFE⟩") == true })
        #expect(!elements.all.contains { $0.name == "script" })
    }

    @Test func junitOfACutSuiteFails() throws {
        var results = ReportFixture.results()
        results.kernels[1].suites[1].announced = 9
        results.bailedOut = "QEMU is gone"
        let elements = try Self.parse(results)
        let suite = elements.all.filter { $0.name == "testsuite" }[3]
        #expect(suite.attributes["tests"] == "5")
        #expect(suite.attributes["failures"] == "2")
        #expect(elements.all.contains { $0.attributes["message"] == "The run bailed out: QEMU is gone" })
        #expect(elements.all.contains { $0.attributes["name"] == "5 cases without a result" })
    }

    // MARK: JSON

    @Test func jsonHoldsEverything() throws {
        let results = ReportFixture.results()
        let data = Data(try ReportFixture.text(results, .json).utf8)
        let document = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(document["format"] as? String == "bpftest-results")
        #expect(document["version"] as? Int == 1)
        #expect(document["complete"] as? Bool == true)
        #expect(document["started"] as? String == "2023-11-14T22:13:20Z")
        #expect(document["totals"] as? [String: Int] == ["passed": 6, "failed": 4, "known_failed": 2, "skipped": 2])
        #expect(document["exit_code"] as? Int == 1)
        let kernels = try #require(document["kernels"] as? [[String: Any]])
        let suites = try #require(kernels[1]["suites"] as? [[String: Any]])
        let cases = try #require(suites[0]["cases"] as? [[String: Any]])
        #expect(
            cases[2]["diagnostics"] as? [[String]]
                == results.kernels[1].suites[0].results[2].diagnostics.fields.map { [$0.key, $0.value] })
        #expect(cases[2]["blame"] as? String == "test")
        #expect(cases[1]["reason"] as? String == "tcx is absent and not due before 6.6")
        let hostile = try ReportFixture.text(Self.hostileResults(), .json)
        #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(hostile.utf8)) }
    }

    /// Every key of a document is one of the schema's, and every key that the schema requires is there.
    @Test func theSchemaSaysWhatTheDocumentsHave() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let data = try Data(contentsOf: root.appendingPathComponent("docs/results.schema.json"))
        let schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let definitions = try #require(schema["$defs"] as? [String: [String: Any]])
        func check(_ value: Any, _ schema: [String: Any], _ path: String) {
            let schema = (schema["$ref"] as? String).flatMap { definitions[String($0.dropFirst(8))] } ?? schema
            if let object = value as? [String: Any] {
                let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
                for (key, inner) in object {
                    guard let known = properties[key] else {
                        Issue.record("\(path).\(key) is not in the schema")
                        continue
                    }
                    check(inner, known, "\(path).\(key)")
                }
                for key in schema["required"] as? [String] ?? [] { #expect(object[key] != nil, "\(path).\(key)") }
            } else if let list = value as? [Any], let items = schema["items"] as? [String: Any] {
                for inner in list { check(inner, items, "\(path)[]") }
            }
            if let allowed = schema["enum"] as? [String] {
                #expect(allowed.contains(value as? String ?? ""), "\(path)")
            }
            if let only = schema["const"] as? String { #expect(only == value as? String, "\(path)") }
            if let only = schema["const"] as? Int { #expect(only == value as? Int, "\(path)") }
        }
        var shard = ReportFixture.results()
        shard.shard = Shard(index: 1, count: 2)
        for results in [ReportFixture.results(), Self.hostileResults(), shard, RunResults()] {
            let document = try JSONSerialization.jsonObject(with: Data(try ReportFixture.text(results, .json).utf8))
            check(document, schema, "$")
        }
    }

    // MARK: Markdown

    @Test func markdownIsATableAndFailuresFoldedIn() throws {
        let text = try ReportFixture.text(ReportFixture.results(), .markdown)
        #expect(text.hasPrefix("# ✗ bpftest: 4 failed, 2 known to fail, 2 skipped, 6 passed\n"))
        #expect(text.contains("| <code>6.1.0&#45;1</code> | 3 | **✗ 2** | 1 | 1 | 1.5 s |"))
        #expect(text.components(separatedBy: "<details>").count == 7)
        #expect(
            text.contains(
                "<code>first/A-3 title of A-3: counts differ</code></summary>\n\n<pre>\nmessage: counts differ\n"))
    }

    @Test func markdownTakesNothingOfAGuestForMarkup() throws {
        var hostile = Self.hostileResults()
        hostile.kernels[0].comments = []
        let text = try ReportFixture.text(hostile, .markdown)
        #expect(!text.contains("<script"))
        // Each block is closed where it is ours to close it, and nowhere else.
        #expect(text.components(separatedBy: "</details>").count == text.components(separatedBy: "<details>").count)
        #expect(text.components(separatedBy: "</pre>").count == text.components(separatedBy: "<pre>").count)
        // A bar would end a cell of the table.
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| <code>") }
        #expect(rows.count == 2)
        #expect(rows.allSatisfy { $0.count { $0 == "|" } == 8 })
    }

    @Test func markdownStaysBelowWhatAStepSummaryTakes() throws {
        var results = ReportFixture.results()
        let long = String(repeating: "ä<", count: 20_000)
        results.kernels[0].suites[0].results = (0..<300).map {
            ReportFixture.result("6.1.0-1", "first", "L-\($0)", .failed(.test), [("message", "m"), ("console", long)])
        }
        let text = try ReportFixture.text(results, .markdown)
        #expect(text.utf8.count <= 1_000_000)
        #expect(text.utf8.count > 900_000)
        let said = try #require(text.firstMatch(of: /\*\*(\d+) more did not fit into 1000000 bytes/))
        let shown = text.components(separatedBy: "<details>").count - 1
        #expect(Int(said.1) == results.tally.failed + results.tally.known - shown)
    }

    // MARK: Markup

    @Test func markupEscapesWhatMeansSomethingAndShowsWhatCannotBeSeen() {
        #expect(Markup.escaped("<a b=\"c\" d='e'>&amp;") == "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;")
        #expect(Markup.escaped("\0\u{1B}\r\u{7F}\u{85}\u{202E}\u{FFFF}\n\t") == "␀␛␍␡⟨U+85⟩⟨U+202E⟩⟨U+FFFF⟩\n\t")
        #expect(Markup.escaped("a\n\tb", lines: false) == "a&#10;&#9;b")
        #expect(Markup.markdown("a|b *c*\n[d](e) @f #1") == "a&#124;b &#42;c&#42; &#91;d&#93;&#40;e&#41; &#64;f &#35;1")
        #expect(Markup.markdown("'") == "&#39;")
        #expect(Duration.milliseconds(12).text == "12 ms")
        #expect(Duration.milliseconds(1999).text == "1.9 s")
        #expect(Duration.seconds(125).text == "2 min 5 s")
        #expect(Duration.milliseconds(7).seconds == "0.007")
    }
}
