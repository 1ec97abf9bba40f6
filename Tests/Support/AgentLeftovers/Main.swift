// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// An agent with two suites, the second of which looks for what the first has left; run in a machine by VMTests.
@main
struct Main {
    static func main() {
        AgentMain.run([leaves, looks])
    }

    /// What a process in a session of its own writes its number to, and a case that of its parent.
    private static let (stray, agent) = ("/run/leftovers-stray", "/run/leftovers-agent")

    static let leaves = Suite("leftovers.left", "what is left behind") {
        Case("stray", "a process leaves the case's session and stays") { test in
            let worker = try Worker { sign in
                setsid()
                sign.works()
                while true { pause() }
            }
            try worker.waitUntilItWorks()
            try put(worker.pid, stray)
            try put(getppid(), agent)
        }
    }

    static let looks = Suite("leftovers.found", "what was left behind") {
        Case("stray", "the process is gone") { test in
            let status = "/proc/\(try number(stray))/status"
            // Ended is gone: nobody may have waited for it yet.
            let text = (try? FileHandle(Descriptors.open(status, O_RDONLY))).map { content($0) } ?? "State:\tZ"
            test.expect(text.contains("State:\tZ"), "\(text)")
        }
        Case("agent", "the same process carries out both suites") { test in
            test.expect(getppid(), equals: try number(agent), "the parent of this case's process")
        }
    }

    private static func put(_ number: Int32, _ path: String) throws {
        try FileHandle(Descriptors.open(path, O_WRONLY | O_CREAT | O_TRUNC)).writeAll(Array("\(number)".utf8))
    }

    private static func number(_ path: String) throws -> Int32 {
        let text = content(FileHandle(try Descriptors.open(path, O_RDONLY)))
        guard let number = Int32(text) else { throw Errno.EINVAL }
        return number
    }

    private static func content(_ file: FileHandle) -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        // What cannot be read is empty, and the case fails for it.
        let count = (try? file.read(into: &bytes)) ?? 0
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
