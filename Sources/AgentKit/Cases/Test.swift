// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
public import SystemPackage
internal import TAP

/// A running case: where expectations are stated and what is found is kept.
///
/// `expect` goes on after a failure and `require` does not. The diagnostics of the result hold the first failure;
/// those after it are listed under `also`.
public final class Test {
    public private(set) var failed = false
    private(set) var diagnostics = Diagnostics()
    private(set) var skipReason: String?
    private var others: [String] = []
    private let output: AgentOutput
    /// Run in reverse order when the body is over, whatever became of it.
    private var cleanUps: [() -> Void] = []

    init(output: AgentOutput) {
        self.output = output
    }

    /// Adds a key to the diagnostics that are shown when the case fails.
    public func note(_ key: String, _ value: String) {
        diagnostics[key] = value
    }

    /// A line for the case's log.
    public func log(_ text: String) {
        output.log(text)
    }

    /// Runs when the case is over, last registered first.
    public func atEnd(_ cleanUp: @escaping () -> Void) {
        cleanUps.append(cleanUp)
    }

    /// Records a failure.
    public func fail(
        _ message: String, expected: String? = nil, observed: String? = nil, errno: Errno? = nil,
        file: String = #fileID, line: Int = #line
    ) {
        let place = "\(Self.path(file)):\(line)"
        guard !failed else {
            let what = [message, expected.map { "expected \($0)" }, observed.map { "observed \($0)" }]
            if others.count < 8 { others.append("\(place): " + what.compactMap { $0 }.joined(separator: ", ")) }
            return
        }
        failed = true
        diagnostics["message"] = message
        diagnostics["expected"] = expected
        diagnostics["observed"] = observed
        diagnostics["errno"] = errno.map { "\($0.name) (\($0.rawValue))" }
        diagnostics["at"] = place
    }

    /// `#fileID` is Module/File.swift: shown as it is, with the suite's folder for ours.
    private static func path(_ fileID: String) -> String {
        let folders = [
            "MprogSuites": "Sources/Agents/Mprog", "KfuncSuites": "Sources/Agents/Kfuncs",
            "KptrSuites": "Sources/Agents/Kptr", "DynptrSuites": "Sources/Agents/Dynptrs",
            "NamespaceSuites": "Sources/Agents/Namespaces", "HelperSuites": "Sources/Agents/Helpers",
            "DriverSuites": "Sources/Agents/Drivers", "ExploreSuites": "Sources/Agents/Explore",
        ]
        guard let slash = fileID.firstIndex(of: "/") else { return fileID }
        let module = String(fileID[..<slash])
        return (folders[module] ?? module) + fileID[slash...]
    }

    // MARK: Expectations

    /// States that two values are equal.
    public func expect<Value: Equatable>(
        _ observed: Value, equals expected: Value, _ what: String, file: String = #fileID, line: Int = #line
    ) {
        if observed != expected {
            fail(what, expected: Self.text(expected), observed: Self.text(observed), file: file, line: line)
        }
    }

    /// States that a condition holds.
    public func expect(_ condition: Bool, _ what: String, file: String = #fileID, line: Int = #line) {
        if !condition { fail(what, expected: "true", observed: "false", file: file, line: line) }
    }

    /// States what a system call answered: an errno by name, or success (nil).
    public func expect(
        _ observed: Errno?, _ expected: Errno?, _ what: String, file: String = #fileID, line: Int = #line
    ) {
        if observed != expected {
            fail(
                what, expected: Self.answer(expected), observed: Self.answer(observed), errno: observed, file: file,
                line: line)
        }
    }

    /// Ends the case unless the condition holds.
    public func require(
        _ condition: Bool, _ what: String, file: String = #fileID, line: Int = #line
    ) throws(CaseAborted) {
        expect(condition, what, file: file, line: line)
        if !condition { throw CaseAborted() }
    }

    /// Ends the case unless the call succeeded.
    public func require(
        success observed: Errno?, _ what: String, file: String = #fileID, line: Int = #line
    ) throws(CaseAborted) {
        expect(observed, nil, what, file: file, line: line)
        if observed != nil { throw CaseAborted() }
    }

    /// Ends the case with a failure.
    public func abort(_ message: String, file: String = #fileID, line: Int = #line) -> CaseAborted {
        fail(message, file: file, line: line)
        return CaseAborted()
    }

    /// Ends the case without a verdict: it cannot be judged here, and why.
    public func skip(_ reason: String) -> CaseAborted {
        skipReason = reason
        return CaseAborted()
    }

    private static func answer(_ errno: Errno?) -> String {
        errno.map { "\($0.name) (\($0.rawValue))" } ?? "0"
    }

    private static func text<Value>(_ value: Value) -> String {
        if let errno = value as? Errno { return answer(errno) }
        return "\(value)"
    }

    // MARK: The end

    func run(_ body: (Test) throws -> Void) {
        do {
            try body(self)
        } catch is CaseAborted {
            // Its reason has been recorded where it was thrown.
        } catch let errno as Errno {
            fail("a system call failed", expected: "0", observed: Self.answer(errno), errno: errno)
        } catch {
            fail("\(error)")
        }
        for cleanUp in cleanUps.reversed() { cleanUp() }
        if !others.isEmpty { diagnostics["also"] = others.joined(separator: "\n") }
    }
}

/// Thrown to leave a case whose verdict is known.
public struct CaseAborted: Error {}
