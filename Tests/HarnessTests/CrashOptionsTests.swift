// SPDX-License-Identifier: Apache-2.0
import Crashes
import Foundation
import Testing

@testable import Harness

@Suite struct CrashOptionsTests {
    private func allow(_ bytes: [UInt8]) throws -> [String] {
        let file = NSTemporaryDirectory() + "bpftest-splats-\(UUID().uuidString)"
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        var options = CrashOptions()
        try options.allow(file: file)
        try options.allow(file: "/dev/null")
        return options.allowlist.patterns
    }

    private func expectUsage(_ words: String, _ body: () throws -> Void) {
        let error = #expect(throws: HarnessError.self) { try body() }
        if case .usage(let text)? = error {
            #expect(text.contains(words), "\(text)")
        } else {
            Issue.record("it is no wrong call: \(error.map { "\($0)" } ?? "")")
        }
    }

    @Test func listsOfSplatsAreFiles() throws {
        #expect(try allow(Array("# c\na\nb c\n".utf8)) == ["a", "b c"])
        expectUsage("is no text") { _ = try allow([0x61, 0xff]) }
        expectUsage("line 2: '('") { _ = try allow(Array("a\n(\n".utf8)) }
        expectUsage("File too large") { _ = try allow([UInt8](repeating: 0x0a, count: 2 << 20)) }
        var options = CrashOptions()
        expectUsage("cannot be read: No such file or directory") { try options.allow(file: "/nonexistent") }
        expectUsage("cannot be read: Is a directory") { try options.allow(file: "/") }
    }
}
