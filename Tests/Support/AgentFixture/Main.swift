// SPDX-License-Identifier: Apache-2.0
internal import AgentKit
internal import Glibc
internal import LinuxIO
internal import SystemPackage

/// An agent whose cases end in every way that a case can end in; run by AgentKitTests.
@main
struct Main {
    static func main() {
        AgentMain.run([endings, unprepared])
    }

    static let absent = Feature("unicorn", since: "9.9", config: ["CONFIG_UNICORN", "CONFIG_HORN"]) {
        let line = Array("probed\n".utf8)
        unsafe line.withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
        return .absent(evidence: "no \"horn\"")
    }

    static let endings = Suite("fixture.endings", "every ending") {
        Case("pass", "all is well") { test in
            test.note("kept", "only for failures")
            test.expect(1 + 1, equals: 2, "arithmetic")
        }
        Case("soft", "goes on after a failure") { test in
            test.expect(1, equals: 2, "first")
            test.note("extra", "two\nlines")
            test.expect("a", equals: "b", "second")
        }
        Case("hard", "stops at a requirement") { test in
            try test.require(false, "needed")
            test.fail("never reached")
        }
        Case("after-soft", "a requirement that holds does not stop") { test in
            test.expect(false, "soft")
            try test.require(true, "holds")
            test.expect(false, "reached")
        }
        Case("errno", "names the errno") { test in
            test.expect(Errno.EBUSY, nil, "a call")
        }
        Case("throws", "an error of set-up is a failure") { _ in
            throw Errno.ENODEV
        }
        Case("segv", "a crash") { _ in
            // By hand: a real one would make the runtime print a backtrace first.
            signal(SIGSEGV, SIG_DFL)
            raise(SIGSEGV)
        }
        Case("exit", "an end without a verdict") { _ in
            exit(0)
        }
        Case("orphan", "leaves a process behind") { test in
            let worker = try Worker { _ in while true { pause() } }
            test.log("child \(worker.pid)")
        }
        Case("skip", "cannot be judged") { test in throw test.skip("not today") }
        Case("failed-skip", "a failure is not undone by a skip") { test in
            test.expect(false, "broken")
            throw test.skip("not today")
        }
        Case("large", "a report larger than a pipe holds") { test in
            test.note("text", String(repeating: "0123456789abcdef", count: 20_000))
            test.fail("large")
        }
        Case("absent", "needs what is not there", spec: ["F-1", "F-2"], needs: [absent]) { test in
            test.fail("must not run")
        }
        Case("absent-too", "needs it as well", since: "7.0", needs: [absent]) { test in test.fail("must not run") }
    }

    static let unprepared = Suite(
        "fixture.unprepared", "nothing can be prepared", prepare: { throw Errno.ENOENT }
    ) {
        Case("one", "first") { _ in }
        Case("two", "second") { _ in }
    }
}
