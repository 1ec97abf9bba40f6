// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// What a process beside the case's own has found out: names and texts, in order.
struct Findings {
    private(set) var lines: [(name: String, text: String)] = []

    init() {}

    /// Notes what a system call answered: the errno's name, or `0`.
    mutating func note(_ name: String, _ errno: Errno?) {
        lines.append((name, errno?.name ?? "0"))
    }

    mutating func note(_ name: String, _ text: some CustomStringConvertible) {
        lines.append((name, "\(text)"))
    }

    subscript(name: String) -> String {
        lines.first { $0.name == name }?.text ?? "nothing"
    }

    func number(_ name: String) -> UInt64? {
        UInt64(self[name])
    }

    // MARK: On their way

    var text: String {
        lines.map { "\($0.name)\t\($0.text)\n" }.joined()
    }

    init(text: String) throws(Trouble) {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw Trouble(text: text) }
            lines.append((String(parts[0]), String(parts[1])))
        }
    }

    /// The process did not come to its end.
    struct Trouble: Error, CustomStringConvertible {
        let text: String
        var description: String { "a process of the case: \(text.isEmpty ? "ended without a word" : text)" }
    }
}

extension Test {
    /// States what a process has found out, name by name, all of it.
    func expect(
        _ findings: Findings, _ expected: KeyValuePairs<String, String>, file: String = #fileID, line: Int = #line
    ) {
        for (name, text) in expected {
            expect(findings[name], equals: text, name, file: file, line: line)
        }
        for finding in findings.lines where !expected.contains(where: { $0.key == finding.name }) {
            fail("\(finding.name) is expected to be found", observed: finding.text, file: file, line: line)
        }
    }
}

/// Runs something in a process of its own, whose namespaces and capabilities go with it.
///
/// - Parameters:
///   - child: what it notes comes back; the channel's other end is `meanwhile`'s.
///   - meanwhile: what this process does at the same time.
func aside(
    _ child: (inout Findings, Channel) throws -> Void,
    meanwhile: (Channel, Int32) throws -> Void = { _, _ in }
) throws -> Findings {
    let (ours, theirs) = try Channel.pair()
    let worker = try Worker { _ in
        ours.close()
        var findings = Findings()
        try child(&findings, theirs)
        return findings.text
    }
    theirs.close()
    do {
        try meanwhile(ours, worker.pid)
    } catch {
        // The other process's own words say more than that it has gone.
        ours.close()
        let text = try worker.finish()
        throw Findings.Trouble(text: "\(error); it said: \(text)")
    }
    ours.close()
    return try Findings(text: try worker.finish())
}

/// The same in new namespaces, as root of the user namespace if one of them is such.
///
/// A pid namespace is entered by a further process: its number there is 1.
func aside(
    in kinds: [Namespaces.Kind], _ child: (inout Findings, Channel) throws -> Void,
    meanwhile: (Channel, Int32) throws -> Void = { _, _ in }
) throws -> Findings {
    try aside(
        { findings, channel in
            if let errno = Namespaces.unshare(kinds) { throw errno }
            if kinds.contains(.user) { try Namespaces.mapRoot() }
            if kinds.contains(.mount), let errno = Namespaces.makeMountsPrivate() { throw errno }
            guard kinds.contains(.process) else {
                try child(&findings, channel)
                return
            }
            let inner = try Worker { _ in
                var findings = Findings()
                try child(&findings, channel)
                return findings.text
            }
            findings = try Findings(text: try inner.finish())
        }, meanwhile: meanwhile)
}
