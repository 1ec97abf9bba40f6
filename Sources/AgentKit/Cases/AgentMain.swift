// SPDX-License-Identifier: Apache-2.0
internal import CBtfCache
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import Synchronization
internal import SystemPackage
internal import TAP

/// The command line of an agent: docs/agent-output.md.
public enum AgentMain {
    /// Never returns. Exit: 0 when the plan was carried out, 2 when the call was wrong.
    public static func run(_ suites: [Suite]) -> Never {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.elementsEqual(["prepare"]) { serve(suites) }
        carryOut(suites, arguments)
        exit(0)
    }

    /// Makes itself ready, and carries out what it is told.
    private static func serve(_ suites: [Suite]) -> Never {
        // Only a matter of time: without it libbpf reads the kernel's types for every object.
        _ = cbtfcache_fill()
        Rehearsal.run()
        // What it has to complain about is said when cases are run.
        _ = SuiteRun.begin()
        let ready = suites.filter(SuiteRun.makeReady)
        // Only a matter of time, too: each case's process is forked from this one.
        _ = clinux_settle_memory()
        Instructions.open()
        for suite in ready { SuiteRun.forkInAdvance(suite) }
        do {
            while true {
                let arguments = try Instructions.next()
                carryOut(suites, arguments[...])
                // What suites bring in they keep for all their cases, in this process or their own; other calls end
                // with the process.
                if arguments.first != "run" { exit(0) }
            }
        } catch {
            usage("nobody said what to run: \(error)")
        }
    }

    /// Returns when the plan was carried out.
    private static func carryOut(_ suites: [Suite], _ arguments: ArraySlice<String>) {
        switch arguments.first {
        case "run" where arguments.dropFirst().first == "--report-lines":
            ProgramLines.begin()
            carryOut(suites, ["run"] + arguments.dropFirst(2))
            ProgramLines.end()
        case "symbols" where arguments.count == 1: exit(KernelSymbols.write())
        case "list" where arguments.count == 1:
            for suite in suites { emit(Catalogue.line(suite)) }
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
        case "describe" where arguments.count >= 3:
            guard let lines = AnnotatedObjects.describe(arguments.dropFirst()) else {
                usage("usage: \(CommandLine.arguments[0]) describe [--expect-load-failure] SUITE FILE [SUITE FILE…]")
            }
            for line in lines { emit(line) }
        case "surface" where arguments.count == 1:
            SurfaceReport.write()
        case "load" where arguments.count >= 2:
            LoadReport.write(arguments.dropFirst())
        case "needs" where arguments.count >= 2:
            for file in arguments.dropFirst() { emit(ObjectNeeds.line(file)) }
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

/// What an agent that was started in advance is to run, told by descriptor 3, each time after descriptor 4 has said that it
/// is ready; docs/agent-output.md, "prepare".
enum Instructions {
    private struct Ends {
        let control = FileHandle(adopting: 3)
        let ready = FileHandle(adopting: 4)
    }

    private static let ends = Mutex<Ends?>(nil)

    /// Takes the descriptors.
    static func open() {
        ends.withLock { $0 = Ends() }
    }

    /// In a case's process: the agent's own ends must not be kept open by it.
    static func forget() {
        ends.withLock { ends in
            ends?.control.close()
            ends?.ready.close()
            ends = nil
        }
    }

    /// Says that the agent is ready, and waits.
    ///
    /// - Returns: the arguments.
    static func next() throws(Errno) -> [String] {
        try ends.withLock { (ends) throws(Errno) in
            guard let ends else { throw .badFileDescriptor }
            try ends.ready.writeAll([0x0a])
            let count = try read(4, from: ends.control).reversed().reduce(0) { $0 << 8 | Int($1) }
            guard count <= 1 << 20 else { throw .badMessage }
            return parse(try read(count, from: ends.control))
        }
    }

    private static func read(_ count: Int, from control: FileHandle) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var rest = [UInt8](repeating: 0, count: count - bytes.count)
            let got = try control.read(into: &rest)
            guard got > 0 else { throw .brokenPipe }
            bytes += rest[..<got]
        }
        return bytes
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
