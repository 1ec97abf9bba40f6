// SPDX-License-Identifier: Apache-2.0
import TAP
import Testing

@testable import Harness

/// What test_progs of 6.12.117 printed in a guest without bpf_testmod.ko.
private let recorded = """
    Can't find bpf_testmod.ko kernel module: -2
    #1/1     align/mov:OK
    #1       align:OK
    libbpf: extern (func ksym) 'bpf_kfunc_call_test1': not found in kernel or module BTFs
    libbpf: failed to load object 'kfunc_call_test_subprog'
    libbpf: failed to load BPF skeleton 'kfunc_call_test_subprog': -22
    test_subprog:FAIL:skel unexpected error: -22
    #28/18   kfunc_call/subprog:FAIL
    #28      kfunc_call:FAIL
    #30/1    ksyms_module/lskel:SKIP
    #30/2    ksyms_module/libbpf:SKIP
    #30      ksyms_module:SKIP
    #33/1    log_buf/obj_load_log_buf:OK
    #33/2    log_buf/bpf_prog_load_log_buf:OK
    #33/3    log_buf/bpf_btf_load_log_buf:OK
    #33      log_buf:OK

    """

@Suite struct TestProgsOutputTests {
    /// What was printed for one test: up to its own line, from behind the one before it.
    private func part(of test: String) -> String {
        var lines: [Substring] = []
        for line in recorded.split(separator: "\n") {
            lines.append(line)
            let words = line.split(separator: " ")
            guard line.first == "#", words.count == 2, !words[0].contains("/") else { continue }
            if words[1].hasPrefix(test + ":") { return lines.map { $0 + "\n" }.joined() }
            lines = []
        }
        return ""
    }

    private func read(_ text: String, _ test: String) -> [ProgramPoint] {
        var output = TestProgsOutput(test: test)
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: 11) {
            output.append(bytes[start..<min(start + 11, bytes.count)]) { _ in }
        }
        return output.finish()
    }

    @Test func subtestsOfTheTestAreItsResults() {
        #expect(read(part(of: "align"), "align").map(\.id) == ["mov"])
        let skipped = read(part(of: "ksyms_module"), "ksyms_module")
        #expect(skipped.map(\.id) == ["lskel", "libbpf"])
        #expect(skipped.allSatisfy { if case .skipped = $0.outcome { true } else { false } })
        #expect(read(part(of: "log_buf"), "log_buf").map(\.outcome) == [.passed, .passed, .passed])
        #expect(read("", "absent").isEmpty)
    }

    @Test func aFailureComesWithItsLog() {
        let points = read(part(of: "kfunc_call"), "kfunc_call")
        #expect(points.map(\.id) == ["subprog"] && points[0].outcome == .failed(.test))
        #expect(points[0].diagnostics["message"] == "test_subprog:FAIL:skel unexpected error: -22")
        #expect(points[0].diagnostics["log"]?.contains("failed to load BPF skeleton") == true)
    }

    /// A test without subtests is its own result; so is one whose failure no subtest explains.
    @Test func theTestItself() {
        #expect(read("#5       obj_name:OK\n", "obj_name").map(\.id) == ["obj_name"])
        let outside = read("#5/1     t/a:OK\nt:FAIL:x\n#5       t:FAIL\n", "t")
        #expect(outside.map(\.id) == ["a", "t"] && outside[1].outcome.isFailure)
        let some = read("#5/1     t/a:SKIP\n#5/2     t/b:OK\n#5       t:OK (SKIP: 1/2)\n", "t")
        #expect(some.map(\.outcome) == [.skipped(reason: "test_progs skips it"), .passed])
        // prog_tests_framework has subtests that are to fail; the test's own line says how it went.
        #expect(read("#5/1     t/a:FAIL\n#5       t:OK\n", "t").map(\.outcome) == [.passed])
        // Before 5.18 subtests have no test in front of their names; names come again.
        #expect(read("#5/1 a:OK\n#5/2 a:OK\n#5 t:OK\n", "t").map(\.id) == ["a", "a~2"])
    }

    /// Logs hold lines of any form, and all of them once more at the end.
    @Test func onlyTheTestsOwnLinesCount() {
        let text = "#1 other:FAIL\n#x t:OK\n# t:OK\n#5 t:MAYBE\n#5       t:OK\nAll error logs:\n#5       t:FAIL\n"
        #expect(read(text, "t").map(\.outcome) == [.passed])
        #expect(read("#5/1     t/a:OK\n", "t").map(\.id) == ["a"], "a test that did not come to its end")
    }
}
