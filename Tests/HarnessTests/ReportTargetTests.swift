// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import Harness

/// Where reports go, and what they are made of.
@Suite struct ReportTargetTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("report-\(UUID())").path

    private func inFolder(_ body: () throws -> Void) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body()
    }

    @Test func argumentsAreReadAndCorrected() throws {
        let target = try ReportTarget(argument: "html=a=b.html")
        #expect(target == ReportTarget(.html, file: "a=b.html"))
        for (text, words) in [
            ("html", "wants FORMAT=FILE"), ("html=", "wants FORMAT=FILE"), ("", "wants FORMAT=FILE"),
            ("xml=a", "no report is called xml: there are tap, ktap, junit, json, markdown, html, jsonl"),
        ] {
            let error = #expect(throws: HarnessError.self) { try ReportTarget(argument: text) }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
    }

    @Test func aReportIsThereWholeOrAsItWas() throws {
        try inFolder {
            let file = folder + "/r.tap"
            try "old".write(toFile: file, atomically: false, encoding: .utf8)
            try ReportTarget(.tap, file: FilePath(file)).write(ReportFixture.results())
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let expected = try ReportFixture.text(ReportFixture.results(), .tap)
            #expect(text == expected)
            let files = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(files == ["r.tap"])
        }
    }

    @Test func whereNothingCanBeWrittenIsSaidBeforeTheRun() throws {
        try inFolder {
            let missing = #expect(throws: HarnessError.self) {
                try ReportTarget(.tap, file: FilePath(folder + "/none/r.tap")).check()
            }
            #expect(missing?.description.hasSuffix("there is no folder \(folder)/none") == true)
            let itself = #expect(throws: HarnessError.self) { try ReportTarget(.tap, file: FilePath(folder)).check() }
            #expect(itself?.description.contains("is a folder") == true)
        }
    }

    @Test func whatIsNoFileIsWrittenToAndNotReplaced() throws {
        try inFolder {
            let target = ReportTarget(.tap, file: FilePath(folder + "/pipe"))
            try #require(unsafe mkfifo(folder + "/pipe", 0o600) == 0)
            // Opened for both, so that neither end waits for the other.
            let pipe = try FileDescriptor.open(FilePath(folder + "/pipe"), .readWrite)
            try target.write(RunResults())
            var bytes = [UInt8](repeating: 0, count: 100)
            let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe pipe.read(into: $0) }
            try pipe.close()
            #expect(String(decoding: bytes[..<count], as: UTF8.self).hasPrefix("TAP version 14\n1..0\n"))
            let files = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(files == ["pipe"])
            // A link leads to the file that is replaced.
            try "old".write(toFile: folder + "/real", atomically: false, encoding: .utf8)
            try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "real")
            try ReportTarget(.tap, file: FilePath(folder + "/link")).write(RunResults())
            let destination = try FileManager.default.destinationOfSymbolicLink(atPath: folder + "/link")
            #expect(destination == "real")
            let text = try String(contentsOfFile: folder + "/real", encoding: .utf8)
            #expect(text.hasPrefix("TAP version 14\n"))
        }
    }

    @Test func reportsOfARunThatFailedAreWrittenNevertheless() throws {
        try inFolder {
            let collector = ResultCollector()
            let target = ReportTarget(.tap, file: FilePath(folder + "/r.tap"))
            let lost = ReportTarget(.tap, file: FilePath(folder + "/none/r.tap"))
            let error = #expect(throws: HarnessError.self) {
                try ReportTarget.writing([lost, target], of: collector) { () throws(HarnessError) -> Int in
                    collector.runStarted(RunPlan(), kernels: 1)
                    collector.bailedOut("QEMU is gone")
                    throw .infrastructure("QEMU is gone")
                }
            }
            #expect(error?.description == "QEMU is gone")
            let text = try String(contentsOfFile: folder + "/r.tap", encoding: .utf8)
            #expect(text.hasSuffix("Bail out! QEMU is gone\n"))
            let second = #expect(throws: HarnessError.self) {
                try ReportTarget.writing([lost], of: collector) { () throws(HarnessError) -> Int in 1 }
            }
            #expect(second?.description.contains("there is no folder") == true)
        }
    }

    @Test func filesArePutTogetherAsAsked() throws {
        try inFolder {
            var shard = ReportFixture.results()
            shard.shard = Shard(index: 1, count: 1)
            let file = folder + "/one.json"
            try ReportFixture.lines(shard).write(toFile: file, atomically: false, encoding: .utf8)
            var request = ReportRequest([file])
            let one = try request.results()
            #expect(one == shard)
            request.merges = true
            let merged = try request.results()
            #expect(merged == ReportFixture.results())
            request.files = [file, file]
            let twice = #expect(throws: HarnessError.self) { try request.results() }
            #expect(twice?.description == "\(file) is named twice")
            request.files = []
            #expect(throws: HarnessError.self) { try request.results() }
            try "TAP version 14\n".write(toFile: file, atomically: false, encoding: .utf8)
            request.files = [file]
            let error = #expect(throws: HarnessError.self) { try request.results() }
            #expect(error?.description.hasPrefix("\(file): line 1: these are no results of bpftest") == true)
        }
    }
}
