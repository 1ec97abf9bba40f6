// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import TAP

/// What a case's process tells the one that it was forked from.
struct CaseReport {
    var ok = false
    var skip: String?
    var diagnostics = Diagnostics()

    init() {}

    /// The text that the child writes: `key:"value"` lines and a verdict.
    static func text(_ test: Test) -> String {
        var text = test.diagnostics.fields.map { "\($0.key):\(JSONText.quote($0.value))\n" }.joined()
        if let reason = test.skipReason, !test.failed { text += "skip:\(JSONText.quote(reason))\n" }
        text += test.failed ? "failed\n" : "ok\n"
        return text
    }

    /// Reads what the child wrote, in the light of how it ended.
    init(_ text: String, _ end: ProcessEnd) {
        var verdict: Substring?
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":"),
                let value = JSONText.unquote(line[line.index(after: colon)...])
            else {
                verdict = line
                continue
            }
            let key = String(line[..<colon])
            if key == "skip" { skip = value } else { diagnostics[key] = value }
        }
        switch (end, verdict) {
        case (.exited(0), "ok"): ok = true
        case (.exited(0), "failed"): break
        case (_, nil): diagnostics["message"] = "the case ended without a verdict: \(end)"
        default: diagnostics["message"] = "the case ended badly after its verdict: \(end)"
        }
        if ok, skip == nil { diagnostics = Diagnostics() }
    }
}
