// SPDX-License-Identifier: Apache-2.0
internal import CBtfCache
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import SystemPackage
internal import TAP

/// The command line of an agent: docs/agent-output.md.
public enum AgentMain {
    /// Never returns. Exit: 0 when the plan was carried out, 2 when the call was wrong.
    public static func run(_ suites: [Suite]) -> Never {
        carryOut(suites, CommandLine.arguments.dropFirst())
    }

    private static func carryOut(_ suites: [Suite], _ arguments: ArraySlice<String>) -> Never {
        switch arguments.first {
        case "run" where arguments.dropFirst().first == "--report-lines":
            ProgramLines.begin()
            carryOut(suites, ["run"] + arguments.dropFirst(2))
        case "symbols" where arguments.count == 1: exit(KernelSymbols.write())
        case "list" where arguments.count == 1:
            for suite in suites { emit(Catalogue.line(suite)) }
            exit(0)
        case "run" where arguments.count >= 2:
            let name = arguments[arguments.startIndex + 1]
            guard let suite = suites.first(where: { $0.name == name }) ?? AnnotatedObjects.suite(name) else {
                usage("there is no suite \(name)")
            }
            let wanted = Array(arguments.dropFirst(2))
            var cases: [Case] = suite.cases
            if !wanted.isEmpty {
                cases = wanted.map { id in
                    guard let found = suite.cases.first(where: { $0.id == id }) else {
                        usage("suite \(name) has no case \(id)")
                    }
                    return found
                }
            }
            SuiteRun(suite, cases).run()
            exit(0)
        case "describe" where arguments.count >= 3:
            guard let lines = AnnotatedObjects.describe(arguments.dropFirst()) else {
                usage("usage: \(CommandLine.arguments[0]) describe [--expect-load-failure] SUITE FILE [SUITE FILE…]")
            }
            for line in lines { emit(line) }
            exit(0)
        case "surface" where arguments.count == 1:
            SurfaceReport.write()
            exit(0)
        case "load" where arguments.count >= 2:
            LoadReport.write(arguments.dropFirst())
            exit(0)
        case "needs" where arguments.count >= 2:
            for file in arguments.dropFirst() { emit(ObjectNeeds.line(file)) }
            exit(0)
        case "prepare" where arguments.count == 1:
            // Only a matter of time: without it libbpf reads the kernel's types for every object.
            _ = cbtfcache_fill()
            Rehearsal.run()
            // What it has to complain about is said when cases are run.
            _ = SuiteRun.begin()
            let ready = suites.filter(SuiteRun.makeReady)
            // Only a matter of time, too: each case's process is forked from this one.
            _ = clinux_settle_memory()
            for suite in ready { SuiteRun.forkInAdvance(suite) }
            do {
                carryOut(suites, try Instructions.wait()[...])
            } catch {
                usage("nobody said what to run: \(error)")
            }
        default:
            usage("usage: \(CommandLine.arguments[0]) list | run [--report-lines] SUITE [CASE…] | surface | prepare")
        }
    }

    private static func usage(_ message: String) -> Never {
        let line = Array("\(message)\n".utf8)
        unsafe line.withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
        exit(2)
    }

    /// Writes to stdout at once: what was said before a crash must have left the process.
    static func emit(_ text: String) {
        emit(Array(text.utf8))
    }

    static func emit(_ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { raw in
                let rest = unsafe UnsafeRawBufferPointer(rebasing: raw[done...])
                return unsafe write(1, rest.baseAddress, rest.count)
            }
            if count < 0 {
                if errno == EINTR { continue }
                exit(3)  // nobody listens any more
            }
            done += count
        }
    }
}

/// What an agent that was started in advance is to run, told by descriptor 3, after descriptor 4 has said that it is
/// ready; docs/agent-output.md, "prepare".
enum Instructions {
    private static let descriptor: CInt = 3
    private static let readiness: CInt = 4

    /// In a process forked in advance: the agent's own ends must not be kept open by it.
    static func forget() {
        close(descriptor)
        close(readiness)
    }

    /// Says that the agent is ready, and waits.
    ///
    /// - Returns: the arguments.
    static func wait() throws(Errno) -> [String] {
        let control = OwnedFD(adopting: descriptor)
        let ready = FileHandle(adopting: readiness)
        try ready.writeAll([0x0a])
        // Now, not after the freeze, when it would have to be translated.
        ready.close()
        var length: [UInt8] = [0, 0, 0, 0]
        guard try control.readExactly(4, into: &length) == 4 else { throw .brokenPipe }
        let count = length.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard count <= 1 << 20 else { throw .badMessage }
        var text = [UInt8](repeating: 0, count: count)
        guard try control.readExactly(count, into: &text) == count else { throw .brokenPipe }
        return parse(text)
    }

    /// The arguments, from words between zeros.
    static func parse(_ text: [UInt8]) -> [String] {
        text.split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The lines of `AGENT list`.
enum Catalogue {
    /// - Parameter more: further fields of the object, each behind a comma.
    static func line(_ suite: Suite, more: String = "") -> String {
        let cases = suite.cases.map { one in
            let needs = one.needs.map { JSONText.quote($0.name) }.joined(separator: ",")
            let spec = one.spec.map { JSONText.quote($0) }.joined(separator: ",")
            let since = SuiteRun.since(one).map { JSONText.quote($0) } ?? "null"
            return "{\"id\":\(JSONText.quote(one.id)),\"title\":\(JSONText.quote(one.title)),\"spec\":[\(spec)],"
                + "\"since\":\(since),\"needs\":[\(needs)]" + (one.alone ? ",\"alone\":true}" : "}")
        }
        let cpus = suite.cpus > 1 ? "\"cpus\":\(suite.cpus)," : ""
        let names = suite.cards.map { JSONText.quote($0) }.joined(separator: ",")
        let cards = suite.cards.isEmpty ? "" : "\"cards\":[\(names)],"
        return "{\"suite\":\(JSONText.quote(suite.name)),\"title\":\(JSONText.quote(suite.title)),\(cpus)\(cards)"
            + "\"cases\":[\(cases.joined(separator: ","))]\(more)}\n"
    }
}
