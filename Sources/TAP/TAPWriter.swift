// SPDX-License-Identifier: Apache-2.0

/// The dialects that results are printed in.
public enum TAPDialect: String, Sendable, CaseIterable {
    /// TAP version 14: YAML diagnostics behind a point.
    case tap
    /// KTAP version 1: diagnostics as comments in front of a point.
    case ktap
}

/// Writes nested results as they come, line by line.
public struct TAPWriter {
    private let dialect: TAPDialect
    private let write: (String) throws -> Void
    /// Points so far at each open level, outermost first.
    private var counts: [Int] = []

    /// - Parameter write: takes whole lines; what it throws comes out of the call that wrote.
    public init(dialect: TAPDialect, write: @escaping (String) throws -> Void) {
        self.dialect = dialect
        self.write = write
    }

    private var indentation: String {
        String(repeating: " ", count: (dialect == .tap ? 4 : 2) * max(0, counts.count - 1))
    }

    /// Opens the outermost level.
    public mutating func begin(planned: Int) throws {
        counts = [0]
        try write(dialect == .tap ? "TAP version 14\n1..\(planned)\n" : "KTAP version 1\n1..\(planned)\n")
    }

    /// Opens a subtest with its plan.
    public mutating func beginSubtest(_ name: String, planned: Int) throws {
        counts.append(0)
        let name = String(name.map { $0.isNewline ? " " : $0 })
        switch dialect {
        case .tap: try write("\(indentation)# Subtest: \(name)\n\(indentation)1..\(planned)\n")
        case .ktap:
            try write("\(indentation)KTAP version 1\n\(indentation)# Subtest: \(name)\n\(indentation)1..\(planned)\n")
        }
    }

    /// Closes the innermost subtest with its own point.
    public mutating func endSubtest(
        _ name: String, ok: Bool, directive: TestPoint.Directive? = nil, diagnostics: Diagnostics = Diagnostics()
    ) throws {
        counts.removeLast()
        try point(ok: ok, name, directive: directive, diagnostics: diagnostics)
    }

    public mutating func point(
        ok: Bool, _ description: String, directive: TestPoint.Directive? = nil,
        diagnostics: Diagnostics = Diagnostics()
    ) throws {
        counts[counts.count - 1] += 1
        let point = TestPoint(ok: ok, number: counts.last, description: description, directive: directive)
        var text = ""
        if dialect == .ktap { text += diagnostics.yaml.map { "\(indentation)# \($0)\n" }.joined() }
        text += "\(indentation)\(point.line(dash: dialect == .tap))\n"
        if dialect == .tap, !diagnostics.isEmpty {
            text += "\(indentation)  ---\n"
            text += diagnostics.yaml.map { $0.isEmpty ? "\n" : "\(indentation)  \($0)\n" }.joined()
            text += "\(indentation)  ...\n"
        }
        try write(text)
    }

    public func comment(_ text: String) throws {
        try write(text.split(whereSeparator: \.isNewline).map { "\(indentation)# \($0)\n" }.joined())
    }

    /// Stops everything: no result comes after it.
    public func bailOut(_ reason: String) throws {
        try write("Bail out! \(String(reason.map { $0.isNewline ? " " : $0 }))\n")
    }
}
