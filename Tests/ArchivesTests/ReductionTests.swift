// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Archives

@Suite struct ReductionTests {
    @Test(arguments: [[], [0], [7], [3, 11], [0, 31], [1, 2, 3, 20], Array(0..<32)])
    func whatIsNeededIsLeft(_ needed: [Int]) {
        var questions = 0
        let left = Reduction.minimum(Array(0..<32)) { items in
            questions += 1
            return Set(needed).isSubset(of: items)
        }
        #expect(left == needed)
        #expect(questions <= 32 * 32)
        if needed.isEmpty { #expect(questions == 1) }
    }

    @Test func nothingOfNothing() {
        #expect(Reduction.minimum([Int]()) { _ in false } == [])
        #expect(Reduction.minimum([1]) { _ in false } == [1])
    }

    private struct Broken: Error {}

    @Test func troubleEndsIt() {
        #expect(throws: Broken.self) {
            try Reduction.minimum([1, 2]) { (_) throws(Broken) in throw Broken() }
        }
    }
}

@Suite struct FailureSignatureTests {
    private func signature(_ lines: String...) -> FailureSignature {
        let console = (["[    1.0] bpftest-job: start"] + lines).joined(separator: "\r\n") + "\r\n"
        let judge = Manifest.Judge(kind: .result, watch: "case", seconds: 1, limit: 1)
        return FailureSignature(console, Judgement.judge(console, .ended, judge), judge)
    }

    private let failed = "[    2.0] bpftest-job: result not ok 1 case"

    @Test func anotherReasonIsAnotherFailure() {
        let one = signature("# ---", "# message: \"a\"", "# observed: \"1\"", "# ...", "not ok 1 case", failed)
        let same = signature("# ---", "# message: \"a\"", "# observed: \"2\"", "# ...", "not ok 1 case", failed)
        let other = signature("# ---", "# message: \"no file\"", "# ...", "not ok 1 case", failed)
        #expect(one.matches(one) && !one.matches(same) && !one.matches(other))
        // What changes from one time to the next does not count.
        #expect(one.common(same)?.matches(same) == true)
        #expect(one.common(same)?.matches(other) == false)
    }

    /// The diagnostics of cases in front of it do not count.
    @Test func earlierCasesDoNotMatter() {
        let one = signature(
            "# ---", "# message: \"x\"", "not ok 1 y", "# ---", "# message: \"a\"", "not ok 2 case", failed)
        let alone = signature("# ---", "# message: \"a\"", "not ok 1 case", failed)
        #expect(one.matches(alone) && alone.matches(one))
    }

    @Test func complaintsAreTheSameButForTheirNumbers() {
        let warning = { (pid: Int, place: String) in
            self.signature("[    2.0] WARNING: CPU: 0 PID: \(pid) at kernel/bpf/x.c:9 \(place)+0x12/0x30", failed)
        }
        #expect(warning(61, "check").matches(warning(62, "check")))
        #expect(!warning(61, "check").matches(warning(61, "other")))
        #expect(!warning(61, "check").matches(signature(failed)))
    }

    @Test func endsAreToldApart() {
        let end = { (text: String) in self.signature("[    2.0] bpftest-job: ended \(text)") }
        #expect(end("status 7").matches(end("status 7")))
        #expect(!end("status 7").matches(end("signal 11")))
        #expect(!end("status 7").matches(end("status 8")))
        #expect(end("status 7").common(end("signal 11")) == nil)
    }
}
