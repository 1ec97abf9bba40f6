// SPDX-License-Identifier: Apache-2.0
import Foundation
import TAP
import Testing

/// A real agent, `agent-fixture`, run as a process: what it prints and how it ends.
@Suite struct AgentRunTests {
    struct Outcome {
        var status: Int32
        var output: String
        var errors: String

        /// The lines from a case's marker to its result, both included.
        func lines(of id: String) -> [String] {
            let all = output.components(separatedBy: "\n")
            guard let start = all.firstIndex(of: "# bpftest: case \(id)") else { return [] }
            guard let end = all[start...].firstIndex(where: { $0.hasPrefix("ok ") || $0.hasPrefix("not ok ") }) else {
                return Array(all[start...])
            }
            return Array(all[start...end])
        }

        func value(_ key: String, of id: String) -> String? {
            let prefix = "# \(key): "
            return lines(of: id).first { $0.hasPrefix(prefix) }.flatMap { JSONText.unquote($0.dropFirst(prefix.count)) }
        }

        func result(of id: String) -> String {
            lines(of: id).last ?? ""
        }
    }

    /// Runs the fixture, which the build puts beside the tests' own executable.
    static func agent(_ arguments: String...) throws -> Outcome {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("agent-fixture")
        let process = Process()
        process.executableURL = path
        process.arguments = arguments
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // stderr holds a line or two, less than a pipe: reading one after the other cannot block the agent.
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
            errors: String(decoding: said, as: UTF8.self))
    }

    @Test func listsSuitesAsJSON() throws {
        let outcome = try Self.agent("list")
        #expect(outcome.status == 0)
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.count == 2)
        let text = try #require(lines.first)
        let json = try JSONSerialization.jsonObject(with: Data(text.utf8))
        let first = try #require(json as? [String: Any])
        #expect(first["suite"] as? String == "fixture.endings")
        let cases = try #require(first["cases"] as? [[String: Any]])
        let absent = try #require(cases.first { $0["id"] as? String == "absent" })
        #expect(absent["spec"] as? [String] == ["F-1", "F-2"])
        #expect(absent["needs"] as? [String] == ["unicorn"])
        #expect(absent["since"] as? String == "9.9")
        #expect(cases.first { $0["id"] as? String == "absent-too" }?["since"] as? String == "7.0")
        let pass = try #require(cases.first)
        #expect(pass["since"] is NSNull)
        #expect(pass["spec"] as? [String] == ["pass"])
    }

    @Test(arguments: [[], ["run"], ["list", "more"], ["run", "no.suite"], ["run", "fixture.endings", "no-case"]])
    func refusesWrongCalls(arguments: [String]) throws {
        let outcome =
            switch arguments.count {
            case 0: try Self.agent()
            case 1: try Self.agent(arguments[0])
            case 2: try Self.agent(arguments[0], arguments[1])
            default: try Self.agent(arguments[0], arguments[1], arguments[2])
            }
        #expect(outcome.status == 2)
        #expect(outcome.output == "")
        #expect(!outcome.errors.isEmpty)
    }

    @Test func runsNamedCasesInTheOrderGiven() throws {
        let outcome = try Self.agent("run", "fixture.endings", "skip", "pass")
        #expect(outcome.status == 0)
        #expect(
            outcome.output == """
                KTAP version 1
                1..2
                # bpftest: case skip
                ok 1 skip cannot be judged # SKIP not today
                # bpftest: case pass
                ok 2 pass all is well

                """)
    }

    @Test func everyEndingIsReported() throws {
        let outcome = try Self.agent("run", "fixture.endings")
        #expect(outcome.status == 0)
        #expect(outcome.output.hasPrefix("KTAP version 1\n1..14\n"))
        let results = outcome.output.split(separator: "\n").filter { $0.hasPrefix("ok ") || $0.hasPrefix("not ok ") }
        #expect(results.count == 14)

        #expect(outcome.result(of: "soft") == "not ok 2 soft goes on after a failure")
        #expect(outcome.value("message", of: "soft") == "first")
        #expect(outcome.value("expected", of: "soft") == "2")
        #expect(outcome.value("observed", of: "soft") == "1")
        #expect(outcome.value("extra", of: "soft") == "two\nlines")
        #expect(outcome.value("also", of: "soft")?.hasSuffix("second, expected b, observed a") == true)
        let place = try #require(outcome.value("at", of: "soft"))
        #expect(place.hasSuffix("Main.swift:26"), "\(place)")

        #expect(outcome.value("message", of: "hard") == "needed")
        #expect(outcome.value("also", of: "hard") == nil)
        #expect(outcome.value("also", of: "after-soft")?.contains("reached") == true)
        #expect(outcome.value("observed", of: "errno") == "EBUSY (16)")
        #expect(outcome.value("errno", of: "errno") == "EBUSY (16)")
        #expect(outcome.value("expected", of: "errno") == "0")
        #expect(outcome.value("errno", of: "throws") == "ENODEV (19)")
        #expect(outcome.result(of: "throws").hasPrefix("not ok "))
        #expect(outcome.value("message", of: "segv") == "the case ended without a verdict: signal SIGSEGV")
        #expect(outcome.value("message", of: "exit") == "the case ended without a verdict: exit status 0")
        #expect(outcome.result(of: "skip") == "ok 10 skip cannot be judged # SKIP not today")
        #expect(outcome.result(of: "failed-skip") == "not ok 11 failed-skip a failure is not undone by a skip")
        #expect(outcome.value("text", of: "large")?.utf8.count == 320_000)
        #expect(
            outcome.result(of: "large")
                == "not ok 12 large a report larger than a pipe holds")
    }

    @Test func absentFeatureIsASkipWithItsEvidence() throws {
        let outcome = try Self.agent("run", "fixture.endings", "absent", "absent-too")
        #expect(
            outcome.result(of: "absent").hasPrefix("ok 1 absent needs what is not there # SKIP unicorn is absent: "))
        #expect(outcome.value("absent", of: "absent") == "unicorn")
        #expect(outcome.value("evidence", of: "absent") == "no \"horn\"")
        #expect(outcome.value("since", of: "absent") == "9.9")
        #expect(outcome.value("config", of: "absent") == "CONFIG_UNICORN CONFIG_HORN")
        #expect(outcome.value("absent", of: "absent-too") == "unicorn")
        #expect(outcome.errors == "probed\n", "probed once for both cases")
    }

    @Test func aProcessLeftBehindIsEndedWithItsCase() throws {
        let outcome = try Self.agent("run", "fixture.endings", "orphan")
        #expect(outcome.result(of: "orphan") == "ok 1 orphan leaves a process behind")
        let line = try #require(outcome.lines(of: "orphan").first { $0.hasPrefix("# child ") })
        let pid = try #require(Int32(line.dropFirst(8)))
        // ESRCH and not a zombie: the agent has waited for it.
        #expect(kill(pid, 0) == -1 && errno == ESRCH)
    }

    @Test func aSuiteThatCannotBePreparedFailsEveryCase() throws {
        let outcome = try Self.agent("run", "fixture.unprepared")
        #expect(outcome.status == 0)
        #expect(outcome.result(of: "one") == "not ok 1 one first")
        #expect(outcome.result(of: "two") == "not ok 2 two second")
        #expect(outcome.value("message", of: "two")?.hasPrefix("the suite could not be prepared: ") == true)
    }
}
