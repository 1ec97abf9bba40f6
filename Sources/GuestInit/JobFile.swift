// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage

/// What is to be run in a guest that has no host to ask.
///
/// - Source: docs/archive.md, "The guest's part"; written by Sources/Archives/GuestJob.swift.
struct JobFile {
    struct Call {
        var directory: String
        var arguments: [String] = []
        var environment: [String] = []
    }

    static let path = "/etc/bpftest/job"
    /// Files below it are copied to the same path below /.
    static let files = "/etc/bpftest/files"

    /// The id of the case whose result counts; `*`: every `not ok` does.
    var watch = ""
    var seconds = 60
    var calls: [Call] = []

    /// - Throws: what is wrong with the file: the machine has nothing to do then.
    static func read() throws -> JobFile {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path)
        } catch {
            throw InitError("\(path) cannot be read: \(error.name)")
        }
        return try JobFile(String(decoding: bytes, as: UTF8.self))
    }

    init(_ text: String) throws {
        var lines = text.split(separator: "\n")[...]
        guard lines.popFirst() == "bpftest-job 1" else { throw InitError("\(Self.path) is of another version") }
        for line in lines {
            let space = line.firstIndex(of: " ") ?? line.endIndex
            let value = Self.unescaped(line[space...].dropFirst())
            switch line[..<space] {
            case "watch": watch = value
            case "seconds": seconds = Int(value) ?? seconds
            case "call": calls.append(Call(directory: value))
            case "argument" where !calls.isEmpty: calls[calls.count - 1].arguments.append(value)
            case "setting" where !calls.isEmpty: calls[calls.count - 1].environment.append(value)
            default: throw InitError("\(Self.path) has a line that is unknown: \(line)")
            }
        }
        guard !calls.isEmpty, calls.allSatisfy({ !$0.arguments.isEmpty }) else {
            throw InitError("\(Self.path) names nothing to run")
        }
    }

    private static func unescaped(_ text: Substring) -> String {
        var plain: [UInt8] = []
        var isEscaped = false
        for byte in text.utf8 {
            if isEscaped {
                plain.append(byte == UInt8(ascii: "n") ? 0x0a : byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else {
                plain.append(byte)
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }
}
