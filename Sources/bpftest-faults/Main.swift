// SPDX-License-Identifier: Apache-2.0
internal import Glibc

/// An agent that breaks every rule, for the tests of what bpftest does then. Not installed.
///
/// It speaks docs/agent-output.md by hand, since AgentKit would not let it go wrong. Each suite is one fault, in its
/// second case of three: the first shows what came before, the third that the rest still runs.
@main
struct Main {
    static var faults: [(name: String, act: () -> Void)] {
        [
            ("hang", { while true { pause() } }),
            ("segfault", { kill(getpid(), SIGSEGV) }),
            ("no-plan", { exit(0) }),
            (
                "half-line",
                {
                    say("not o")
                    exit(7)
                }
            ),
            ("flood", flood),
            (
                "not-text",
                {
                    var bytes: [UInt8] = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 37) }
                    bytes.append(0x0a)
                    unsafe bytes.withUnsafeBytes { _ = unsafe write(1, $0.baseAddress, $0.count) }
                    exit(1)
                }
            ),
            (
                "endless-line",
                {
                    for _ in 0..<3000 { say(String(repeating: "x", count: 1000)) }
                    exit(1)
                }
            ),
            ("panic", { put("/proc/sysrq-trigger", "c") }),
            // Not an agent's faults but what a kernel may do: wrong in each case, or only after another case.
            ("wrong", { say("not ok 2 bad the fault\n") }),
            (
                "stain",
                {
                    let isThere = unsafe access(stain, F_OK) == 0
                    say(isThere ? "not ok 2 bad the fault\n" : "ok 2 bad the fault\n")
                }
            ),
            // The same by a process that lets nobody else run: the machine takes the result before it along.
            ("panic-first", { put("/proc/sysrq-trigger", "c") }),
            // What a WARN leaves on the console (recorded on 6.12); the kernel offers no way to ask for a real one.
            (
                "warn",
                {
                    warn()
                    say("ok 2 bad the fault\n")
                }
            ),
            // What the kernel frees later, or does when a process ends.
            (
                "warn-late",
                {
                    say("ok 2 bad the fault\n")
                    warn()
                }
            ),
            (
                "panic-late",
                {
                    say("ok 2 bad the fault\n")
                    put("/proc/sysrq-trigger", "c")
                }
            ),
            ("wrong-name", { say("ok 2 other a result for nobody\n") }),
            (
                "bail-out",
                {
                    say("Bail out! the agent gives up\n")
                    exit(1)
                }
            ),
        ]
    }

    static func main() {
        let arguments = CommandLine.arguments
        if arguments.count == 2, arguments[1] == "list" {
            for fault in faults { say(listing(fault.name)) }
            say(Clock.listing)
            exit(0)
        }
        if arguments.count == 2, arguments[1] == "prepare" { prepare() }
        if arguments.count > 3, arguments[1] == "run", arguments[2] == Clock.suite { checkClock(arguments[3...]) }
        guard arguments.count > 3, arguments[1] == "run",
            let fault = faults.first(where: { "fault.\($0.name)" == arguments[2] })
        else { exit(2) }
        let cases = arguments[3...]
        if fault.name == "panic-first", cases.contains("bad") { neverYield() }
        if fault.name != "no-plan" || !cases.contains("bad") { say("KTAP version 1\n1..\(cases.count)\n") }
        for (index, name) in cases.enumerated() {
            say("# bpftest: case \(name)\n")
            put("/dev/kmsg", "<4>bpftest: case \(arguments[2])/\(name)\n")
            if fault.name == "stain", name == "before" { close(unsafe open(stain, O_WRONLY | O_CREAT, 0o644)) }
            if name == "bad" { fault.act() } else { say("ok \(index + 1) \(name) does nothing\n") }
        }
    }

    /// What a case leaves behind that a later one trips over.
    static let stain = "/run/stain"

    static func checkClock(_ cases: ArraySlice<String>) -> Never {
        say("KTAP version 1\n1..\(cases.count)\n")
        for (index, name) in cases.enumerated() {
            say("# bpftest: case \(name)\n")
            Clock.run(name, number: index + 1)
        }
        exit(0)
    }

    static func listing(_ fault: String) -> String {
        let cases = ["before", "bad", "after"].map {
            #"{"id":"\#($0)","title":"\#($0 == "bad" ? "the fault" : "does nothing")","spec":[],"since":null,"needs":[]}"#
        }
        return #"{"suite":"fault.\#(fault)","title":"an agent's fault","cases":[\#(cases.joined(separator: ","))]}"#
            + "\n"
    }

    static func say(_ text: String) {
        let bytes = Array(text.utf8)
        unsafe bytes.withUnsafeBytes { _ = unsafe write(1, $0.baseAddress, $0.count) }
    }

    static func warn() {
        put("/dev/kmsg", "<4>------------[ cut here ]------------\n")
        put("/dev/kmsg", "<4>WARNING: CPU: 0 PID: 61 at kernel/bpf/verifier.c:2100 check_something+0x12/0x30\n")
        put("/dev/kmsg", "<4>Call Trace:\n")
        put("/dev/kmsg", "<4>---[ end trace 0000000000000000 ]---\n")
    }

    /// It has nothing to prepare; the kernel complains or hangs meanwhile where its command line says so.
    static func prepare() -> Never {
        let file = unsafe open("/proc/cmdline", O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        let line = String(decoding: bytes[..<max(count, 0)], as: UTF8.self)
        if line.contains("faults.prepare=warn") { warn() }
        if line.contains("faults.prepare=hang") {
            // Before 6.12 nothing else then gives other processes a share.
            put("/proc/sys/kernel/sched_rt_runtime_us", "-1")
            neverYield()
            while true {}
        }
        exit(2)
    }

    /// A gigabyte, or as much of it as one is let.
    static func flood() {
        let block = [UInt8](repeating: 0x79, count: 65535) + [0x0a]
        for _ in 0..<16384 {
            let written = unsafe block.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
            if written < 0 { exit(9) }
        }
        exit(0)
    }

    /// On one processor nobody else runs until this process sleeps, which it does not.
    static func neverYield() {
        var parameters = sched_param(sched_priority: 50)
        if unsafe sched_setscheduler(0, SCHED_FIFO, &parameters) != 0 { exit(10) }
    }

    static func put(_ path: String, _ text: String) {
        let file = unsafe open(path, O_WRONLY)
        guard file >= 0 else { exit(8) }
        let bytes = Array(text.utf8)
        unsafe bytes.withUnsafeBytes { _ = unsafe write(file, $0.baseAddress, $0.count) }
        close(file)
    }
}
