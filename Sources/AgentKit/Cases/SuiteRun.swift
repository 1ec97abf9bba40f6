// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import LinuxIO
internal import Synchronization
internal import SystemPackage
internal import TAP

/// Carries out cases, each in a process of its own that is forked from a prepared one.
///
/// What a case leaves open, running or unshared goes with its process: descriptors, links, namespaces. A case that
/// crashes is a failed case and nothing more.
final class SuiteRun {
    private let suite: Suite
    private let cases: [Case]
    private var output: AgentOutput
    /// What is said with the next case's beginning, or at the end: who reads it is woken once for each case.
    private let unsaid = Unsaid()
    /// What has been probed by this process, for whichever suite.
    private static let presences = Mutex<[String: Feature.Presence]>([:])
    /// The suites that have been prepared in this process; the text says why one could not be.
    private static let preparations = Mutex<[String: String?]>([:])
    private static let console = Mutex<FileHandle?>(nil)

    init(_ suite: Suite, _ cases: [Case]) {
        self.suite = suite
        self.cases = cases
        output = AgentOutput { [unsaid] in unsaid.text += $0 }
    }

    private final class Unsaid {
        var text = ""

        func say() {
            AgentMain.emit(text)
            text = ""
        }
    }

    /// The release that a case is due from: its own, or the newest of its features'.
    static func since(_ one: Case) -> String? {
        one.since ?? one.needs.map(\.since).max { Self.key($0).lexicographicallyPrecedes(Self.key($1)) }
    }

    private static func key(_ version: String) -> [Int] {
        version.split(separator: ".").map { Int($0) ?? 0 }
    }

    func run() {
        if let problem = Self.begin() { output.log(problem) }
        output.begin(count: cases.count)
        for (number, one) in cases.enumerated() {
            announce(one)
            if let absent = firstAbsent(one) {
                skip(one, absent.feature, absent.evidence)
                continue
            }
            if let problem = Self.prepareOnce(suite) {
                var diagnostics = Diagnostics()
                diagnostics["message"] = "the suite could not be prepared: \(problem)"
                output.result(ok: false, id: one.id, title: one.title, diagnostics: diagnostics)
                continue
            }
            let (child, report) = fork(one)
            KernelLeaks.look()
            // What the kernel has to say of the last case's end belongs to its result. Before that, the next case's
            // announcement tells which one it belongs to.
            if number == cases.count - 1 { GracePeriods.pass() }
            output.result(
                ok: report.ok, id: one.id, title: one.title, skip: report.skip, diagnostics: report.diagnostics)
            if number == cases.count - 1 { unsaid.say() }
            child?.letGo()
        }
        unsaid.say()
    }

    /// Says on stdout and on the kernel's console which case comes: the console's order then tells which case a
    /// complaint of the kernel belongs to.
    private func announce(_ one: Case) {
        output.caseStarted(one.id)
        unsaid.say()
        // Level 4, warning: what the console shows. A line that is refused is one announcement less.
        Self.sayOnConsole("bpftest: case \(suite.name)/\(one.id)")
    }

    static func sayOnConsole(_ line: String) {
        let record = Array("<4>\(line)".utf8)
        console.withLock { try? $0?.writeAll(record) }
    }

    private static let beginning = Mutex<(isOver: Bool, problem: String?)>((false, nil))

    /// What a process that runs cases does once, ahead of time where it can.
    ///
    /// - Returns: what did not work, in words.
    static func begin() -> String? {
        beginning.withLock { state in
            guard !state.isOver else { return state.problem }
            state.isOver = true
            // Without it nothing is announced on the console, and complaints are charged by time of arrival.
            console.withLock { $0 = try? FileHandle(Descriptors.open("/dev/kmsg", O_WRONLY)) }
            // Orphans of a case become children of this process, which waits for them.
            if clinux_adopt_orphans() != 0 {
                state.problem = "orphans of cases are not waited for: \(Errno.last.name)"
            }
            KernelLeaks.forget()
            return state.problem
        }
    }

    /// - Returns: why the suite could not be prepared.
    private static func prepareOnce(_ suite: Suite) -> String? {
        if let known = preparations.withLock({ $0[suite.name] }) { return known }
        var problem: String?
        do {
            try suite.prepare()
        } catch {
            problem = "\(error)"
        }
        preparations.withLock { $0[suite.name] = .some(problem) }
        return problem
    }

    // MARK: Features

    private func firstAbsent(_ one: Case) -> (feature: Feature, evidence: String)? {
        for feature in one.needs {
            if case .absent(let evidence) = Self.presence(feature) { return (feature, evidence) }
        }
        return nil
    }

    private static func presence(_ feature: Feature) -> Feature.Presence {
        if let known = presences.withLock({ $0[feature.name] }) { return known }
        let presence = feature.probe()
        presences.withLock { $0[feature.name] = presence }
        return presence
    }

    /// Does ahead of time what takes long and does not depend on the case: probes features and prepares the suite.
    ///
    /// - Returns: whether there is a case to run.
    static func makeReady(_ suite: Suite) -> Bool {
        let runnable = suite.cases.filter { one in
            one.needs.allSatisfy { if case .present = presence($0) { true } else { false } }
        }
        // Without a case to run there is nothing to prepare for, and it would fail.
        guard !runnable.isEmpty else { return false }
        _ = prepareOnce(suite)
        for object in suite.objects { BPFObject.openInAdvance(object) }
        return true
    }

    private func skip(_ one: Case, _ feature: Feature, _ evidence: String) {
        var diagnostics = Diagnostics()
        diagnostics["absent"] = feature.name
        diagnostics["evidence"] = evidence
        diagnostics["since"] = feature.since
        if !feature.config.isEmpty { diagnostics["config"] = feature.config.joined(separator: " ") }
        output.result(
            ok: true, id: one.id, title: one.title, skip: "\(feature.name) is absent: \(evidence)",
            diagnostics: diagnostics)
    }

    // MARK: One case

    private func fork(_ one: Case) -> (ReadyChild?, CaseReport) {
        do {
            let child: ReadyChild
            if let ready = Self.readyChildren.withLock({ $0.removeValue(forKey: suite.name) }) {
                child = ready
                // It was forked before anybody asked for lines.
                try child.begin(ProgramLines.marked(one.id))
            } else {
                child = try ReadyChild { writing in Self.child(self.suite, one, writing) }
            }
            let text = try collect(child.report, until: child.process)
            var status: CInt = 0
            // What the case started must not outlive it: it could hold what the next case wants for itself.
            _ = try Errno.check(unsafe clinux_end_group(child.pid, &status))
            return (child, CaseReport(text, ProcessEnd(waitStatus: status)))
        } catch {
            var report = CaseReport()
            report.diagnostics["message"] = "no process for the case: \(error)"
            return (nil, report)
        }
    }

    // MARK: In advance

    /// A process for the first case of each suite, isolated as the suite wants it and waiting.
    private static let readyChildren = Mutex<[String: ReadyChild]>([:])

    /// Forks the process that the suite's first case will run in.
    static func forkInAdvance(_ suite: Suite) {
        // Without it the first case is forked like all others, and fails with the reason if that cannot be done.
        let child = try? ReadyChild(waits: true) { writing, nextCase in
            Instructions.forget()
            let test = Test(output: AgentOutput(write: AgentMain.emit))
            test.run { try isolate(suite, $0) }
            guard let id = nextCase().map(ProgramLines.unmarked), let one = suite.cases.first(where: { $0.id == id })
            else { _exit(5) }
            carryOut(one, test, writing)
        }
        guard let child else { return }
        readyChildren.withLock { $0[suite.name] = child }
    }

    /// Reads the report until the child is gone, so that a grandchild that holds the pipe open holds up nothing.
    private func collect(_ pipe: FileHandle, until process: FileHandle) throws -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        var poller = Poller()
        poller.add(pipe.raw, .read)
        poller.add(process.raw, .read)
        while true {
            guard try poller.wait(nil) else { continue }
            if poller[0].contains(.read) {
                let count = try pipe.read(into: &chunk)
                if bytes.count < 8 << 20 { bytes += chunk[..<count] }
                if count == 0 { break }
            } else if poller[0] != [] || poller[1] != [] {
                break
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func child(_ suite: Suite, _ one: Case, _ writing: FileHandle) -> Never {
        Instructions.forget()
        let test = Test(output: AgentOutput(write: AgentMain.emit))
        test.run { try isolate(suite, $0) }
        carryOut(one, test, writing)
    }

    /// Runs a case in this process, unless it could not be isolated, reports and ends.
    private static func carryOut(_ one: Case, _ test: Test, _ writing: FileHandle) -> Never {
        if !test.failed { test.run(one.body) }
        do {
            try writing.writeAll(Array(CaseReport.text(test).utf8))
        } catch {
            _exit(4)
        }
        _exit(0)
    }

    private static func isolate(_ suite: Suite, _ test: Test) throws {
        if suite.isolation.contains(.network) {
            try test.require(success: Namespaces.unshare(.network), "a network namespace is made")
            try Netlink.setUp("lo")
        }
        if suite.isolation.contains(.mount) {
            try test.require(success: Namespaces.unshare(.mount), "a mount namespace is made")
            try test.require(success: Namespaces.makeMountsPrivate(), "its mounts are made private")
        }
    }
}
