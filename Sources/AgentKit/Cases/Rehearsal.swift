// SPDX-License-Identifier: Apache-2.0
internal import LinuxIO
internal import SystemPackage
internal import TAP

/// Does once, to no effect, what every case does of itself: Swift looks up types and conformances when they are first
/// used, and what was found stays with all processes that are forked afterwards. The kernel is as good as not
/// involved.
enum Rehearsal {
    static func run() {
        var shown = ""
        var output = AgentOutput { shown += $0 }
        let passing = Test(output: output)
        passing.run { test in
            test.expect(1, equals: 1, "")
            test.expect([1] as [UInt32], equals: [1], "")
            test.expect("text", equals: "text", "")
            test.expect(Errno?.none, nil, "")
            test.expect(true, "")
            test.atEnd {}
            try test.require(true, "")
            throw CaseAborted()
        }
        let failing = Test(output: output)
        failing.run { test in
            test.expect(Errno.invalidArgument, nil, "rehearsed")
            test.expect(1, equals: 2, "")
            throw Errno.invalidArgument
        }
        output.begin(count: 1)
        output.caseStarted("rehearsal")
        for test in [passing, failing] {
            let report = CaseReport(CaseReport.text(test), .exited(0))
            output.result(
                ok: report.ok, id: "rehearsal", title: shown, skip: report.skip, diagnostics: report.diagnostics)
        }
        var poller = Poller()
        poller.add(-1, .read)
        // Nothing to wait for: what poll(2) answers does not matter.
        _ = try? poller.wait(.zero)
        _ = Instructions.parse(Array("run\0suite".utf8))
    }
}
