// SPDX-License-Identifier: Apache-2.0

/// What the guest's init is told to do without a host: the file /etc/bpftest/job of a guest image.
///
/// - Source: docs/archive.md, "The guest's part"; read by Sources/GuestInit/JobFile.swift.
public struct GuestJob: Sendable, Equatable {
    public static let path = "etc/bpftest/job"
    /// Files below it are copied to the same path below / before anything is run.
    public static let files = "etc/bpftest/files"

    public var calls: [Manifest.Call]
    /// The id of the case whose result counts; `*`: every `not ok` does.
    public var watch: String
    /// Seconds for all calls.
    public var seconds: Int

    public init(calls: [Manifest.Call], watch: String, seconds: Int) {
        (self.calls, self.watch, self.seconds) = (calls, watch, seconds)
    }

    /// A line for each word; a backslash stands before n for a new line, and before itself.
    public var text: String {
        var lines = ["bpftest-job 1", "watch \(Self.escaped(watch))", "seconds \(seconds)"]
        for call in calls {
            lines.append("call \(Self.escaped(call.directory))")
            lines += call.arguments.map { "argument \(Self.escaped($0))" }
            lines += call.environment.map { "setting \(Self.escaped($0))" }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
