// SPDX-License-Identifier: Apache-2.0

/// Writes what an agent prints: KTAP with the conventions of docs/agent-output.md.
public struct AgentOutput {
    private let write: (String) -> Void
    private var number = 0

    /// - Parameter write: takes whole lines, newline included; what is kept back is lost with the process.
    public init(write: @escaping (String) -> Void) {
        self.write = write
    }

    public func begin(count: Int) {
        write("KTAP version 1\n1..\(count)\n")
    }

    public func caseStarted(_ id: String) {
        write("# bpftest: case \(id)\n")
    }

    public func log(_ text: String) {
        write(text.split(whereSeparator: \.isNewline).map { "# \($0)\n" }.joined())
    }

    public mutating func result(
        ok: Bool, id: String, title: String, skip: String? = nil, diagnostics: Diagnostics = Diagnostics()
    ) {
        number += 1
        var text = ""
        if !diagnostics.isEmpty {
            text += "# ---\n"
            for field in diagnostics.fields { text += "# \(field.key): \(JSONText.quote(field.value))\n" }
            text += "# ...\n"
        }
        let directive = skip.map { TestPoint.Directive.skip(reason: $0) }
        let point = TestPoint(ok: ok, number: number, description: "\(id) \(title)", directive: directive)
        write(text + point.line(dash: false) + "\n")
    }
}
