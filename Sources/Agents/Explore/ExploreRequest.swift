// SPDX-License-Identifier: Apache-2.0
internal import Exploration
internal import LinuxIO
internal import SystemPackage

/// What `bpftest explore` asks for: in a file that is brought into the machine.
struct ExploreRequest {
    /// Also known to Sources/Harness/Run/ExplorationFiles.swift.
    static let path = "/run/bpftest/explore/request"

    var seed: UInt64 = 1
    var count = 2000
    /// Instead of random steps: all sequences up to a length, and which of them.
    var length: Int?
    var range = 0..<Int.max
    /// The text of a script to be run again.
    var script: String?

    /// - Returns: nil where nothing is asked for: a run of the suites.
    static func read() throws -> ExploreRequest? {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path)
        } catch {
            if error == .noSuchFileOrDirectory { return nil }
            throw error
        }
        var request = ExploreRequest()
        var rest = Substring(String(decoding: bytes, as: UTF8.self))
        while let end = rest.firstIndex(of: "\n") {
            let words = rest[..<end].split(separator: " ")
            rest = rest[rest.index(after: end)...]
            switch words.first {
            case "seed": request.seed = words.count == 2 ? UInt64(words[1]) ?? 1 : 1
            case "ops": request.count = words.count == 2 ? Int(words[1]) ?? 1 : 1
            case "exhaustive": request.length = words.count == 2 ? Int(words[1]) ?? 1 : 1
            case "from" where words.count == 4:
                let from = Int(words[1]) ?? 0
                request.range = from..<max(from, Int(words[3]) ?? Int.max)
            case "script":
                request.script = String(rest)
                return request
            default: throw ScriptError("\(path): unknown line \(words.joined(separator: " "))")
            }
        }
        return request
    }
}
